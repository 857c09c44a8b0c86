//! What comes after an outage: a hub, a hospital and a village clinic, three nodes of this program. The
//! village's line is cut, patients of its are discharged, their records wait at the hub; the line is joined
//! and the records that arrive are counted.

use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::Failure;
use super::child::Node;
use super::run::Bench;
use crate::benchmark::statistics::count;
use crate::cli::client::{Client, connect, readable};
use crate::cli::made_up::{HOSPITAL, Somebody, VILLAGE, WRITTEN};
use crate::cli::wire::Wire;
use crate::config::{MemberSection, NodeRole};
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;
use crate::rpc::proto::xiangyi::records::v1::record_service_client::RecordServiceClient;
use crate::sharing::discharge::{Moment, fhir};
use crate::tables::text::hex;

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(30);
/// How long records may take to arrive.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks: the resolution of what is told.
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Region {
    _hub: Node,
    _hospital: Node,
    _village: Node,
    hospital: Client,
    village: Client,
    wire: Wire,
}

fn token(name: &str) -> String {
    format!("bench-{name}")
}

async fn dialling(
    bench: &Bench,
    name: &str,
    hub: SocketAddr,
    role: NodeRole,
) -> Result<(Node, Client), Failure> {
    let file = bench.data.join(format!("{name}.token"));
    tokio::fs::write(&file, token(name)).await?;
    let node = Node::start(&bench.data, |config, _| {
        name.clone_into(&mut config.node.name);
        config.node.role = role;
        config.link.hub = Some(format!("http://{hub}"));
        config.link.token_file = Some(file.clone());
    });
    let node = node.await?;
    let client = Client::remote(connect(&node.url()?, None, CALL_MAX).await?, CALL_MAX);
    Ok((node, client))
}

async fn region(bench: &Bench) -> Result<Region, Failure> {
    let members = [VILLAGE, HOSPITAL].map(|(name, area)| MemberSection {
        name: name.to_owned(),
        area: area.to_owned(),
        certificate_sha256: None,
        token_sha256: Some(hex(&Sha256::digest(token(name).as_bytes()))),
    });
    let hub = Node::start(&bench.data, |config, _| {
        "hub".clone_into(&mut config.node.name);
        config.node.role = NodeRole::Hub;
        config.link.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.link.nodes = members.to_vec();
    });
    let hub = hub.await?;
    let address: SocketAddr = hub.address("link")?.parse()?;
    let (mut wire, through) = Wire::new(address)?;
    wire.join()?;
    let (at_hospital, hospital) = dialling(bench, HOSPITAL.0, address, NodeRole::Hospital).await?;
    let (at_village, village) = dialling(bench, VILLAGE.0, through, NodeRole::Clinic).await?;
    Ok(Region { _hub: hub, _hospital: at_hospital, _village: at_village, hospital, village, wire })
}

async fn status(client: &Client) -> Result<pb::GetExchangeStatusResponse, Failure> {
    let mut service = ExchangeServiceClient::new(client.node()?);
    let asked = service.get_exchange_status(client.dressed(pb::GetExchangeStatusRequest {}));
    Ok(asked.await.map_err(|s| readable(&s))?.into_inner())
}

/// Looks until nothing of `client` waits for the hub.
async fn settled(client: &Client, what: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    while status(client).await?.waiting > 0 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what} did not reach the hub").into());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Measures it with as many records as the plan says.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let records = bench.budget.records;
    bench.step("sync: hub, hospital, village", Duration::from_secs(2));
    let mut region = Box::pin(region(bench)).await?;
    let people: Vec<Somebody> = (0..records).map(Somebody::new).collect::<Result<_, _>>()?;
    let mut service = ExchangeServiceClient::new(region.village.node()?);
    for somebody in &people {
        let request = region.village.dressed(somebody.registration());
        service.register_patient(request).await.map_err(|s| readable(&s))?;
    }
    settled(&region.village, "the registrations").await?;
    let before = status(&region.village).await?.received;
    region.wire.cut().await;

    bench.step(&format!("sync: {records} records wait"), Duration::from_secs(4));
    let written = Moment::iso(WRITTEN).map_err(|_| "a made-up date")?;
    let mut service = RecordServiceClient::new(region.hospital.node()?);
    for somebody in &people {
        let document = fhir::write(&somebody.record()?, &written);
        let request = pb::SubmitRecordRequest {
            content: serde_json::to_vec(&document)?,
            media_type: "application/fhir+json".to_owned(),
            record: None,
        };
        let request = region.hospital.dressed(request);
        service.submit_record(request).await.map_err(|s| readable(&s))?;
    }
    settled(&region.hospital, "the records").await?;

    bench.step(&format!("sync: {records} records arrive"), Duration::from_secs(4));
    region.wire.join()?;
    arrive(bench, &region.village, before, records).await
}

/// Counts what arrives from now on. How many a second is told from the first arrival on, because before
/// it the village waits until it dials again.
async fn arrive(
    bench: &mut Bench,
    village: &Client,
    before: u64,
    records: usize,
) -> Result<(), Failure> {
    let begun = Instant::now();
    // What had come when: the first time that something had, and the last time that a block was full.
    let (mut first, mut last) = (None, (0, Duration::ZERO));
    let (mut blocks, size) = (Vec::new(), (records / bench.budget.blocks.max(1)).max(1));
    loop {
        let received = status(village).await?.received.saturating_sub(before);
        let (received, now) = (usize::try_from(received)?, begun.elapsed());
        if received > 0 && first.is_none() {
            (first, last) = (Some((received, now)), (received, now));
        }
        if received >= last.0 + size {
            let took = now.saturating_sub(last.1).as_secs_f64();
            blocks.push(count(received - last.0) / took.max(1e-6));
            last = (received, now);
        }
        if received >= records {
            let (early, at) = first.unwrap_or((0, Duration::ZERO));
            bench.report.add("sync.first_s", at.as_secs_f64(), Vec::new());
            let rest = count(records - early.min(records));
            // All of them may have come between two looks.
            let took = now.saturating_sub(at).max(LOOK_EVERY).as_secs_f64();
            let arrived = if rest > 0.0 { rest } else { count(records) };
            bench.report.add("sync.records_per_second", arrived / took, blocks);
            return Ok(());
        }
        if now > PATIENCE {
            let within = PATIENCE.as_secs();
            return Err(format!("{received} of {records} records arrived within {within} s").into());
        }
        sleep(LOOK_EVERY).await;
    }
}
