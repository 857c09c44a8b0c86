//! The ten-line Rust client of the README.

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use xiangyi::rpc::proto::xiangyi::diagnosis::v1::DiagnoseRequest;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut client = DiagnosisServiceClient::connect("http://127.0.0.1:50051").await?;
    let request = DiagnoseRequest {
        text: "发热3天，咳嗽咳黄痰，右胸痛".into(),
        ..Default::default()
    };
    let answer = client.diagnose(request).await?.into_inner().consultation.unwrap_or_default();
    for c in answer.conditions {
        println!("{:5.1}% {} {}", c.probability * 100.0, c.name, c.icd10);
    }
    Ok(())
}
