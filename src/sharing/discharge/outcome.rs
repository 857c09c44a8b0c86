//! That a patient died, in the words and codes of the senders.

use super::model::{Code, Coded, DischargeRecord};

/// 治疗结果代码 (DE05.10.113.00).
const OUTCOMES: &str = "2.16.156.10011.2.3.1.148";
/// 死亡 in it.
const DIED: &str = "5";
/// 离院方式代码 (DE06.00.223.00), in which 5 is 死亡 too (`memory`: the table of WS/T 500.32 was not at
/// hand; the documents name it so).
const WAYS: &str = "2.16.156.10011.2.3.1.265";

/// Whether a code of where a patient went after discharge says that the patient died: `exp` of HL7's
/// discharge-disposition, and 20 and 40 to 42 of the American uniform bill, which C-CDA uses (`memory`).
pub(super) fn is_death_disposition(code: &str) -> bool {
    matches!(code, "exp" | "20" | "40" | "41" | "42")
}

/// Whether a value of 离院方式 says that the patient died.
pub(super) fn is_death_way(coded: &Coded) -> bool {
    coded.text.contains("死亡")
        || coded.codes.iter().any(|code| code.system.ends_with(WAYS) && code.code == DIED)
}

/// Keeps that the patient died, in the sender's words, beside what the outcome says. The standard's own
/// code for it is added, so that whoever reads the record later finds one place.
pub(super) fn died(outcome: &mut Option<Coded>, said: Coded) {
    let outcome = outcome.get_or_insert_default();
    if outcome.text.is_empty() {
        outcome.text = if said.text.is_empty() { "死亡".to_owned() } else { said.text };
    }
    outcome.codes.extend(said.codes);
    if !is_death(outcome) {
        let system = format!("urn:oid:{OUTCOMES}");
        let (code, display) = (DIED.to_owned(), "死亡".to_owned());
        outcome.codes.push(Code { system, code, display });
    }
}

fn is_death(outcome: &Coded) -> bool {
    let coded = |code: &Code| {
        code.display.contains("死亡")
            || (code.system.ends_with(OUTCOMES) && code.code == DIED)
            || (code.system.ends_with(WAYS) && code.code == DIED)
            || (code.system.ends_with("discharge-disposition") && is_death_disposition(&code.code))
    };
    outcome.text.contains("死亡") || outcome.codes.iter().any(coded)
}

/// Whether the record says that the patient died.
pub(super) fn is_dead(record: &DischargeRecord) -> bool {
    record.stay.outcome.as_ref().is_some_and(is_death)
}
