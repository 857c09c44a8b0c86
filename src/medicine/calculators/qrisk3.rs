//! Ten-year risk of cardiovascular disease by QRISK3, a model of the English population.
//!
//! The score depends on the published coefficients alone; the code here is our own. QRISK is a mark
//! of its authors, who ask everyone to compare with <https://qrisk.org>: the tests do, by the
//! vectors of the published code.

use super::body::body_mass_index;
use super::qrisk3_coefficients::{MEN, Model, WOMEN};
use super::{Calculator, FEMALE, Input, Score, Values};
use crate::medicine::patient::Sex;

/// The range of body mass index of the model; what lies outside counts as its limit.
const BMI: (f64, f64) = (20.0, 40.0);
/// The range of the cholesterol ratio of the model, likewise.
const RATIO: (f64, f64) = (1.0, 11.0);

pub(super) const QRISK3: Calculator = Calculator {
    name: "qrisk3",
    title_zh: "10年心脑血管病风险 QRISK3-2017（英国人群）",
    unit: "%",
    source: "Hippisley-Cox J, Coupland C, Brindle P. Development and validation of QRISK3 risk \
             prediction algorithms to estimate future risk of cardiovascular disease: prospective \
             cohort study. BMJ 2017; 357: j2099. Threshold: NICE NG238, 2023.",
    inputs: &[
        Input::number("age_years", "年龄", "岁", (25.0, 84.0)),
        FEMALE,
        Input::number("weight_kg", "体重", "kg", (30.0, 300.0)),
        Input::number("height_cm", "身高", "cm", (120.0, 220.0)),
        Input::number("total_cholesterol_mmol_l", "总胆固醇", "mmol/L", (2.0, 20.0)),
        Input::number("hdl_cholesterol_mmol_l", "高密度脂蛋白胆固醇", "mmol/L", (0.3, 5.0)),
        Input::number("systolic_mmhg", "收缩压", "mmHg", (70.0, 210.0)),
        Input::choice(
            "smoking",
            "吸烟（0 从不，1 已戒，2 每日<10支，3 每日10～19支，4 每日≥20支）",
            (0.0, 4.0),
        ),
        Input::choice("diabetes_type", "糖尿病（0 无，1 1型，2 2型）", (0.0, 2.0)),
        Input::yes_no("treated_hypertension", "正在治疗的高血压"),
        Input::yes_no("family_history", "父母或兄弟姐妹60岁前有冠心病"),
        Input::yes_no("atrial_fibrillation", "心房颤动"),
        Input::yes_no("kidney_disease", "慢性肾病3～5期"),
        Input::yes_no("migraine", "偏头痛").optional(),
        Input::yes_no("rheumatoid_arthritis", "类风湿关节炎").optional(),
        Input::yes_no("lupus", "系统性红斑狼疮").optional(),
        Input::yes_no("severe_mental_illness", "重性精神病（含中重度抑郁）").optional(),
        Input::yes_no("atypical_antipsychotics", "服用非典型抗精神病药").optional(),
        Input::yes_no("corticosteroids", "长期口服糖皮质激素").optional(),
        Input::yes_no("erectile_dysfunction", "勃起功能障碍（男）").optional(),
        Input::number("systolic_sd_mmhg", "多次收缩压的标准差", "mmHg", (0.0, 40.0)).optional(),
        Input::choice(
            "ethnicity",
            "族裔（1 白人或未说明，2 印度，3 巴基斯坦，4 孟加拉，5 其他亚裔，6 加勒比黑人，\
             7 非洲黑人，8 华人，9 其他；不填按8）",
            (1.0, 9.0),
        )
        .optional(),
        Input::number("townsend", "英国汤森贫困指数（不填按平均）", "分", (-7.0, 11.0)).optional(),
    ],
    compute: described,
};

/// Ethnic groups of the English census, as the model has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ethnicity {
    /// 1
    WhiteOrNotStated,
    /// 2
    Indian,
    /// 3
    Pakistani,
    /// 4
    Bangladeshi,
    /// 5
    OtherAsian,
    /// 6
    BlackCaribbean,
    /// 7
    BlackAfrican,
    /// 8
    Chinese,
    /// 9
    Other,
}

