//! Deep vein thrombosis and pulmonary embolism before any test.

use super::points::{Item, answered, total};
use super::{Calculator, Input, Score};

const DVT: [Item<DvtSign>; 10] = [
    (DvtSign::ActiveCancer, "active_cancer", 1.0),
    (DvtSign::Paralysis, "paralysis_or_cast", 1.0),
    (DvtSign::Bedridden, "bedridden_or_surgery", 1.0),
    (DvtSign::Tenderness, "tender_along_deep_veins", 1.0),
    (DvtSign::LegSwollen, "entire_leg_swollen", 1.0),
    (DvtSign::CalfSwollen, "calf_swollen_3_cm", 1.0),
    (DvtSign::PittingOedema, "pitting_oedema", 1.0),
    (DvtSign::CollateralVeins, "collateral_veins", 1.0),
    (DvtSign::PreviousDvt, "previous_dvt", 1.0),
    (DvtSign::OtherDiagnosis, "other_diagnosis_as_likely", -2.0),
];

pub(super) const WELLS_DVT: Calculator = Calculator {
    name: "wells_dvt",
    title_zh: "下肢深静脉血栓可能性 Wells 评分",
    unit: "分",
    source: "Wells PS, Anderson DR, Rodger M, et al. Evaluation of D-dimer in the diagnosis of \
             suspected deep-vein thrombosis. N Engl J Med 2003; 349: 1227–1235.",
    inputs: &[
        Input::yes_no("active_cancer", "活动期癌症（治疗中、6个月内治疗过或姑息治疗）"),
        Input::yes_no("paralysis_or_cast", "下肢瘫痪、不全瘫或近期石膏固定"),
        Input::yes_no("bedridden_or_surgery", "近期卧床≥3天，或12周内大手术"),
        Input::yes_no("tender_along_deep_veins", "沿深静脉走行压痛"),
        Input::yes_no("entire_leg_swollen", "整条腿肿胀"),
        Input::yes_no("calf_swollen_3_cm", "小腿比健侧粗3 cm以上（胫骨粗隆下10 cm处）"),
        Input::yes_no("pitting_oedema", "仅患肢凹陷性水肿"),
        Input::yes_no("collateral_veins", "浅静脉侧支（非曲张）"),
        Input::yes_no("previous_dvt", "既往确诊深静脉血栓"),
        Input::yes_no("other_diagnosis_as_likely", "有同样可能或更可能的其他诊断"),
    ],
    compute: |v| {
        let value = wells_dvt(&answered(&DVT, v));
        let advice = if value >= 2.0 {
            "很可能（≥2分，约28%有血栓）：当天转上级医院做静脉超声，勿按摩患肢"
        } else {
            "不大可能（<2分，约6%有血栓）：查 D-二聚体，阴性可基本排除，阳性或不能查则转诊做超声"
        };
        Score { value, meaning_zh: format!("{value:.0} 分，{advice}。") }
    },
};

/// What speaks for a deep vein thrombosis, or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DvtSign {
    /// Cancer treated within 6 months or palliatively.
    ActiveCancer,
    /// Paralysis, paresis or recent cast of a leg.
    Paralysis,
    /// Bedridden for 3 days or more, or major surgery within 12 weeks.
    Bedridden,
    /// Tenderness along the deep veins.
    Tenderness,
    /// The entire leg is swollen.
    LegSwollen,
    /// The calf is at least 3 cm larger than the other.
    CalfSwollen,
    /// Pitting oedema of this leg only.
    PittingOedema,
    /// Collateral superficial veins that are not varicose.
    CollateralVeins,
    /// Documented thrombosis before.
    PreviousDvt,
    /// Another diagnosis is at least as likely: −2 points.
    OtherDiagnosis,
}

/// Wells score for deep vein thrombosis, −2 to 9; from 2 on it is likely.
///
/// Wells PS et al., N Engl J Med 2003; 349: 1227–1235.
pub fn wells_dvt(signs: &[DvtSign]) -> f64 {
    total(&DVT, signs)
}

