//! Medicines, each as an order with what became of it.

use serde_json::{Value, json};

use super::super::terms::{MEDICINES, own};
use super::object::{Object, days};
use super::{Writer, line};
use crate::sharing::discharge::model::{DischargeRecord, Medicine, MedicineChange};

/// Adds them.
pub(super) fn write(writer: &mut Writer, record: &DischargeRecord) {
    let mut listed = Vec::new();
    for (index, medicine) in record.medicines.iter().enumerate() {
        let order = order(writer, index, medicine);
        let words = [line(&medicine.coded), medicine.instruction.clone()];
        let words = words.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        listed.push((writer.add(order), words.join(" ")));
    }
    writer.list(MEDICINES, listed);
}

fn order(writer: &Writer, index: usize, medicine: &Medicine) -> Object {
    let stopped = medicine.change == Some(MedicineChange::Stopped);
    let supply = Object::default()
        .quantity("quantity", medicine.supplied.as_ref())
        .value("expectedSupplyDuration", days(medicine.days));
    writer
        .about("MedicationRequest", index)
        .value("extension", change(medicine))
        .text("status", if stopped { "stopped" } else { "active" })
        .text("intent", "order")
        .coded_or_absent("medicationCodeableConcept", &medicine.coded)
        .words("reasonCode", &medicine.reason)
        .list("dosageInstruction", [dosage(medicine)])
        .value("dispenseRequest", supply.build())
}

/// What became of it, as an extension of parts.
fn change(medicine: &Medicine) -> Value {
    let kind = match medicine.change {
        None => "",
        Some(MedicineChange::New) => "new",
        Some(MedicineChange::Continued) => "continued",
        Some(MedicineChange::Altered) => "altered",
        Some(MedicineChange::Stopped) => "stopped",
    };
    let parts = Object::default().extension("kind", "valueCode", Value::from(kind)).extension(
        "text",
        "valueString",
        Value::from(medicine.change_text.as_str()),
    );
    if parts.is_empty() {
        return Value::Null;
    }
    json!([parts.text("url", &own("medicine-change")).build()])
}

fn dosage(medicine: &Medicine) -> Value {
    let dose = Object::default().quantity("doseQuantity", medicine.dose.as_ref()).build();
    let object = Object::default()
        .text("text", &medicine.instruction)
        .value("timing", timing(medicine))
        .coded("route", medicine.route.as_ref())
        .list("doseAndRate", [dose]);
    if medicine.as_needed {
        object.value("asNeededBoolean", Value::Bool(true)).build()
    } else {
        object.build()
    }
}

fn timing(medicine: &Medicine) -> Value {
    let mut timing = Object::default();
    let mut repeat =
        Object::default().period("boundsPeriod", medicine.start.as_ref(), medicine.end.as_ref());
    if let Some(times) = medicine.times_per_day {
        let whole = times >= 1.0 && times.fract() == 0.0 && times <= 1440.0;
        let period = 1.0 / times;
        if whole {
            repeat =
                repeat.number("frequency", times).number("period", 1.0).text("periodUnit", "d");
        } else if period.is_finite() && period > 0.0 {
            repeat = repeat.number("frequency", 1.0).number("period", period);
            repeat = repeat.text("periodUnit", "d");
        }
        // Once in a third of a day is no number that comes back.
        if !whole {
            timing = timing.extension("times-per-day", "valueDecimal", Value::from(times));
        }
    }
    let frequency = Object::default().text("text", &medicine.frequency).build();
    timing.value("repeat", repeat.build()).value("code", frequency).build()
}
