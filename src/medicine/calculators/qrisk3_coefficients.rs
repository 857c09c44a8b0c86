//! The numbers of QRISK3-2017: facts of the published model, in an arrangement of our own.
//!
//! Every factor has a coefficient and two interactions with age; every measurement is taken as the
//! distance from the mean of the cohort.

#![expect(clippy::unreadable_literal, reason = "as published")]

use super::qrisk3::{Ethnicity, RiskFactor, Smoking};

/// A coefficient and its interactions with the two terms of age.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    main: f64,
    age_1: f64,
    age_2: f64,
}

impl Term {
    const fn new(main: f64, age_1: f64, age_2: f64) -> Self {
        Self { main, age_1, age_2 }
    }

    /// Without interactions.
    const fn alone(main: f64) -> Self {
        Self::new(main, 0.0, 0.0)
    }

    /// The coefficient at an age.
    pub(super) fn at(&self, age: [f64; 2]) -> f64 {
        let [age_1, age_2] = age;
        self.main + self.age_1 * age_1 + self.age_2 * age_2
    }
}

/// The model of one sex.
#[derive(Debug)]
pub(super) struct Model {
    /// Share that stays free of disease for 10 years at the mean of everything.
    pub(super) survival: f64,
    /// Powers of the decades of age, their means, their coefficients.
    pub(super) age: [(i32, f64, f64); 2],
    /// Mean and term of d⁻² and of d⁻² · ln d, where d is a tenth of the body mass index.
    pub(super) bmi: [(f64, Term); 2],
    /// Mean and term of each measurement.
    pub(super) ratio: (f64, Term),
    pub(super) systolic: (f64, Term),
    pub(super) systolic_sd: (f64, Term),
    pub(super) townsend: (f64, Term),
    pub(super) ethnicity: [(Ethnicity, f64); 9],
    pub(super) smoking: [(Smoking, Term); 5],
    pub(super) factors: &'static [(RiskFactor, Term)],
}

pub(super) static WOMEN: Model = Model {
    survival: 0.988876402378082,
    age: [(-2, 0.053274843841791, -8.138810924772619), (1, 4.332503318786621, 0.797333766896991)],
    bmi: [
        (0.154946178197861, Term::new(0.2923609227546005, 23.80262341214174, 0.5236995893366443)),
        (0.144462317228317, Term::new(-4.1513300213837665, -71.184947692087, 0.04574419012232376)),
    ],
    ratio: (3.47632646560669, Term::alone(0.15338035820802554)),
    systolic: (
        123.13001251220703,
        Term::new(0.013131488407103424, 0.034131842338615485, -0.0015082501423272358),
    ),
    systolic_sd: (9.002537727355957, Term::alone(0.00788945410145861)),
    townsend: (
        0.392308831214905,
        Term::new(0.07722379058859011, -1.030118080203564, -0.03159341467496233),
    ),
    ethnicity: [
        (Ethnicity::WhiteOrNotStated, 0.0),
        (Ethnicity::Indian, 0.28040314332995425),
        (Ethnicity::Pakistani, 0.562989941420754),
        (Ethnicity::Bangladeshi, 0.29590000851116516),
        (Ethnicity::OtherAsian, 0.07278537987798255),
        (Ethnicity::BlackCaribbean, -0.17072135508857317),
        (Ethnicity::BlackAfrican, -0.3937104331487497),
        (Ethnicity::Chinese, -0.3263249528353027),
        (Ethnicity::Other, -0.17127056883241784),
    ],
    smoking: [
        (Smoking::Never, Term::alone(0.0)),
        (Smoking::Former, Term::new(0.13386833786546262, -4.705716178585189, -0.07558924464319303)),
        (Smoking::Light, Term::new(0.5620085801243854, -2.7430383403573337, -0.11951192874867074)),
        (
            Smoking::Moderate,
            Term::new(0.6674959337750255, -0.8660808882939218, -0.10366306397571923),
        ),
        (Smoking::Heavy, Term::new(0.8494817764483085, 0.9024156236971065, -0.1399185359171839)),
    ],
    factors: &[
        (
            RiskFactor::AtrialFibrillation,
            Term::new(1.5923354969269663, 19.93803488954656, -0.0761826510111625),
        ),
        (RiskFactor::AtypicalAntipsychotics, Term::alone(0.25237642070115557)),
        (
            RiskFactor::Corticosteroids,
            Term::new(0.5952072530460185, -0.9840804523593628, -0.12005364946742472),
        ),
        (RiskFactor::Migraine, Term::new(0.301267260870345, 1.7634979587873, -0.06558691789869986)),
        (RiskFactor::RheumatoidArthritis, Term::alone(0.21364803435181942)),
        (
            RiskFactor::KidneyDisease,
            Term::new(0.6519456949384583, -3.5874047731694114, -0.22688873086442507),
        ),
        (RiskFactor::SevereMentalIllness, Term::alone(0.12555308058820178)),
        (RiskFactor::Lupus, Term::new(0.7588093865426769, 19.690303738638292, 0.07734794967901627)),
        (
            RiskFactor::TreatedHypertension,
            Term::new(0.50931593683423, 11.872809733921812, 0.0009685782358817444),
        ),
        (
            RiskFactor::Type1Diabetes,
            Term::new(1.7267977510537347, -1.2444332714320747, -0.2872406462448895),
        ),
        (
            RiskFactor::Type2Diabetes,
            Term::new(1.0688773244615468, 6.86523420000096, -0.09711225259069549),
        ),
        (
            RiskFactor::FamilyHistory,
            Term::new(0.45445319020896213, 0.9946780794043513, -0.07688505169842304),
        ),
    ],
};