/// Smoking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoking {
    /// Never.
    Never,
    /// Stopped.
    Former,
    /// Fewer than 10 cigarettes a day.
    Light,
    /// 10 to 19.
    Moderate,
    /// 20 or more.
    Heavy,
}

/// What is present besides the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RiskFactor {
    /// Atrial fibrillation.
    AtrialFibrillation,
    /// Takes atypical antipsychotics.
    AtypicalAntipsychotics,
    /// Takes oral corticosteroids regularly.
    Corticosteroids,
    /// Erectile dysfunction or its treatment; men only.
    ErectileDysfunction,
    /// Migraine.
    Migraine,
    /// Rheumatoid arthritis.
    RheumatoidArthritis,
    /// Chronic kidney disease of stage 3, 4 or 5.
    KidneyDisease,
    /// Schizophrenia, bipolar disorder, moderate or severe depression.
    SevereMentalIllness,
    /// Systemic lupus erythematosus.
    Lupus,
    /// Treated hypertension.
    TreatedHypertension,
    /// Type 1 diabetes.
    Type1Diabetes,
    /// Type 2 diabetes.
    Type2Diabetes,
    /// Coronary disease of a parent or sibling below 60 years.
    FamilyHistory,
}

/// The factors that are asked for as yes or no.
const FACTORS: [(RiskFactor, &str); 11] = [
    (RiskFactor::AtrialFibrillation, "atrial_fibrillation"),
    (RiskFactor::AtypicalAntipsychotics, "atypical_antipsychotics"),
    (RiskFactor::Corticosteroids, "corticosteroids"),
    (RiskFactor::ErectileDysfunction, "erectile_dysfunction"),
    (RiskFactor::Migraine, "migraine"),
    (RiskFactor::RheumatoidArthritis, "rheumatoid_arthritis"),
    (RiskFactor::KidneyDisease, "kidney_disease"),
    (RiskFactor::SevereMentalIllness, "severe_mental_illness"),
    (RiskFactor::Lupus, "lupus"),
    (RiskFactor::TreatedHypertension, "treated_hypertension"),
    (RiskFactor::FamilyHistory, "family_history"),
];

/// Who is assessed: from 25 to 84 years, without cardiovascular disease and without statins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Qrisk3<'a> {
    /// Age.
    pub age_years: f64,
    /// Sex.
    pub sex: Sex,
    /// Ethnic group.
    pub ethnicity: Ethnicity,
    /// Smoking.
    pub smoking: Smoking,
    /// Body mass index in kg/m²; counts from 20 to 40.
    pub body_mass_index: f64,
    /// Total cholesterol over HDL cholesterol; counts from 1 to 11.
    pub cholesterol_ratio: f64,
    /// Systolic blood pressure.
    pub systolic_mmhg: f64,
    /// Standard deviation of two or more systolic pressures; the mean of the cohort if unknown.
    pub systolic_sd_mmhg: Option<f64>,
    /// Townsend index of deprivation; the mean of the cohort if unknown.
    pub townsend: Option<f64>,
    /// What is present.
    pub factors: &'a [RiskFactor],
}

/// Risk of coronary disease, ischaemic stroke or transient ischaemic attack within 10 years by
/// QRISK3-2017, in percent.
///
/// Hippisley-Cox J et al., BMJ 2017; 357: j2099.
pub fn qrisk3(person: &Qrisk3<'_>) -> f64 {
    let model = match person.sex {
        Sex::Female => &WOMEN,
        Sex::Male => &MEN,
    };
    100.0 * (1.0 - model.survival.powf(log_hazard(model, person).exp()))
}

