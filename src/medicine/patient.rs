//! Who is treated: age, sex, pregnancy and measured signs, checked against what a human can have.

/// Sex as far as it matters for likelihoods and doses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// 男
    Male,
    /// 女
    Female,
}

/// Oldest age accepted, in years.
pub const AGE_YEARS_MAX: f32 = 130.0;

/// The patient as far as a decision needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Patient {
    /// Age in years, fractions for infants; 0 to [`AGE_YEARS_MAX`].
    pub age_years: Option<f32>,
    /// Sex, where known.
    pub sex: Option<Sex>,
    /// Weight in kilograms.
    pub weight_kg: Option<f32>,
    /// Pregnancy.
    pub pregnancy: Pregnancy,
}

/// Whether the patient is pregnant, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Pregnancy {
    /// Nobody said.
    #[default]
    Unknown,
    /// Said not to be pregnant.
    No,
    /// Pregnant; completed weeks where known (0 to 45).
    Yes {
        /// Completed weeks of gestation.
        weeks: Option<u8>,
    },
}

/// Measured signs and everyday tests. Every field is optional; units are in the names.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Vitals {
    /// Body temperature.
    pub temperature_c: Option<f32>,
    /// Systolic blood pressure.
    pub systolic_mmhg: Option<f32>,
    /// Diastolic blood pressure.
    pub diastolic_mmhg: Option<f32>,
    /// Heart rate.
    pub heart_rate_bpm: Option<f32>,
    /// Respiratory rate.
    pub respiratory_rate_bpm: Option<f32>,
    /// Oxygen saturation by pulse oximeter.
    pub spo2_percent: Option<f32>,
    /// Blood glucose.
    pub glucose_mmol_l: Option<f32>,
    /// White blood cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white_cells_10e9_l: Option<f32>,
    /// Neutrophils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neutrophils_percent: Option<f32>,
    /// Haemoglobin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hemoglobin_g_l: Option<f32>,
    /// Platelets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platelets_10e9_l: Option<f32>,
    /// C-reactive protein.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crp_mg_l: Option<f32>,
    /// Serum creatinine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creatinine_umol_l: Option<f32>,
}

/// A measured sign, as the tables name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Body temperature, °C.
    TemperatureC,
    /// Systolic blood pressure, mmHg.
    SystolicMmhg,
    /// Diastolic blood pressure, mmHg.
    DiastolicMmhg,
    /// Heart rate, beats per minute.
    HeartRateBpm,
    /// Respiratory rate, breaths per minute.
    RespiratoryRateBpm,
    /// Oxygen saturation, percent.
    Spo2Percent,
    /// Blood glucose, mmol/L.
    GlucoseMmolL,
    /// White blood cells, 10⁹/L.
    #[serde(rename = "white_cells_10e9_l")]
    WhiteCells10e9L,
    /// Neutrophils, percent of the white cells.
    #[serde(rename = "neutrophils_percent")]
    NeutrophilsPercent,
    /// Haemoglobin, g/L.
    #[serde(rename = "hemoglobin_g_l")]
    HemoglobinGL,
    /// Platelets, 10⁹/L.
    #[serde(rename = "platelets_10e9_l")]
    Platelets10e9L,
    /// C-reactive protein, mg/L.
    #[serde(rename = "crp_mg_l")]
    CrpMgL,
    /// Serum creatinine, µmol/L.
    #[serde(rename = "creatinine_umol_l")]
    CreatinineUmolL,
}

/// A value no living patient can have, or one that was typed in the wrong unit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} must be from {min} to {max}")]
pub struct OutOfRange {
    /// Field name as in the contract.
    pub field: &'static str,
    /// Lowest accepted value.
    pub min: f32,
    /// Highest accepted value.
    pub max: f32,
}

impl Measure {
    /// Every measure, in the order of the contract.
    pub const ALL: [Self; 13] = [
        Self::TemperatureC,
        Self::SystolicMmhg,
        Self::DiastolicMmhg,
        Self::HeartRateBpm,
        Self::RespiratoryRateBpm,
        Self::Spo2Percent,
        Self::GlucoseMmolL,
        Self::WhiteCells10e9L,
        Self::NeutrophilsPercent,
        Self::HemoglobinGL,
        Self::Platelets10e9L,
        Self::CrpMgL,
        Self::CreatinineUmolL,
    ];

    /// Whether it is measured in blood that is drawn, and not at the bedside.
    pub fn is_laboratory(self) -> bool {
        match self {
            Self::TemperatureC
            | Self::SystolicMmhg
            | Self::DiastolicMmhg
            | Self::HeartRateBpm
            | Self::RespiratoryRateBpm
            | Self::Spo2Percent
            | Self::GlucoseMmolL => false,
            Self::WhiteCells10e9L
            | Self::NeutrophilsPercent
            | Self::HemoglobinGL
            | Self::Platelets10e9L
            | Self::CrpMgL
            | Self::CreatinineUmolL => true,
        }
    }