pub(super) static MEN: Model = Model {
    survival: 0.977268040180206,
    age: [
        (-1, 0.234766781330109, -17.839781666005575),
        (3, 77.2840805053711, 0.002296488060576549),
    ],
    bmi: [
        (0.149176135659218, Term::new(2.456277666053636, 31.004952956033886, 0.005038010235632203)),
        (
            0.141913309693336,
            Term::new(-8.301112231471135, -111.29157184391643, -0.013074483002524319),
        ),
    ],
    ratio: (4.300998687744141, Term::alone(0.1734019685632711)),
    systolic: (
        128.5715789794922,
        Term::new(0.012910126542553305, 0.018858524469865853, -0.00001271874191588457),
    ),
    systolic_sd: (8.756621360778809, Term::alone(0.010251914291290456)),
    townsend: (
        0.52630490064621,
        Term::new(0.033268201277287295, -0.1007554870063731, -0.00009329964232327289),
    ),
    ethnicity: [
        (Ethnicity::WhiteOrNotStated, 0.0),
        (Ethnicity::Indian, 0.2771924876030828),
        (Ethnicity::Pakistani, 0.4744636071493127),
        (Ethnicity::Bangladeshi, 0.5296172991968937),
        (Ethnicity::OtherAsian, 0.03510015918629902),
        (Ethnicity::BlackCaribbean, -0.3580789966932792),
        (Ethnicity::BlackAfrican, -0.4005648523216514),
        (Ethnicity::Chinese, -0.41522792889830173),
        (Ethnicity::Other, -0.26321348134749967),
    ],
    smoking: [
        (Smoking::Never, Term::alone(0.0)),
        (
            Smoking::Former,
            Term::new(0.19128222863388983, -0.21011133933516346, -0.0004985487027532612),
        ),
        (Smoking::Light, Term::new(0.5524158819264555, 0.7526867644750319, -0.0007987563331738541)),
        (
            Smoking::Moderate,
            Term::new(0.6383505302750607, 0.9931588755640579, -0.000837061842662513),
        ),
        (Smoking::Heavy, Term::new(0.7898381988185802, 2.1331163414389076, -0.0007840031915563729)),
    ],
    factors: &[
        (
            RiskFactor::AtrialFibrillation,
            Term::new(0.8820923692805466, 3.4896675530623207, -0.0003499560834063605),
        ),
        (RiskFactor::AtypicalAntipsychotics, Term::alone(0.13046879855173513)),
        (
            RiskFactor::Corticosteroids,
            Term::new(0.45485399750445543, 1.1708133653489108, -0.0002496045095297166),
        ),
        (
            RiskFactor::ErectileDysfunction,
            Term::new(0.22251859086705383, -1.506400985745431, -0.0011058218441227373),
        ),
        (
            RiskFactor::Migraine,
            Term::new(0.25584178074159913, 2.349115987140244, 0.0001989644604147863),
        ),
        (RiskFactor::RheumatoidArthritis, Term::alone(0.20970658013956567)),
        (
            RiskFactor::KidneyDisease,
            Term::new(0.7185326128827438, -0.5065671632722369, -0.0018325930166498813),
        ),
        (RiskFactor::SevereMentalIllness, Term::alone(0.12133039882047164)),
        (RiskFactor::Lupus, Term::alone(0.4401572174457522)),
        (
            RiskFactor::TreatedHypertension,
            Term::new(0.5165987108269547, 6.511458109853267, 0.0006383805310416501),
        ),
        (
            RiskFactor::Type1Diabetes,
            Term::new(1.2343425521675175, 5.337986487800653, 0.0006409780808752897),
        ),
        (
            RiskFactor::Type2Diabetes,
            Term::new(0.8594207143093222, 3.646181740622131, -0.00024695695588868315),
        ),
        (
            RiskFactor::FamilyHistory,
            Term::new(0.5405546900939016, 2.7808628508531887, -0.0002479180990739604),
        ),
    ],
};
