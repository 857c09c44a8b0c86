//! Entries of procedures, measurements, allergies, images and follow-ups, and how each is told in the
//! text of its section.

use super::super::super::model::{
    Allergy, Coded, FollowUp, ImagingReference, Measurement, Procedure, Quantity, Target,
};
use super::super::systems;
use super::body::{OBSERVATION, entry, shown};
use super::values::stamp;
use super::xml::Xml;

/// What is planned.
const PLANNED: [(&str, &str); 2] = [("classCode", "ACT"), ("moodCode", "RQO")];
/// A goal.
const GOAL: [(&str, &str); 2] = [("classCode", "OBS"), ("moodCode", "GOL")];

/// The parts that say something, one after the other.
pub(super) fn joined(parts: &[String]) -> String {
    let said: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    said.join("，")
}

/// `label` and `text`, if there is any.
pub(super) fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{label}{text}") }
}

/// A quantity as it is read.
pub(super) fn amount(quantity: Option<&Quantity>) -> String {
    quantity.map(|of| format!("{}{}", of.value, of.unit)).unwrap_or_default()
}

pub(super) fn procedure_text(procedure: &Procedure) -> String {
    let part = |label: &str, of: &Option<Coded>| of.as_ref().map(|of| labelled(label, &shown(of)));
    joined(&[
        procedure.started.as_ref().map(ToString::to_string).unwrap_or_default(),
        shown(&procedure.coded),
        part("麻醉：", &procedure.anaesthesia).unwrap_or_default(),
        part("切口：", &procedure.incision).unwrap_or_default(),
        part("愈合：", &procedure.healing).unwrap_or_default(),
        labelled("过程：", &procedure.course),
    ])
}

pub(super) fn procedure(xml: &mut Xml, procedure: &Procedure) {
    entry(xml, "HDSD00.16.038 DE06.00.093.00 手术及操作编码");
    xml.open("procedure", &[("classCode", "PROC"), ("moodCode", "EVN")]);
    xml.coded("code", "", &procedure.coded);
    xml.empty("statusCode", &[("code", "completed")]);
    if let Some(started) = &procedure.started {
        xml.comment("HDSD00.16.039 DE06.00.221.00 手术及操作开始日期时间");
        xml.moment("effectiveTime", Some(started));
    }
    for (inner, de, name, value) in [
        ("HDSD00.16.040", "DE06.00.257.00", "手术切口类别代码", &procedure.incision),
        ("HDSD00.16.029", "DE05.10.147.00", "切口愈合等级代码", &procedure.healing),
        ("HDSD00.16.025", "DE06.00.073.00", "麻醉方法代码", &procedure.anaesthesia),
    ] {
        let Some(value) = value else { continue };
        inner_element(xml, inner, de, name);
        xml.coded("value", "CD", value);
        xml.close_all(2);
    }
    if !procedure.course.is_empty() {
        inner_element(xml, "HDSD00.16.037", "DE05.10.063.00", "手术过程");
        xml.text("value", &[("xsi:type", "ST")], &procedure.course);
        xml.close_all(2);
    }
    xml.close_all(2);
}

/// A data element within an entry; two elements are open.
fn inner_element(xml: &mut Xml, inner: &str, de: &str, name: &str) {
    xml.comment(inner);
    xml.open("entryRelationship", &[("typeCode", "COMP")]);
    xml.open("observation", &OBSERVATION);
    xml.data_element(de, name);
}

pub(super) fn measurement_text(measurement: &Measurement) -> String {
    joined(&[
        format!(
            "{}：{}{}",
            shown(&measurement.coded),
            amount(measurement.value.as_ref()),
            measurement.text
        ),
        labelled("", &measurement.interpretation),
        labelled("参考值：", &measurement.reference_range),
        measurement.taken.as_ref().map(ToString::to_string).unwrap_or_default(),
    ])
}

pub(super) fn measurement(xml: &mut Xml, measurement: &Measurement) {
    entry(xml, "");
    xml.open("observation", &OBSERVATION);
    xml.coded("code", "", &measurement.coded);
    xml.empty("statusCode", &[("code", "completed")]);
    if let Some(taken) = &measurement.taken {
        xml.moment("effectiveTime", Some(taken));
    }
    if let Some(value) = &measurement.value {
        xml.quantity("value", "PQ", value);
    }
    if !measurement.text.is_empty() {
        xml.text("value", &[("xsi:type", "ST")], &measurement.text);
    }
    if !measurement.interpretation.is_empty() {
        xml.coded("interpretationCode", "", &Coded::text(measurement.interpretation.as_str()));
    }
    if !measurement.reference_range.is_empty() {
        xml.open("referenceRange", &[("typeCode", "REFV")]);
        xml.open("observationRange", &[]);
        xml.text("text", &[], &measurement.reference_range);
        xml.close_all(2);
    }
    xml.close_all(2);
}

pub(super) fn allergy_text(allergy: &Allergy) -> String {
    let absent = if allergy.absent { "（无）" } else { "" };
    joined(&[format!("{}{absent}", shown(&allergy.coded)), labelled("反应：", &allergy.reaction)])
}

