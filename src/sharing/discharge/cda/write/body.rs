//! The sections of WS/T 500.53, and those beside them.

use super::super::super::model::{
    Coded, Diagnosis, DiagnosisKind, DiagnosisRole, DischargeRecord, Narrative, Quantity, Section,
};
use super::super::body::{STYLE_DERIVED, STYLE_SECTION};
use super::super::diagnosis::{MAIN, RESOLVED, STATUS, UNCONFIRMED};
use super::values::data_element;
use super::xml::Xml;
use super::{entries, tail};

/// The beginning of an entry: its text is derived from it.
const ENTRY: [(&str, &str); 1] = [("typeCode", "DRIV")];
/// An observation of something that was so.
pub(super) const OBSERVATION: [(&str, &str); 2] = [("classCode", "OBS"), ("moodCode", "EVN")];

/// A data element with a text.
struct Line<'r> {
    inner: &'static str,
    de: &'static str,
    name: &'static str,
    text: &'r str,
}

const fn line<'r>(
    inner: &'static str,
    de: &'static str,
    name: &'static str,
    text: &'r str,
) -> Line<'r> {
    Line { inner, de, name, text }
}

/// Writes the body; `ClinicalDocument` is open.
pub(super) fn write(xml: &mut Xml, record: &DischargeRecord) {
    let narrative = &record.narrative;
    xml.open("component", &[("typeCode", "COMP")]);
    xml.open("structuredBody", &[("classCode", "DOCBODY"), ("moodCode", "EVN")]);

    let admission = [line("HDSD00.16.030", "DE05.10.148.00", "入院情况", &narrative.admission)];
    section(xml, "11450-4", "PROBLEM LIST", "主要健康问题");
    derived(xml, &said(&admission));
    write_lines(xml, &admission);
    xml.close_all(2);

    admission_diagnoses(xml, record);
    discharge_diagnoses(xml, record, narrative);

    section(xml, "47519-4", "HISTORY OF PROCEDURES", "手术操作");
    derived(xml, &record.procedures.iter().map(entries::procedure_text).collect::<Vec<_>>());
    for procedure in &record.procedures {
        entries::procedure(xml, procedure);
    }
    xml.close_all(2);

    let principle = [line("HDSD00.16.048", "DE06.00.300.00", "治则治法", &narrative.tcm_principle)];
    section(xml, "18776-5", "TREATMENT PLAN", "治疗计划");
    let mut text = said(&principle);
    text.extend(record.follow_ups.iter().map(entries::follow_up_text));
    derived(xml, &text);
    write_lines(xml, &principle);
    for follow_up in &record.follow_ups {
        entries::follow_up(xml, follow_up);
    }
    xml.close_all(2);

    course(xml, record);

    let orders = [
        line("HDSD00.16.049", "DE08.50.047.00", "中药煎煮方法", &narrative.tcm_decoction),
        line("HDSD00.16.050", "DE06.00.136.00", "中药用药方法", &narrative.tcm_usage),
        line("HDSD00.16.007", "DE06.00.287.00", "出院医嘱", &narrative.orders),
    ];
    section(xml, "46209-3", "Provider Orders", "医嘱");
    derived(xml, &said(&orders));
    write_lines(xml, &orders);
    xml.close_all(2);

    results(xml, record);
    tail::write(xml, record);
    for other in &record.sections {
        plain_section(xml, other);
    }
    xml.close_all(2);
}

fn admission_diagnoses(xml: &mut Xml, record: &DischargeRecord) {
    let of = |role| record.diagnoses.iter().filter(move |diagnosis| diagnosis.role == role);
    section(xml, "46241-6", "HOSPITAL ADMISSION DX", "入院诊断");
    let text: Vec<_> = of(DiagnosisRole::Admission).map(diagnosis_text).collect();
    derived(xml, &text);
    for diagnosis in of(DiagnosisRole::Admission) {
        write_diagnosis(xml, diagnosis);
    }
    xml.close_all(2);
}

fn discharge_diagnoses(xml: &mut Xml, record: &DischargeRecord, narrative: &Narrative) {
    let signs = [
        line("HDSD00.16.051", "DE02.10.028.00", "中医“四诊”观察结果", &narrative.tcm_observation),
        line("HDSD00.16.006", "DE04.01.117.00", "出院时症状与体征", &narrative.symptoms_and_signs),
        line("HDSD00.16.004", "DE06.00.193.00", "出院情况", &narrative.discharge),
    ];
    section(xml, "11535-2", "HOSPITAL DISCHARGE DX", "出院诊断");
    let at_discharge = record.diagnoses.iter().filter(|diagnosis| {
        matches!(diagnosis.role, DiagnosisRole::DischargeMain | DiagnosisRole::Discharge)
    });
    let mut text: Vec<_> = at_discharge.clone().map(diagnosis_text).collect();
    text.extend(said(&signs));
    derived(xml, &text);
    for diagnosis in at_discharge {
        write_diagnosis(xml, diagnosis);
    }
    write_lines(xml, &signs);
    xml.close_all(2);
}

