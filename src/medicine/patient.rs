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

/// Measured signs. Every field is optional; units are in the names.
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
    pub const ALL: [Self; 7] = [
        Self::TemperatureC,
        Self::SystolicMmhg,
        Self::DiastolicMmhg,
        Self::HeartRateBpm,
        Self::RespiratoryRateBpm,
        Self::Spo2Percent,
        Self::GlucoseMmolL,
    ];

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
