//! Where the patient belongs now: home, this clinic, the township, the county, or an ambulance.
//!
//! Red flags decide first and cannot be outvoted. Below them stands the level of care that the
//! tables give the likely conditions, raised by what must not be missed. The limits here are
//! assumptions of this file, not taken from a guideline.

use super::differential::Differential;
use super::red_flags::{ReferTo, Urgency};
use crate::medicine::vocabulary::{Referral, Severity, Vocabulary};

/// Least probability at which a critical condition that must not be missed sends to the county.
const CRITICAL_MIN: f32 = 0.25;
/// Least probability of all severe and critical conditions together at which the patient is sent on
/// today.
const SEVERE_MIN: f32 = 0.3;
/// Least probability at which a likely condition decides the level of care.
const LIKELY_MIN: f32 = 0.2;
/// Least probability at which a mild condition may be treated at home.
const HOME_MIN: f32 = 0.5;
/// Above this probability of being outside the list the case goes to the township.
const OUTSIDE_MAX: f32 = 0.5;

/// Where the patient belongs, the least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Home with advice.
    Home,
    /// Treated at this clinic.
    Clinic,
    /// 乡镇卫生院
    Township,
    /// 县级医院
    County,
    /// 120, now.
    Ambulance,
}

/// A place with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    /// Where.
    pub place: Place,
    /// Why, in Chinese.
    pub reason: String,
    /// Whether it must be acted on now.
    pub emergency: bool,
    /// Whether a planned visit, within days or weeks, will do; else it is for today.
    pub can_wait: bool,
}

/// Decides from the red flags first, then from the differential.
pub fn decide(vocabulary: &Vocabulary, differential: &Differential<'_>) -> Triage {
    // The first of the worst: `max_by_key` gives the last.
    let worst =
        differential.red_flags.iter().rev().max_by_key(|hit| {
            (place_of(hit.flag.refer_to), hit.flag.urgency == Urgency::Emergency)
        });
    if let Some(hit) = worst {
        let emergency = differential.red_flags.iter().any(|h| h.flag.urgency == Urgency::Emergency);
        return Triage {
            place: place_of(hit.flag.refer_to),
            reason: format!("危险信号：{}", hit.flag.name_zh),
            emergency,
            can_wait: false,
        };
    }
    let named = |place, name: &str, why: &str| Triage {
        place,
        reason: format!("{why}：{name}"),
        emergency: false,
        can_wait: false,
    };
    let all = || differential.ranked.iter().chain(&differential.must_not_miss);
    for candidate in all() {
        let Some(condition) = vocabulary.get_condition(candidate.condition) else { continue };
        let critical = condition.must_not_miss && condition.severity == Severity::Critical;
        if critical && candidate.probability >= CRITICAL_MIN {
            return named(Place::County, &condition.name_zh, "须尽快排除");
        }
    }
    let severe: Vec<_> = all()
        .filter_map(|c| Some((c.probability, vocabulary.get_condition(c.condition)?)))
        .filter(|(_, condition)| condition.severity >= Severity::Severe)
        .collect();
    if severe.iter().map(|(p, _)| p).sum::<f32>() >= SEVERE_MIN
        && let Some((_, first)) = severe.first()
    {
        let likely = severe.iter().filter(|(p, c)| *p >= LIKELY_MIN || c.slug == first.slug);
        let highest = likely.map(|(_, c)| place_for(c.referral)).max();
        let place = highest.unwrap_or(Place::Township).max(Place::Township);
        return named(place, &first.name_zh, "可能的严重疾病");
    }
    if differential.outside_probability > OUTSIDE_MAX {
        let reason = "本例可能不在模型认识的疾病之内".to_owned();
        return Triage { place: Place::Township, reason, emergency: false, can_wait: false };
    }
    let mut decided: Option<Triage> = None;
    for candidate in &differential.ranked {
        let Some(condition) = vocabulary.get_condition(candidate.condition) else { continue };
        if candidate.probability < LIKELY_MIN {
            continue;
        }
        let home = condition.severity == Severity::Mild && candidate.probability >= HOME_MIN;
        let home = home && condition.referral == Referral::Village;
        let place = if home { Place::Home } else { place_for(condition.referral) };
        if decided.as_ref().is_none_or(|d| place > d.place) {
            let likely = named(place, &condition.name_zh, "可能的诊断");
            decided = Some(Triage { can_wait: true, ..likely });
        }
    }
    decided.unwrap_or_else(|| Triage {
        place: Place::Clinic,
        reason: "依据不足，先在诊所补充问诊和检查".to_owned(),
        emergency: false,
        can_wait: true,
    })
}

/// The lowest level of care that should treat a condition.
fn place_for(referral: Referral) -> Place {
    match referral {
        Referral::Village => Place::Clinic,
        Referral::Township => Place::Township,
        Referral::County | Referral::City => Place::County,
    }
}

fn place_of(refer_to: ReferTo) -> Place {
    match refer_to {
        ReferTo::Township => Place::Township,
        ReferTo::County => Place::County,
        ReferTo::Ambulance => Place::Ambulance,
    }
}

#[cfg(test)]
#[path = "triage_tests.rs"]
mod tests;
