//! `xiangyi.node.v1.NodeService`.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::common::{caller, timestamp};
use super::proto::xiangyi::node::v1 as pb;
use crate::app::App;
use crate::app::consultation::DISCLAIMER_ZH;

/// The service.
#[derive(Debug)]
pub(super) struct Node(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::node_service_server::NodeService for Node {
    async fn get_node_info(
        &self,
        request: Request<pb::GetNodeInfoRequest>,
    ) -> Result<Response<pb::GetNodeInfoResponse>, Status> {
        let caller = caller(&request)?;
        let info = self.0.node_info(&caller).await?;
        let uptime = u64::try_from(info.uptime_ms).unwrap_or(0);
        Ok(Response::new(pb::GetNodeInfoResponse {
            name: info.name,
            role: pb::NodeRole::Clinic.into(),
            version: info.version,
            start_time: Some(timestamp(info.started_ms)),
            uptime: prost_types::Duration::try_from(Duration::from_millis(uptime)).ok(),
            knowledge: info
                .knowledge
                .into_iter()
                .map(|k| pb::Knowledge {
                    area: k.area.to_owned(),
                    version: k.version,
                    draft_row_count: k.draft_rows,
                    reviewed_row_count: k.reviewed_rows,
                })
                .collect(),
            engine: info.engine,
            store: info.journal.backend,
            store_schema_version: info.journal.schema_version,
            record_count: info.journal.record_count,
            disclaimer: DISCLAIMER_ZH.to_owned(),
        }))
    }
}
