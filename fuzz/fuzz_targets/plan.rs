//! Treatment plans on any bytes that decode as a request: no panic, and every medicine proposed
//! has passed the check.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use xiangyi::app::treatment::PlanRequest;
use xiangyi::embedded;
use xiangyi::medicine::prescription::{Action, PrescriptionKnowledge};
use xiangyi::medicine::treatment::TreatmentKnowledge;
use xiangyi::rpc::proto::xiangyi::treatment::v1::RecommendPlanRequest;

fn knowledge() -> &'static (PrescriptionKnowledge, TreatmentKnowledge) {
    static KNOWLEDGE: OnceLock<(PrescriptionKnowledge, TreatmentKnowledge)> = OnceLock::new();
    KNOWLEDGE.get_or_init(|| {
        let files = embedded::files();
        let rx = PrescriptionKnowledge::load(&files).unwrap();
        let plans = TreatmentKnowledge::load(&files, rx.formulary()).unwrap();
        (rx, plans)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = RecommendPlanRequest::decode(bytes) else { return };
    let Ok(request) = PlanRequest::try_from(message) else { return };
    let (rx, plans) = knowledge();
    if request.validate().is_err() || !plans.unknown_names(&request.query).is_empty() {
        return;
    }
    for plan in plans.recommend(rx, &request.query) {
        for medicine in plan.medicines {
            assert!(medicine.dose > 0.0 && medicine.dose.is_finite());
            assert!(medicine.findings.iter().all(|f| f.action > Action::Stop));
        }
    }
});
