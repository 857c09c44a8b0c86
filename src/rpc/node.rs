//! `xiangyi.node.v1.NodeService`.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::common::{caller, timestamp};
use super::proto::xiangyi::node::v1 as pb;
use crate::app::consultation::DISCLAIMER_ZH;
use crate::app::regional::NodeLine;
use crate::app::{App, NodeKind};

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
            role: match info.role {
                NodeKind::Clinic => pb::NodeRole::Clinic,
                NodeKind::Hospital => pb::NodeRole::Hospital,
                NodeKind::Hub => pb::NodeRole::Hub,
            }
            .into(),
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

    async fn list_nodes(
        &self,
        request: Request<pb::ListNodesRequest>,
    ) -> Result<Response<pb::ListNodesResponse>, Status> {
        let caller = caller(&request)?;
        let nodes = self.0.regional_nodes(&caller).await?.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListNodesResponse { nodes }))
    }
}

impl From<NodeLine> for pb::RegionalNode {
    fn from(line: NodeLine) -> Self {
        let trip = Duration::from_micros(line.round_trip_us);
        Self {
            name: line.node,
            area: line.area,
            online: line.online,
            seen_at: (line.seen_ms > 0).then(|| timestamp(line.seen_ms)),
            indexed_at: (line.indexed_ms > 0).then(|| timestamp(line.indexed_ms)),
            study_count: line.studies,
            round_trip: (!trip.is_zero()).then(|| trip.try_into().unwrap_or_default()),
        }
    }
}