/// The logarithm of the hazard, relative to the mean of everything.
fn log_hazard(model: &Model, person: &Qrisk3<'_>) -> f64 {
    let decades = person.age_years / 10.0;
    let age = model.age.map(|(power, mean, _)| decades.powi(power) - mean);
    let of_age: f64 =
        age.iter().zip(&model.age).map(|(x, (.., coefficient))| x * coefficient).sum();

    let tenth = person.body_mass_index.clamp(BMI.0, BMI.1) / 10.0;
    let inverse_square = tenth.powi(-2);
    let [bmi, bmi_log] = model.bmi;
    let measured = [
        (inverse_square, bmi),
        (inverse_square * tenth.ln(), bmi_log),
        (person.cholesterol_ratio.clamp(RATIO.0, RATIO.1), model.ratio),
        (person.systolic_mmhg, model.systolic),
        (person.systolic_sd_mmhg.unwrap_or(model.systolic_sd.0), model.systolic_sd),
        (person.townsend.unwrap_or(model.townsend.0), model.townsend),
    ];
    let of_measured: f64 =
        measured.iter().map(|(value, (mean, term))| (value - mean) * term.at(age)).sum();

    let of_ethnicity: f64 =
        model.ethnicity.iter().filter(|(e, _)| *e == person.ethnicity).map(|(_, c)| c).sum();
    let of_smoking: f64 =
        model.smoking.iter().filter(|(s, _)| *s == person.smoking).map(|(_, t)| t.at(age)).sum();
    let present = model.factors.iter().filter(|(factor, _)| person.factors.contains(factor));
    let of_factors: f64 = present.map(|(_, term)| term.at(age)).sum();

    of_age + of_measured + of_ethnicity + of_smoking + of_factors
}

fn ethnicity(code: Option<u8>) -> Ethnicity {
    match code {
        Some(1) => Ethnicity::WhiteOrNotStated,
        Some(2) => Ethnicity::Indian,
        Some(3) => Ethnicity::Pakistani,
        Some(4) => Ethnicity::Bangladeshi,
        Some(5) => Ethnicity::OtherAsian,
        Some(6) => Ethnicity::BlackCaribbean,
        Some(7) => Ethnicity::BlackAfrican,
        Some(9) => Ethnicity::Other,
        // Left out in a Chinese village.
        Some(_) | None => Ethnicity::Chinese,
    }
}

fn smoking(code: Option<u8>) -> Smoking {
    match code {
        Some(1) => Smoking::Former,
        Some(2) => Smoking::Light,
        Some(3) => Smoking::Moderate,
        Some(4) => Smoking::Heavy,
        Some(_) | None => Smoking::Never,
    }
}

fn described(v: &Values<'_>) -> Score {
    let diabetes = match v.choice("diabetes_type") {
        Some(1) => Some(RiskFactor::Type1Diabetes),
        Some(2) => Some(RiskFactor::Type2Diabetes),
        Some(_) | None => None,
    };
    let asked = FACTORS.iter().filter(|(_, input)| v.yes(input)).map(|(factor, _)| *factor);
    let factors: Vec<_> = asked.chain(diabetes).collect();
    let (total, hdl) = (v.number("total_cholesterol_mmol_l"), v.number("hdl_cholesterol_mmol_l"));
    let value = qrisk3(&Qrisk3 {
        age_years: v.number("age_years"),
        sex: v.sex(),
        ethnicity: ethnicity(v.choice("ethnicity")),
        smoking: smoking(v.choice("smoking")),
        body_mass_index: body_mass_index(v.number("weight_kg"), v.number("height_cm")),
        cholesterol_ratio: total / hdl,
        systolic_mmhg: v.number("systolic_mmhg"),
        systolic_sd_mmhg: v.optional("systolic_sd_mmhg"),
        townsend: v.optional("townsend"),
        factors: &factors,
    });
    let advice = if value < 10.0 {
        "低于10%：改善生活方式，定期复评"
    } else if value < 20.0 {
        "10%及以上：改善生活方式，与患者商量他汀（如阿托伐他汀20 mg），控制血压和血糖"
    } else {
        "20%及以上：风险很高，转上级医院评估他汀和降压治疗"
    };
    let meaning_zh = format!(
        "10年内发生冠心病、缺血性卒中或短暂性脑缺血发作的风险约 {value:.1}%，{advice}；\
         模型来自英国人群，在中国只供参考，35～74岁优先用 China-PAR；\
         已有心脑血管病或已用他汀者不适用。"
    );
    Score { value, meaning_zh }
}
