//! The clinical parts of a record, a line each, as a doctor reads them.

use std::fmt::Write as _;

use crate::rpc::proto::xiangyi::records::v1 as pb;

/// What a coded value says, in the sender's own words.
pub(super) fn text(coded: Option<&pb::Coded>) -> &str {
    coded.map(|coded| coded.text.as_str()).unwrap_or_default()
}

/// `told` after its label; nothing where nothing was told.
pub(super) fn labelled(label: &str, told: &str) -> String {
    if told.is_empty() { String::new() } else { format!("{label}{told}") }
}

fn quantity(quantity: Option<&pb::Quantity>) -> String {
    quantity.map(|q| format!("{}{}", q.value, q.unit)).unwrap_or_default()
}

/// As what, in which tradition, what, and since when.
pub(super) fn diagnosis(diagnosis: &pb::Diagnosis) -> String {
    let role = match diagnosis.role() {
        pb::DiagnosisRole::Admission => "入院诊断",
        pb::DiagnosisRole::DischargeMain => "主要诊断",
        pb::DiagnosisRole::Discharge => "出院诊断",
        pb::DiagnosisRole::History => "既往史",
        pb::DiagnosisRole::Unspecified => "诊断",
    };
    let kind = match diagnosis.kind() {
        pb::DiagnosisKind::TcmDisease => "（中医病名）",
        pb::DiagnosisKind::TcmSyndrome => "（中医证候）",
        pb::DiagnosisKind::Western | pb::DiagnosisKind::Unspecified => "",
    };
    let coded = diagnosis.coded.as_ref();
    let code = coded.and_then(|c| c.codes.first()).map(|c| c.code.as_str()).unwrap_or_default();
    let mut out = format!("{role}{kind} {} {code}", text(coded));
    out.push_str(&labelled("  起于 ", &diagnosis.onset));
    if diagnosis.resolved {
        out.push_str("  已愈");
    }
    if diagnosis.unconfirmed {
        out.push_str("  待确诊");
    }
    out
}

/// To what, and how it shows; or that there is none.
pub(super) fn allergy(allergy: &pb::Allergy) -> String {
    let to = text(allergy.coded.as_ref());
    if allergy.absent {
        return format!("过敏 无 {to}").trim_end().to_owned();
    }
    format!("过敏 {to}{}", labelled("  反应 ", &allergy.reaction))
}

/// What, how much, how often, how long, and what changed.
pub(super) fn medicine(medicine: &pb::Medicine) -> String {
    let mut out = format!("用药 {}{}", change(medicine.change()), text(medicine.coded.as_ref()));
    let often = match (medicine.frequency.as_str(), medicine.times_per_day) {
        ("", Some(times)) => format!("每日{times}次"),
        (written, _) => written.to_owned(),
    };
    let days = medicine.days.map(|days| format!("{days}天")).unwrap_or_default();
    for part in [
        quantity(medicine.dose.as_ref()).as_str(),
        text(medicine.route.as_ref()),
        &often,
        if medicine.as_needed { "必要时" } else { "" },
        &days,
        &medicine.instruction,
        &medicine.change_text,
    ] {
        out.push_str(&labelled(" ", part));
    }
    out.push_str(&labelled("  自 ", &medicine.start));
    out.push_str(&labelled("  至 ", &medicine.end));
    out.push_str(&labelled("  因 ", &medicine.reason));
    out.push_str(&labelled("  带药 ", &quantity(medicine.supplied.as_ref())));
    out
}

fn change(change: pb::MedicineChange) -> &'static str {
    match change {
        pb::MedicineChange::New => "【新增】",
        pb::MedicineChange::Continued => "【继续】",
        pb::MedicineChange::Altered => "【调整】",
        pb::MedicineChange::Stopped => "【停用】",
        pb::MedicineChange::Unspecified => "",
    }
}

/// What was measured, when, and how the sender judged it.
pub(super) fn measurement(measured: &pb::Measurement) -> String {
    let mut out = format!("测量 {}", text(measured.coded.as_ref()));
    for part in
        [quantity(measured.value.as_ref()).as_str(), &measured.text, &measured.interpretation]
    {
        out.push_str(&labelled(" ", part));
    }
    out.push_str(&labelled("  参考 ", &measured.reference_range));
    out.push_str(&labelled("  ", &measured.taken));
    out
}

/// A study of images.
pub(super) fn study(study: &pb::ImagingReference) -> String {
    let mut out = String::from("影像");
    for part in [&study.modality, &study.description, &study.date] {
        out.push_str(&labelled(" ", part));
    }
    if !study.report.is_empty() {
        let _ = write!(out, "  报告 {}", study.report);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(text: &str) -> pb::Coded {
        pb::Coded { text: text.to_owned(), codes: Vec::new() }
    }

    #[test]
    fn a_medicine_is_told_with_its_dose_and_what_changed() {
        let dose = Some(pb::Quantity { value: 2.5, unit: "mg".to_owned() });
        let told = pb::Medicine {
            coded: Some(coded("苯磺酸氨氯地平片")),
            change: pb::MedicineChange::Altered.into(),
            dose,
            route: Some(coded("口服")),
            times_per_day: Some(2.0),
            days: Some(14.0),
            change_text: "由5mg减量".to_owned(),
            ..pb::Medicine::default()
        };
        assert_eq!(
            medicine(&told),
            "用药 【调整】苯磺酸氨氯地平片 2.5mg 口服 每日2次 14天 由5mg减量"
        );
    }

    #[test]
    fn what_is_over_or_absent_is_said() {
        let mut found = pb::Diagnosis {
            role: pb::DiagnosisRole::History.into(),
            coded: Some(coded("肺结核")),
            resolved: true,
            ..pb::Diagnosis::default()
        };
        assert_eq!(diagnosis(&found), "既往史 肺结核   已愈");
        found.resolved = false;
        assert_eq!(diagnosis(&found).trim_end(), "既往史 肺结核");
        found.unconfirmed = true;
        assert_eq!(diagnosis(&found), "既往史 肺结核   待确诊");
        let none =
            pb::Allergy { absent: true, coded: Some(coded("药物")), ..pb::Allergy::default() };
        assert_eq!(allergy(&none), "过敏 无 药物");
        let some = pb::Allergy {
            coded: Some(coded("青霉素")),
            reaction: "皮疹".to_owned(),
            ..pb::Allergy::default()
        };
        assert_eq!(allergy(&some), "过敏 青霉素  反应 皮疹");
    }
}
