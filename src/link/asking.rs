//! Asking a hub once, beside a node that may attend or not: whether it knows the node, and what time it
//! has. Nothing is attended, so no open line is ended by it.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::ClientConfig;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::Endpoint;

use super::pb::link_service_client::LinkServiceClient;
use super::{MESSAGE_BYTES_MAX, pb, status};
use crate::app::error::{Cause, Error};
use crate::app::regional::NodeLine;
use crate::tls;

/// How long dialling may take, and then the answer.
const WITHIN: Duration = Duration::from_secs(10);

/// What the hub said.
#[derive(Debug)]
pub struct Answer {
    /// The time that it wrote on its answer, in milliseconds since 1970, to the second.
    pub time_ms: Option<i64>,
    /// How long it took.
    pub trip: Duration,
    /// The nodes of the region, or why they are not told to this one.
    pub nodes: Result<Vec<NodeLine>, Error>,
}

/// Asks the hub at `url` for the nodes of the region.
///
/// # Errors
/// It cannot be reached, or does not answer in time.
pub async fn ask(
    url: &str,
    tls: Option<ClientConfig>,
    token: Option<&str>,
) -> Result<Answer, Cause> {
    let channel = match tls {
        Some(config) => {
            let endpoint = tls::Dial::endpoint(url)?.connect_timeout(WITHIN);
            timeout(WITHIN, endpoint.connect_with_connector(tls::Dial::new(config))).await??
        }
        None => Endpoint::from_shared(url.to_owned())?.connect_timeout(WITHIN).connect().await?,
    };
    let mut client = LinkServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut request = Request::new(pb::ListMembersRequest {});
    if let Some(token) = token {
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    let asked = Instant::now();
    let answer = timeout(WITHIN, client.list_members(request)).await?;
    let trip = asked.elapsed();
    Ok(match answer {
        Ok(answer) => Answer {
            time_ms: time_ms(answer.metadata()),
            trip,
            nodes: Ok(answer.into_inner().members.into_iter().map(Into::into).collect()),
        },
        Err(said) => {
            Answer { time_ms: time_ms(said.metadata()), trip, nodes: Err(status::error(said)) }
        }
    })
}

/// HTTP's `date`.
fn time_ms(said: &MetadataMap) -> Option<i64> {
    let text = said.get("date")?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut said = MetadataMap::new();
        assert_eq!(time_ms(&said), None);
        said.insert("date", "Mon, 30 Nov 2026 16:45:51 GMT".parse().unwrap());
        assert_eq!(time_ms(&said), Some(1_796_057_151_000));
        said.insert("date", "yesterday".parse().unwrap());
        assert_eq!(time_ms(&said), None);
    }
}
