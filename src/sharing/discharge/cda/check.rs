//! What the standard requires of a document as a whole, and what cannot be true of it.

use super::super::model::DischargeRecord;
use super::super::moment::Moment;
use super::super::problems::Severity;
use super::elements::Template;
use super::recognise::Known;
use super::xml::{Element, Reading, at, attribute, child, children, is};

/// Holds the record and its document against the standard.
pub(super) fn check(reading: &Reading<'_>, known: &Known, record: &DischargeRecord) {
    let root = reading.root();
    patient(reading, root, record);
    if record.document.name.is_empty() {
        reading.fatal(root, "identity_missing", "文档没有标识（id或setId），无法区分版本");
    }
    dates(reading, root, record);
    if says_nothing(record) {
        reading.fatal(root, "nothing_said", "文档没有任何可读的诊断、经过、用药或医嘱");
    }
    if let Some(template) = known.template {
        header(reading, root);
        sections(reading, root, template);
    }
}

fn patient<'d>(reading: &Reading<'d>, root: Element<'d>, record: &DischargeRecord) {
    let role = at(root, &["recordTarget", "patientRole"]);
    let Some(person) = role.and_then(|role| child(role, "patient")) else {
        reading.fatal(root, "patient_missing", "没有患者（recordTarget/patientRole/patient）");
        return;
    };
    if record.patient.name.is_empty() {
        reading.fatal(person, "patient_name_missing", "没有患者姓名");
    }
    if record.patient.identifiers.is_empty() {
        let message = "没有患者的任何号码（身份证号、健康卡号或住院号）";
        reading.warn(role.unwrap_or(root), "patient_identifier_missing", message);
    }
}

/// Days in their order. Times of day are not compared: an offset may be missing on one side.
fn dates<'d>(reading: &Reading<'d>, root: Element<'d>, record: &DischargeRecord) {
    let day = |moment: &Option<Moment>| moment.as_ref().and_then(Moment::day);
    let encounter = at(root, &["componentOf", "encompassingEncounter", "effectiveTime"]);
    let stay = encounter.unwrap_or(root);
    let (admitted, discharged) = (day(&record.stay.admitted), day(&record.stay.discharged));
    if let (Some(admitted), Some(discharged)) = (admitted, discharged) {
        if admitted > discharged {
            reading.fatal(stay, "dates_out_of_order", "出院日期早于入院日期");
        } else if let (Some(days), Ok(span)) = (record.stay.days, admitted.until(discharged)) {
            // The day of discharge counts or not, by local custom.
            if (days - f64::from(span.get_days())).abs() > 1.0 {
                let message = "实际住院天数与入院、出院日期不符";
                reading.say(Severity::Information, stay, "days_disagree", message);
            }
        }
    }
    if let (Some(written), Some(discharged)) = (day(&record.document.written), discharged)
        && written < discharged
    {
        reading.say(Severity::Information, root, "dates_out_of_order", "文档时间早于出院日期");
    }
    if let Some(discharged) = discharged
        && record.follow_ups.iter().any(|f| day(&f.due).is_some_and(|due| due < discharged))
    {
        reading.warn(root, "dates_out_of_order", "有随访的期限早于出院日期");
    }
    if discharged.is_none() {
        reading.warn(stay, "discharge_date_missing", "没有出院日期");
    }
}

fn says_nothing(record: &DischargeRecord) -> bool {
    record.diagnoses.is_empty()
        && record.procedures.is_empty()
        && record.sections.is_empty()
        && record.medicines.is_empty()
        && record.measurements.is_empty()
        && record.allergies.is_empty()
        && record.imaging.is_empty()
        && record.follow_ups.is_empty()
        && record.narrative == super::super::model::Narrative::default()
        && !record.document.entered_in_error
}

/// Elements that CDA and WS/T 500 want in every header.
fn header<'d>(reading: &Reading<'d>, root: Element<'d>) {
    let wanted = [
        ("id", "文档流水号"),
        ("title", "文档名称"),
        ("effectiveTime", "文档生成时间"),
        ("confidentialityCode", "保密级别"),
        ("languageCode", "语言"),
        ("author", "文档创作者"),
        ("custodian", "文档保管机构"),
    ];
    for (name, called) in wanted {
        if child(root, name).is_none() {
            reading.warn(root, "header_missing", format!("缺少{called}（{name}）"));
        }
    }
}

fn sections<'d>(reading: &Reading<'d>, root: Element<'d>, template: &Template) {
    let body = at(root, &["component", "structuredBody"]);
    let found: Vec<&str> = body
        .into_iter()
        .flat_map(|body| body.descendants().filter(|node| is(*node, "section")))
        .flat_map(|section| children(section, "code"))
        .map(|code| attribute(code, "code"))
        .collect();
    for code in template.sections {
        if !found.contains(code) {
            let message = format!("缺少{}要求的章节（LOINC {code}）", template.title);
            reading.warn(body.unwrap_or(root), "section_missing", message);
        }
    }
}
