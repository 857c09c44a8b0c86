//! Questions to the index of studies (PS3.4, C.2.2.2; PS3.18, 8.3.4), free of any transport.

use dicom_core::Tag;

/// How deep an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One answer a patient.
    Patient,
    /// One answer a study.
    Study,
    /// One answer a series.
    Series,
    /// One answer an instance (`IMAGE`).
    Image,
}

/// What a value must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Equal. Names are compared without regard to case, width and the separators of components.
    Single(String),
    /// One of these (a list of UIDs, or of modalities).
    AnyOf(Vec<String>),
    /// `*` stands for any characters, `?` for one.
    Wildcard(String),
    /// From `from` to `to`, both included and in the form of the attribute (`YYYYMMDD`,
    /// `HHMMSS.FFFFFF`); empty is open.
    Range {
        /// Earliest.
        from: String,
        /// Latest.
        to: String,
    },
    /// A name that sounds or looks like it: each word of the question begins a component of the
    /// name, its pinyin, or the initials of its pinyin.
    Fuzzy(String),
}

/// One key with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Attribute.
    pub tag: Tag,
    /// What it must be like.
    pub matching: Matching,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Level of the answers.
    pub level: Level,
    /// All must hold. An attribute of a lower level holds when something below matches
    /// (relational); `ModalitiesInStudy` and `SOPClassesInStudy` are such.
    pub conditions: Vec<Condition>,
    /// Whether date and time ranges of one pair are one moment (combined date-time matching).
    pub combined_date_time: bool,
    /// Answers to skip.
    pub offset: u64,
    /// Answers at most.
    pub limit: u64,
}

/// One answer: the header of what was found, with counts. Levels below the question's are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Patient, study, series and instance, down to the question's level.
    pub header: super::header::Header,
    /// Modalities in the study, sorted.
    pub modalities: Vec<String>,
    /// SOP classes in the study, sorted.
    pub sop_classes: Vec<String>,
    /// Studies of the patient.
    pub studies: u64,
    /// Series of the study or patient.
    pub series: u64,
    /// Instances of the series, study or patient.
    pub instances: u64,
    /// Bytes of the instances.
    pub bytes: u64,
    /// Transfer syntax of the instance.
    pub transfer_syntax: String,
}