    /// The name used in tables, case files and the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::TemperatureC => "temperature_c",
            Self::SystolicMmhg => "systolic_mmhg",
            Self::DiastolicMmhg => "diastolic_mmhg",
            Self::HeartRateBpm => "heart_rate_bpm",
            Self::RespiratoryRateBpm => "respiratory_rate_bpm",
            Self::Spo2Percent => "spo2_percent",
            Self::GlucoseMmolL => "glucose_mmol_l",
            Self::WhiteCells10e9L => "white_cells_10e9_l",
            Self::NeutrophilsPercent => "neutrophils_percent",
            Self::HemoglobinGL => "hemoglobin_g_l",
            Self::Platelets10e9L => "platelets_10e9_l",
            Self::CrpMgL => "crp_mg_l",
            Self::CreatinineUmolL => "creatinine_umol_l",
        }
    }

    /// The range a living patient's reading can lie in (inclusive). Wide on purpose: it catches
    /// slips of unit and key, not illness.
    pub fn range(self) -> (f32, f32) {
        match self {
            Self::TemperatureC => (25.0, 45.0),
            Self::SystolicMmhg => (30.0, 320.0),
            Self::DiastolicMmhg => (10.0, 220.0),
            Self::HeartRateBpm => (10.0, 350.0),
            Self::RespiratoryRateBpm => (2.0, 150.0),
            Self::Spo2Percent => (20.0, 100.0),
            Self::GlucoseMmolL => (0.3, 100.0),
            Self::WhiteCells10e9L => (0.1, 500.0),
            Self::NeutrophilsPercent => (0.0, 100.0),
            Self::HemoglobinGL => (10.0, 260.0),
            Self::Platelets10e9L => (1.0, 3000.0),
            Self::CrpMgL => (0.0, 700.0),
            Self::CreatinineUmolL => (5.0, 4000.0),
        }
    }
}

impl Vitals {
    /// The value of one measure.
    pub fn get(&self, measure: Measure) -> Option<f32> {
        match measure {
            Measure::TemperatureC => self.temperature_c,
            Measure::SystolicMmhg => self.systolic_mmhg,
            Measure::DiastolicMmhg => self.diastolic_mmhg,
            Measure::HeartRateBpm => self.heart_rate_bpm,
            Measure::RespiratoryRateBpm => self.respiratory_rate_bpm,
            Measure::Spo2Percent => self.spo2_percent,
            Measure::GlucoseMmolL => self.glucose_mmol_l,
            Measure::WhiteCells10e9L => self.white_cells_10e9_l,
            Measure::NeutrophilsPercent => self.neutrophils_percent,
            Measure::HemoglobinGL => self.hemoglobin_g_l,
            Measure::Platelets10e9L => self.platelets_10e9_l,
            Measure::CrpMgL => self.crp_mg_l,
            Measure::CreatinineUmolL => self.creatinine_umol_l,
        }
    }

    /// A mutable place for one measure.
    pub fn get_mut(&mut self, measure: Measure) -> &mut Option<f32> {
        match measure {
            Measure::TemperatureC => &mut self.temperature_c,
            Measure::SystolicMmhg => &mut self.systolic_mmhg,
            Measure::DiastolicMmhg => &mut self.diastolic_mmhg,
            Measure::HeartRateBpm => &mut self.heart_rate_bpm,
            Measure::RespiratoryRateBpm => &mut self.respiratory_rate_bpm,
            Measure::Spo2Percent => &mut self.spo2_percent,
            Measure::GlucoseMmolL => &mut self.glucose_mmol_l,
            Measure::WhiteCells10e9L => &mut self.white_cells_10e9_l,
            Measure::NeutrophilsPercent => &mut self.neutrophils_percent,
            Measure::HemoglobinGL => &mut self.hemoglobin_g_l,
            Measure::Platelets10e9L => &mut self.platelets_10e9_l,
            Measure::CrpMgL => &mut self.crp_mg_l,
            Measure::CreatinineUmolL => &mut self.creatinine_umol_l,
        }
    }

    /// Every value outside the possible range, and a diastolic pressure above the systolic one.
    pub fn problems(&self) -> Vec<OutOfRange> {
        let mut out = Vec::new();
        for measure in Measure::ALL {
            let (min, max) = measure.range();
            if self.get(measure).is_some_and(|v| !(min..=max).contains(&v)) {
                out.push(OutOfRange { field: measure.name(), min, max });
            }
        }
        if let (Some(systolic), Some(diastolic)) = (self.systolic_mmhg, self.diastolic_mmhg)
            && out.is_empty()
            && diastolic >= systolic
        {
            let min = Measure::DiastolicMmhg.range().0;
            out.push(OutOfRange { field: "diastolic_mmhg", min, max: systolic });
        }
        out
    }
}
