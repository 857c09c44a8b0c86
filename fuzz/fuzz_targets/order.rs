//! Prescription checks on any bytes that decode as a request: no panic; every line is either
//! understood or listed as unchecked.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use xiangyi::app::request::CheckRequest;
use xiangyi::embedded;
use xiangyi::medicine::prescription::PrescriptionKnowledge;
use xiangyi::rpc::proto::xiangyi::prescription::v1::CheckPrescriptionRequest;

fn knowledge() -> &'static PrescriptionKnowledge {
    static KNOWLEDGE: OnceLock<PrescriptionKnowledge> = OnceLock::new();
    KNOWLEDGE.get_or_init(|| PrescriptionKnowledge::load(&embedded::files()).unwrap())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = CheckPrescriptionRequest::decode(bytes) else { return };
    let Ok(request) = CheckRequest::try_from(message) else { return };
    if request.validate().is_err() {
        return;
    }
    let report = knowledge().check(&request.order);
    for line in &request.order.lines {
        let taken =
            report.taken.iter().any(|t| t.line.as_ref() == Some(&line.id) && t.name_zh.is_some());
        let unchecked = report.unchecked.iter().any(|u| u.lines.contains(&line.id));
        assert!(taken || unchecked, "a line was neither understood nor listed as unchecked");
    }
});