const PE: [Item<PeSign>; 7] = [
    (PeSign::SignsOfDvt, "signs_of_dvt", 3.0),
    (PeSign::MostLikely, "pe_most_likely", 3.0),
    (PeSign::FastHeart, "heart_rate_over_100", 1.5),
    (PeSign::Immobile, "immobile_or_surgery", 1.5),
    (PeSign::PreviousThrombosis, "previous_dvt_or_pe", 1.5),
    (PeSign::Haemoptysis, "haemoptysis", 1.0),
    (PeSign::Cancer, "cancer", 1.0),
];

pub(super) const WELLS_PE: Calculator = Calculator {
    name: "wells_pe",
    title_zh: "肺栓塞可能性 Wells 评分",
    unit: "分",
    source: "Wells PS, Anderson DR, Rodger M, et al. Derivation of a simple clinical model to \
             categorize patients probability of pulmonary embolism: increasing the models utility \
             with the SimpliRED D-dimer. Thromb Haemost 2000; 83: 416–420. Frequencies: van Belle \
             A, et al. (Christopher Study). JAMA 2006; 295: 172–179.",
    inputs: &[
        Input::yes_no("signs_of_dvt", "深静脉血栓的体征（至少腿肿和深静脉触痛）"),
        Input::yes_no("pe_most_likely", "肺栓塞比其他诊断更可能"),
        Input::yes_no("heart_rate_over_100", "心率>100次/分"),
        Input::yes_no("immobile_or_surgery", "卧床≥3天，或4周内手术"),
        Input::yes_no("previous_dvt_or_pe", "既往深静脉血栓或肺栓塞"),
        Input::yes_no("haemoptysis", "咯血"),
        Input::yes_no("cancer", "癌症（6个月内治疗过或姑息治疗）"),
    ],
    compute: |v| {
        let value = wells_pe(&answered(&PE, v));
        let advice = if value > 4.0 {
            "很可能（>4分，约37%有肺栓塞）：立即转能做肺动脉CT的医院，血氧低时吸氧"
        } else {
            "不大可能（≤4分，约12%有肺栓塞）：查 D-二聚体，阴性可基本排除，阳性或不能查则转诊"
        };
        let meaning_zh =
            format!("{value:.1} 分，{advice}；低血压、晕厥或血氧低者不等评分，呼叫120。");
        Score { value, meaning_zh }
    },
};

/// What speaks for a pulmonary embolism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeSign {
    /// Leg swelling and pain on palpation of the deep veins, at least.
    SignsOfDvt,
    /// Alternative diagnoses are less likely.
    MostLikely,
    /// Heart rate above 100 per minute.
    FastHeart,
    /// Bedridden for 3 days or more, or surgery within 4 weeks.
    Immobile,
    /// Deep vein thrombosis or pulmonary embolism before.
    PreviousThrombosis,
    /// Haemoptysis.
    Haemoptysis,
    /// Cancer treated within 6 months or palliatively.
    Cancer,
}

/// Wells score for pulmonary embolism, 0 to 12.5; above 4 it is likely.
///
/// Wells PS et al., Thromb Haemost 2000; 83: 416–420.
pub fn wells_pe(signs: &[PeSign]) -> f64 {
    total(&PE, signs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_signs_make_the_greatest_scores() {
        let dvt = DVT.map(|(sign, ..)| sign);
        assert!((wells_dvt(&dvt[..9]) - 9.0).abs() < 1e-9);
        assert!((wells_dvt(&dvt) - 7.0).abs() < 1e-9);
        assert!((wells_dvt(&[DvtSign::OtherDiagnosis]) + 2.0).abs() < 1e-9);
        assert!((wells_pe(&PE.map(|(sign, ..)| sign)) - 12.5).abs() < 1e-9);
    }

    #[test]
    fn an_embolism_is_likely_only_above_four() {
        let four = [PeSign::SignsOfDvt, PeSign::Haemoptysis];
        let more = [PeSign::MostLikely, PeSign::FastHeart];
        assert!((wells_pe(&four) - 4.0).abs() < 1e-9);
        assert!((wells_pe(&more) - 4.5).abs() < 1e-9);
    }
}