pub(super) fn allergy(xml: &mut Xml, allergy: &Allergy) {
    entry(xml, "");
    let absent = if allergy.absent { "true" } else { "" };
    xml.open("observation", &[("classCode", "OBS"), ("moodCode", "EVN"), ("negationInd", absent)]);
    xml.empty("code", &[("code", "ASSERTION"), ("codeSystem", "2.16.840.1.113883.5.4")]);
    xml.empty("statusCode", &[("code", "completed")]);
    xml.open("participant", &[("typeCode", "CSM")]);
    xml.open("participantRole", &[("classCode", "MANU")]);
    xml.open("playingEntity", &[("classCode", "MMAT"), ("determinerCode", "INSTANCE")]);
    xml.coded("code", "", &allergy.coded);
    xml.close_all(3);
    if !allergy.reaction.is_empty() {
        xml.open("entryRelationship", &[("typeCode", "MFST"), ("inversionInd", "true")]);
        xml.open("observation", &OBSERVATION);
        xml.empty("code", &[("nullFlavor", "NA")]);
        xml.coded("value", "CD", &Coded::text(allergy.reaction.as_str()));
        xml.close_all(2);
    }
    xml.close_all(2);
}

pub(super) fn imaging_text(imaging: &ImagingReference) -> String {
    joined(&[
        imaging.date.as_ref().map(ToString::to_string).unwrap_or_default(),
        labelled("", &imaging.modality),
        labelled("", &imaging.description),
        labelled("检查号：", &imaging.accession_number),
        labelled("报告：", &imaging.report),
    ])
}

pub(super) fn imaging(xml: &mut Xml, imaging: &ImagingReference) {
    entry(xml, "");
    xml.open("act", &[("classCode", "ACT"), ("moodCode", "EVN")]);
    if systems::is_oid(&imaging.study_uid) {
        xml.empty("id", &[("root", &imaging.study_uid)]);
    } else if !imaging.study_uid.is_empty() {
        xml.empty("id", &[("extension", &imaging.study_uid)]);
    }
    xml.own_code("imaging-reference", "影像检查");
    xml.text_if("text", &imaging.description);
    xml.empty("statusCode", &[("code", "completed")]);
    if let Some(date) = &imaging.date {
        xml.moment("effectiveTime", Some(date));
    }
    xml.own_text("accession-number", "检查号", &imaging.accession_number);
    xml.own_text("modality", "检查类别", &imaging.modality);
    xml.own_text("report", "检查报告", &imaging.report);
    xml.close_all(2);
}

pub(super) fn follow_up_text(follow_up: &FollowUp) -> String {
    let from = follow_up.from.as_ref().map(|from| format!("{from}起")).unwrap_or_default();
    let due = follow_up.due.as_ref().map(|due| format!("{due}前")).unwrap_or_default();
    let mut parts = vec![
        labelled("随访：", &shown(&follow_up.coded)),
        from,
        due,
        labelled("由", &follow_up.by),
        follow_up.text.clone(),
    ];
    parts.extend(follow_up.targets.iter().map(|target| {
        let low = labelled("不低于", &amount(target.low.as_ref()));
        let high = labelled("不高于", &amount(target.high.as_ref()));
        labelled("目标：", &joined(&[shown(&target.coded), low, high, target.text.clone()]))
    }));
    joined(&parts)
}

pub(super) fn follow_up(xml: &mut Xml, follow_up: &FollowUp) {
    entry(xml, "");
    xml.open("act", &PLANNED);
    xml.coded("code", "", &follow_up.coded);
    xml.text_if("text", &follow_up.text);
    xml.empty("statusCode", &[("code", "active")]);
    period(xml, "effectiveTime", "", follow_up.from.as_ref(), follow_up.due.as_ref());
    xml.own_text("by", "执行者", &follow_up.by);
    for of in &follow_up.targets {
        target(xml, of);
    }
    xml.close_all(2);
}

/// A time with the bounds that are known, if any is.
pub(super) fn period(
    xml: &mut Xml,
    name: &'static str,
    kind: &str,
    low: Option<&super::super::super::Moment>,
    high: Option<&super::super::super::Moment>,
) {
    if low.is_none() && high.is_none() {
        return;
    }
    xml.open(name, &[("xsi:type", kind)]);
    for (bound, moment) in [("low", low), ("high", high)] {
        if let Some(moment) = moment {
            xml.empty(bound, &[("value", &stamp(moment))]);
        }
    }
    xml.close();
}

fn target(xml: &mut Xml, target: &Target) {
    xml.open("entryRelationship", &[("typeCode", "COMP")]);
    xml.open("observation", &GOAL);
    xml.coded("code", "", &target.coded);
    xml.text_if("text", &target.text);
    if target.low.is_some() || target.high.is_some() {
        xml.open("value", &[("xsi:type", "IVL_PQ")]);
        if let Some(low) = &target.low {
            xml.quantity("low", "", low);
        }
        if let Some(high) = &target.high {
            xml.quantity("high", "", high);
        }
        xml.close();
    }
    xml.close_all(2);
}
