//! Decoding of the messages every area shares.

use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::request::Problems;
use crate::medicine::patient::{Patient, Pregnancy, Sex, Vitals};
use crate::rpc::proto::xiangyi::common::v1 as pb;

/// The caller that the gate put there.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Error> {
    request.extensions().get::<Caller>().cloned().ok_or(Error::Unauthenticated)
}

/// Milliseconds since 1970 as a timestamp.
pub(super) fn timestamp(ms: i64) -> prost_types::Timestamp {
    let nanos = ms.rem_euclid(1000) * 1_000_000;
    prost_types::Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

/// A number of the contract as the medicine modules take it.
pub(super) fn narrow(value: f64) -> f32 {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "rounds to the nearest f32; out of range becomes infinite and is then refused"
    )]
    let narrow = value as f32;
    narrow
}

/// An enum number of the contract, or the problem that names the field and the known values.
pub(super) fn known<E: TryFrom<i32>>(
    problems: &mut Problems,
    field: &str,
    number: i32,
    allowed: &str,
) -> Option<E> {
    let value = E::try_from(number).ok();
    if value.is_none() {
        problems.add(field, format!("must be one of {allowed}"));
    }
    value
}

/// The patient; one that is missing is unknown in every field.
pub(super) fn patient(problems: &mut Problems, patient: Option<pb::Patient>) -> (String, Patient) {
    let Some(patient) = patient else { return (String::new(), Patient::default()) };
    let sex = known::<pb::Sex>(
        problems,
        "patient.sex",
        patient.sex,
        "SEX_UNSPECIFIED, SEX_MALE, SEX_FEMALE",
    );
    let sex = match sex {
        Some(pb::Sex::Male) => Some(Sex::Male),
        Some(pb::Sex::Female) => Some(Sex::Female),
        Some(pb::Sex::Unspecified) | None => None,
    };
    let status = known::<pb::PregnancyStatus>(
        problems,
        "patient.pregnancy",
        patient.pregnancy,
        "PREGNANCY_STATUS_UNSPECIFIED, PREGNANCY_STATUS_NOT_PREGNANT, PREGNANCY_STATUS_PREGNANT",
    );
    let pregnant = status == Some(pb::PregnancyStatus::Pregnant);
    if patient.pregnancy_weeks.is_some() && !pregnant {
        problems.add("patient.pregnancy_weeks", "is only allowed with PREGNANCY_STATUS_PREGNANT");
    }
    let weeks = patient.pregnancy_weeks.map(|w| u8::try_from(w).unwrap_or(u8::MAX));
    let pregnancy = match status {
        Some(pb::PregnancyStatus::Pregnant) => Pregnancy::Yes { weeks },
        Some(pb::PregnancyStatus::NotPregnant) => Pregnancy::No,
        Some(pb::PregnancyStatus::Unspecified) | None => Pregnancy::Unknown,
    };
    let decoded = Patient {
        age_years: patient.age_years.map(narrow),
        sex,
        weight_kg: patient.weight_kg.map(narrow),
        pregnancy,
    };
    (patient.reference, decoded)
}

/// Measured signs; missing is not measured.
pub(super) fn vitals(vitals: Option<pb::Vitals>) -> Vitals {
    let vitals = vitals.unwrap_or_default();
    Vitals {
        temperature_c: vitals.temperature_c.map(narrow),
        systolic_mmhg: vitals.systolic_mmhg.map(narrow),
        diastolic_mmhg: vitals.diastolic_mmhg.map(narrow),
        heart_rate_bpm: vitals.heart_rate_bpm.map(narrow),
        respiratory_rate_bpm: vitals.respiratory_rate_bpm.map(narrow),
        spo2_percent: vitals.spo2_percent.map(narrow),
        glucose_mmol_l: vitals.glucose_mmol_l.map(narrow),
        white_cells_10e9_l: vitals.white_cells_10e9_l.map(narrow),
        neutrophils_percent: vitals.neutrophils_percent.map(narrow),
        hemoglobin_g_l: vitals.hemoglobin_g_l.map(narrow),
        platelets_10e9_l: vitals.platelets_10e9_l.map(narrow),
        crp_mg_l: vitals.crp_mg_l.map(narrow),
        creatinine_umol_l: vitals.creatinine_umol_l.map(narrow),
    }
}