fn course(xml: &mut Xml, record: &DischargeRecord) {
    let course =
        [line("HDSD00.16.045", "DE06.00.296.00", "诊疗过程描述", &record.narrative.course)];
    section(xml, "8648-8", "Hospital Course", "住院过程");
    let mut text = said(&course);
    if let Some(outcome) = &record.stay.outcome {
        text.push(format!("治疗结果：{}", shown(outcome)));
    }
    if let Some(days) = record.stay.days {
        text.push(format!("实际住院天数：{days}天"));
    }
    derived(xml, &text);
    write_lines(xml, &course);
    if let Some(outcome) = &record.stay.outcome {
        entry(xml, "HDSD00.16.047");
        xml.open("observation", &OBSERVATION);
        xml.data_element("DE05.10.113.00", "治疗结果代码");
        xml.coded("value", "CD", outcome);
        xml.close_all(2);
    }
    if let Some(days) = record.stay.days {
        entry(xml, "HDSD00.16.036");
        xml.open("observation", &OBSERVATION);
        xml.data_element("DE06.00.310.00", "实际住院天数");
        xml.quantity("value", "PQ", &Quantity { value: days, unit: "天".to_owned() });
        xml.close_all(2);
    }
    xml.close_all(2);
}

fn results(xml: &mut Xml, record: &DischargeRecord) {
    let narrative = &record.narrative;
    let positive =
        [line("HDSD00.16.042", "DE04.50.128.00", "阳性辅助检查结果", &narrative.positive_results)];
    section(xml, "30954-2", "STUDIES SUMMARY", "实验室检查");
    let mut text = said(&positive);
    text.extend(record.measurements.iter().map(entries::measurement_text));
    derived(xml, &text);
    for line in positive.iter().filter(|line| !line.text.is_empty()) {
        entry(xml, line.inner);
        xml.open("organizer", &[("classCode", "BATTERY"), ("moodCode", "EVN")]);
        xml.empty("statusCode", &[("code", "completed")]);
        xml.open("component", &[("typeCode", "COMP")]);
        observation(xml, line);
        xml.close_all(3);
    }
    for measurement in &record.measurements {
        entries::measurement(xml, measurement);
    }
    xml.close_all(2);
}

/// A section; `component` and `section` are open.
pub(super) fn section(xml: &mut Xml, code: &str, display: &str, title: &str) {
    xml.comment(&format!("{title}章节"));
    xml.open("component", &[("typeCode", "COMP")]);
    xml.open("section", &[("classCode", "DOCSECT"), ("moodCode", "EVN")]);
    xml.loinc(code, display);
    xml.text("title", &[], title);
}

/// The text that says what the entries say, a paragraph each.
pub(super) fn derived(xml: &mut Xml, paragraphs: &[String]) {
    paragraphs_of(xml, STYLE_DERIVED, paragraphs.iter().map(String::as_str));
}

fn paragraphs_of<'r>(xml: &mut Xml, style: &str, paragraphs: impl Iterator<Item = &'r str>) {
    let mut said = paragraphs.filter(|text| !text.trim().is_empty()).peekable();
    if said.peek().is_none() {
        xml.empty("text", &[("styleCode", style)]);
        return;
    }
    xml.open("text", &[("styleCode", style)]);
    for text in said {
        xml.text("paragraph", &[], text);
    }
    xml.close();
}

/// An entry with the inner identifier of its element, or without.
pub(super) fn entry(xml: &mut Xml, inner: &str) {
    if !inner.is_empty() {
        xml.comment(inner);
    }
    xml.open("entry", &ENTRY);
}

