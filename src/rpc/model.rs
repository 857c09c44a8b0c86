//! `xiangyi.model.v1.ModelService`.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::common::caller;
use super::proto::xiangyi::model::v1 as pb;
use crate::app::App;
use crate::app::ports::ModelDescription;
use crate::app::request::PageRequest;

/// The service.
#[derive(Debug)]
pub(super) struct Models(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::model_service_server::ModelService for Models {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: String::new(),
        };
        let (models, next_page_token) = self.0.list_models(&caller, &page)?;
        let models = models.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListModelsResponse { models, next_page_token }))
    }

    async fn reload_models(
        &self,
        request: Request<pb::ReloadModelsRequest>,
    ) -> Result<Response<pb::ReloadModelsResponse>, Status> {
        let caller = caller(&request)?;
        let models = self.0.reload_models(&caller).await?;
        let models = models.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ReloadModelsResponse { models }))
    }
}

impl From<ModelDescription> for pb::Model {
    fn from(m: ModelDescription) -> Self {
        let tensors = |list: Vec<(String, String, Vec<String>)>| {
            list.into_iter().map(|(name, dtype, shape)| pb::Tensor { name, dtype, shape }).collect()
        };
        Self {
            model_id: m.id,
            version: m.version,
            sha256: m.sha256,
            size_bytes: m.size_bytes,
            engine: m.engine,
            inputs: tensors(m.inputs),
            outputs: tensors(m.outputs),
            label_count: u32::try_from(m.labels.len()).unwrap_or(u32::MAX),
            feature_count: u32::try_from(m.features.len()).unwrap_or(u32::MAX),
            load_time: prost_types::Duration::try_from(Duration::from_micros(m.load_us)).ok(),
            self_test_count: u32::try_from(m.self_test_count).unwrap_or(u32::MAX),
            precision: m.precision.to_owned(),
        }
    }
}
