//! What a search for a person answers, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What somebody decided about a pair by hand; it wins for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// One person.
    Same,
    /// Two persons.
    Different,
}

/// The decisions that were taken on whom the question is about.
pub trait Decisions {
    /// What was decided about this person of the index.
    fn on(&self, id: u64) -> Option<Decision>;

    /// The persons of the index that were decided to be the same.
    fn same(&self) -> Vec<u64>;
}

/// Nothing was decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undecided;

impl Decisions for Undecided {
    fn on(&self, _id: u64) -> Option<Decision> {
        None
    }

    fn same(&self) -> Vec<u64> {
        Vec::new()
    }
}

impl Decisions for BTreeMap<u64, Decision> {
    fn on(&self, id: u64) -> Option<Decision> {
        self.get(&id).copied()
    }

    fn same(&self) -> Vec<u64> {
        let same = |(id, decision): (&u64, &Decision)| (*decision == Decision::Same).then_some(*id);
        self.iter().filter_map(same).collect()
    }
}

/// What decided about a person of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Decided by hand.
    Decided,
    /// By hand, several persons were decided to be the same.
    DecidedTwice,
    /// Same resident ID, and the name agrees.
    ResidentId,
    /// The weights of all fields together are enough, the name agrees, and nobody else is near.
    Weight,
    /// Same resident ID, another name: the card may have been borrowed.
    ResidentIdOtherName,
    /// Same resident ID and name, but birth date or sex are not those of the ID.
    ParticularsDisagree,
    /// Several persons have this resident ID.
    ResidentIdTwice,
    /// Both have a resident ID, and they differ.
    ResidentIdsDiffer,
    /// Same health card, another name.
    HealthCardOtherName,
    /// The weight is enough but the names only resemble each other: twins, brothers, a slip.
    NameNotSame,
    /// The weight is enough but the name only sounds the same and the sexes differ.
    SexDiffers,
    /// The weight is enough, but the birth date is missing, incomplete or another one, and the health
    /// card is not the same. A telephone does not make up for it: families share them.
    BirthDateNotSame,
    /// The weight is enough, but for somebody else nearly as much.
    NotAlone,
    /// The weight is neither enough for a link nor so little that it cannot be the person.
    Between,
    /// The weight is too little.
    TooLittle,
}

impl Reason {
    /// What a person reads.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Decided => "人工已认定",
            Self::DecidedTwice => "人工认定了多个人为同一人，请核对",
            Self::ResidentId => "身份证号相同，姓名相符",
            Self::Weight => "各项信息相符，且没有其他相近的人",
            Self::ResidentIdOtherName => "身份证号相同但姓名不同，可能借用他人证件，请核对",
            Self::ParticularsDisagree => "身份证号和姓名相同，但出生日期或性别与证件不符，请核对",
            Self::ResidentIdTwice => "多个人登记了同一身份证号，请核对",
            Self::ResidentIdsDiffer => "双方身份证号不同，不自动认定，请核对",
            Self::HealthCardOtherName => "健康卡号相同但姓名不同，可能借用他人的卡，请核对",
            Self::NameNotSame => {
                "其他信息相符，但姓名只是相近，可能是双胞胎、兄弟姐妹或写错，请核对"
            }
            Self::SexDiffers => "姓名只是同音且性别不同，请核对",
            Self::BirthDateNotSame => "其他信息相符，但出生日期缺少、不完整或不同，请核对",
            Self::NotAlone => "相符，但另有信息相近的人，请核对",
            Self::Between => "信息不足以认定，请核对",
            Self::TooLittle => "相符的信息太少",
        }
    }
}

/// What one field says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldEvidence {
    /// The field's name in `parameters.csv`.
    pub field: String,
    /// As a person reads it.
    pub field_zh: String,
    /// The level's name.
    pub level: String,
    /// As a person reads it.
    pub level_zh: String,
    /// For (or, negative, against) one person, in bits.
    pub bits: f64,
}

/// Why a person of the index was linked, is to be reviewed, or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What decided.
    pub reason: Reason,
    /// Sum of the fields and the prior, in bits: 10 are about a thousand to one.
    pub bits: f64,
    /// Bits before anything was compared: the chance that anybody is this very person.
    pub prior_bits: f64,
    /// What each field says that both have, the most telling first.
    pub fields: Vec<FieldEvidence>,
    /// Version of the tables.
    pub tables: String,
}

impl Explanation {
    /// In one line, as a person reads it.
    pub fn zh(&self) -> String {
        let parts: Vec<String> = self
            .fields
            .iter()
            .map(|field| format!("{}{}{:+.1}", field.field_zh, field.level_zh, field.bits))
            .collect();
        format!("{}（{:.1}比特：{}）", self.reason.zh(), self.bits, parts.join("，"))
    }
}

/// A person of the index who may be meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The caller's id.
    pub id: u64,
    /// Why.
    pub explanation: Explanation,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It is this person.
    Linked(Candidate),
    /// It may be one of these; somebody must look. The likeliest first.
    Review(Vec<Candidate>),
    /// Nobody in the index; with those who came closest, who are not meant.
    New(Vec<Candidate>),
}