fn said(lines: &[Line<'_>]) -> Vec<String> {
    let said = lines.iter().filter(|line| !line.text.is_empty());
    said.map(|line| format!("{}：{}", line.name, line.text)).collect()
}

fn write_lines(xml: &mut Xml, lines: &[Line<'_>]) {
    for line in lines.iter().filter(|line| !line.text.is_empty()) {
        entry(xml, line.inner);
        observation(xml, line);
        xml.close();
    }
}

fn observation(xml: &mut Xml, line: &Line<'_>) {
    xml.open("observation", &OBSERVATION);
    xml.data_element(line.de, line.name);
    xml.text("value", &[("xsi:type", "ST")], line.text);
    xml.close();
}

/// What something coded is called.
pub(super) fn shown(coded: &Coded) -> String {
    let code = coded.codes.first();
    match (coded.text.as_str(), code.map_or("", |code| code.code.as_str())) {
        (text, "") => text.to_owned(),
        ("", code) => code.to_owned(),
        (text, code) => format!("{text}（{code}）"),
    }
}

pub(super) fn diagnosis_text(diagnosis: &Diagnosis) -> String {
    let kind = match diagnosis.kind {
        DiagnosisKind::Western => "西医诊断",
        DiagnosisKind::TcmDisease => "中医病名",
        DiagnosisKind::TcmSyndrome => "中医证候",
    };
    let main = if diagnosis.role == DiagnosisRole::DischargeMain { "（主要）" } else { "" };
    let over = if diagnosis.resolved { "，已愈" } else { "" };
    let open = if diagnosis.unconfirmed { "，待确诊" } else { "" };
    format!("{kind}{main}：{}{over}{open}", shown(&diagnosis.coded))
}

/// An entry with a diagnosis. Those of the past are not data elements.
pub(super) fn write_diagnosis(xml: &mut Xml, diagnosis: &Diagnosis) {
    let (de, kind) = match diagnosis.kind {
        DiagnosisKind::Western => ("DE05.01.024.00", "西医诊断编码"),
        DiagnosisKind::TcmDisease => ("DE05.10.130.00", "中医病名代码"),
        DiagnosisKind::TcmSyndrome => ("DE05.10.130.00", "中医证候代码"),
    };
    let admission = diagnosis.role == DiagnosisRole::Admission;
    let history = diagnosis.role == DiagnosisRole::History;
    let inner = match (diagnosis.kind, admission) {
        _ if history => "",
        (DiagnosisKind::Western, true) => "HDSD00.16.032",
        (DiagnosisKind::TcmDisease, true) => "HDSD00.16.033",
        (DiagnosisKind::TcmSyndrome, true) => "HDSD00.16.034",
        (DiagnosisKind::Western, false) => "HDSD00.16.008",
        (DiagnosisKind::TcmDisease, false) => "HDSD00.16.009",
        (DiagnosisKind::TcmSyndrome, false) => "HDSD00.16.010",
    };
    let when = if admission {
        "入院诊断"
    } else if history {
        "既往诊断"
    } else {
        "出院诊断"
    };
    let name = format!("{when}-{kind}");
    entry(xml, inner);
    xml.open("observation", &OBSERVATION);
    if diagnosis.role == DiagnosisRole::DischargeMain {
        xml.open("code", &data_element(de, &name));
        xml.open("qualifier", &[]);
        xml.empty("name", &[("displayName", MAIN)]);
        xml.close_all(2);
    } else {
        xml.data_element(de, &name);
    }
    if let Some(onset) = &diagnosis.onset {
        xml.open("effectiveTime", &[]);
        xml.moment("low", Some(onset));
        xml.close();
    }
    xml.coded("value", "CD", &diagnosis.coded);
    if diagnosis.resolved {
        xml.open("entryRelationship", &[("typeCode", "REFR")]);
        xml.open("observation", &OBSERVATION);
        xml.loinc(STATUS, "Status");
        let attributes = [
            ("xsi:type", "CD"),
            ("code", RESOLVED),
            ("codeSystem", "2.16.840.1.113883.6.96"),
            ("codeSystemName", "SNOMED CT"),
            ("displayName", "已愈"),
        ];
        xml.empty("value", &attributes);
        xml.close_all(2);
    }
    if diagnosis.unconfirmed {
        xml.own(UNCONFIRMED, "待确诊");
        xml.close_all(2);
    }
    xml.close_all(2);
}

/// A section of the record that the model has no element for.
fn plain_section(xml: &mut Xml, section: &Section) {
    xml.open("component", &[("typeCode", "COMP")]);
    xml.open("section", &[("classCode", "DOCSECT"), ("moodCode", "EVN")]);
    let codes = Coded { text: String::new(), codes: section.coded.codes.clone() };
    xml.coded("code", "", &codes);
    xml.text_if("title", &section.coded.text);
    paragraphs_of(xml, STYLE_SECTION, section.text.split('\n'));
    xml.close_all(2);
}
