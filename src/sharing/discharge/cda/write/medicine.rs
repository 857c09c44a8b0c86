//! A medicine as a substance administration.

use super::super::super::model::{Coded, Medicine, Quantity};
use super::super::medicine::{AS_NEEDED, CHANGES};
use super::body::{OBSERVATION, entry, shown};
use super::entries::{amount, joined, labelled, period};
use super::xml::Xml;

/// How it is told in the text of the section.
pub(super) fn text(medicine: &Medicine) -> String {
    let change = medicine.change.and_then(|change| {
        CHANGES.iter().find(|(.., of)| *of == change).map(|(_, name, _)| format!("【{name}】"))
    });
    let times = medicine.times_per_day.map(|times| format!("每日{times}次"));
    let days = medicine.days.map(|days| format!("共{days}天"));
    let date = |of: &Option<super::super::super::Moment>| {
        of.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    joined(&[
        format!("{}{}", change.unwrap_or_default(), shown(&medicine.coded)),
        labelled("每次", &amount(medicine.dose.as_ref())),
        medicine.route.as_ref().map(shown).unwrap_or_default(),
        times.unwrap_or_default(),
        medicine.frequency.clone(),
        if medicine.as_needed { AS_NEEDED.to_owned() } else { String::new() },
        days.unwrap_or_default(),
        labelled("从", &date(&medicine.start)),
        labelled("至", &date(&medicine.end)),
        labelled("用于", &medicine.reason),
        medicine.instruction.clone(),
        labelled("变化：", &medicine.change_text),
        labelled("带药", &amount(medicine.supplied.as_ref())),
    ])
}

/// Its entry.
pub(super) fn write(xml: &mut Xml, medicine: &Medicine) {
    entry(xml, "");
    xml.open("substanceAdministration", &[("classCode", "SBADM"), ("moodCode", "INT")]);
    xml.text_if("text", &medicine.instruction);
    xml.empty("statusCode", &[("code", "active")]);
    let inexact = timing(xml, medicine);
    if let Some(route) = &medicine.route {
        xml.coded("routeCode", "", route);
    }
    if let Some(dose) = &medicine.dose {
        xml.quantity("doseQuantity", "", dose);
    }
    xml.open("consumable", &[("typeCode", "CSM")]);
    xml.open("manufacturedProduct", &[("classCode", "MANU")]);
    xml.open("manufacturedMaterial", &[("classCode", "MMAT"), ("determinerCode", "KIND")]);
    xml.coded("code", "", &medicine.coded);
    xml.close_all(3);
    if let Some(change) = medicine.change {
        xml.own("medicine-change", "用药变化");
        let (code, name) = CHANGES
            .iter()
            .find(|(.., of)| *of == change)
            .map_or(("", ""), |(code, name, _)| (*code, *name));
        let attributes = [
            ("xsi:type", "CD"),
            ("code", code),
            ("codeSystemName", super::super::systems::OWN),
            ("displayName", name),
        ];
        xml.empty("value", &attributes);
        xml.close_all(2);
    }
    xml.own_text("change-text", "用药变化说明", &medicine.change_text);
    xml.own_text("frequency", "频次", &medicine.frequency);
    if let Some(value) = medicine.times_per_day.filter(|_| inexact) {
        xml.own("times-per-day", "每日次数");
        xml.quantity("value", "PQ", &Quantity { value, unit: "1/d".to_owned() });
        xml.close_all(2);
    }
    if !medicine.reason.is_empty() {
        xml.open("entryRelationship", &[("typeCode", "RSON")]);
        xml.open("observation", &OBSERVATION);
        xml.empty("code", &[("nullFlavor", "NA")]);
        xml.coded("value", "CD", &Coded::text(medicine.reason.as_str()));
        xml.close_all(2);
    }
    if let Some(supplied) = &medicine.supplied {
        xml.open("entryRelationship", &[("typeCode", "REFR")]);
        xml.open("supply", &[("classCode", "SPLY"), ("moodCode", "EVN")]);
        xml.quantity("quantity", "", supplied);
        xml.close_all(2);
    }
    if medicine.as_needed {
        xml.open("precondition", &[("typeCode", "PRCN")]);
        xml.open("criterion", &[]);
        xml.text("text", &[], AS_NEEDED);
        xml.close_all(2);
    }
    xml.close_all(2);
}

/// When: whether the times a day are not exactly those of the period that was written.
fn timing(xml: &mut Xml, medicine: &Medicine) -> bool {
    const TIME: &str = "effectiveTime";
    period(xml, TIME, "IVL_TS", medicine.start.as_ref(), medicine.end.as_ref());
    if let Some(value) = medicine.days {
        xml.open(TIME, &[("xsi:type", "IVL_TS")]);
        xml.quantity("width", "", &Quantity { value, unit: "d".to_owned() });
        xml.close();
    }
    let Some(times) = medicine.times_per_day else { return false };
    let hours = 24.0 / times;
    if !hours.is_finite() || hours <= 0.0 {
        return true;
    }
    xml.open(TIME, &[("xsi:type", "PIVL_TS"), ("institutionSpecified", "true")]);
    xml.quantity("period", "", &Quantity { value: hours, unit: "h".to_owned() });
    xml.close();
    (24.0 / hours).to_bits() != times.to_bits()
}
