//! The words of the language itself (无, 伴, 既往, 剧烈 …), from `cues.csv`.

use std::collections::HashSet;

use serde::Deserialize;

use super::Degree;
use super::numbers::{TimeSpan, TimeUnit};
use crate::medicine::patient::Measure;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{list, rows};
use crate::tables::text::fold;

/// The table of cues. Its columns are `kind,text,note`; a cue is language, not a medical fact,
/// and so has no source.
pub const CUES: &str = "diagnosis/cues.csv";

/// All cues, folded.
#[derive(Debug, Clone, Default)]
pub struct Cues {
    pub(super) rows: Vec<(String, Cue)>,
    pub(super) normals: Vec<Normal>,
}

/// A normal state in all its wordings, folded (one row of [`NORMALS`]).
#[derive(Debug, Clone)]
pub(super) struct Normal {
    /// Line of the table.
    pub(super) line: u64,
    pub(super) texts: Vec<String>,
    /// Slugs of the findings that it excludes.
    pub(super) excludes: Vec<String>,
}

/// What a cue does to the findings around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cue {
    /// Negates what follows.
    Negation(Negation),
    /// Says something about what stands before it.
    After(After),
    /// 轻微, 明显, 剧烈
    Degree(Degree),
    /// 昨晚: since when.
    Onset(TimeSpan),
    /// 体温, 血压: what is measured, and what a second value behind a stroke is.
    Label(Measure, Option<Measure>),
    /// 治疗, 好转: takes a negation upon itself.
    Absorb,
    /// 但: ends a negation or a doubt.
    Contrast,
    /// 伴有: affirms what follows; ends a negation that has found its target.
    Positive,
    /// 可能: what follows is not certain.
    Uncertain,
    /// 母亲: what follows belongs to somebody else.
    OtherPerson,
    /// 接触: a disease that follows is somebody else's.
    Contact,
    /// 家族史: belongs to the family up to the end of the sentence.
    Family,
    /// 孩子: the patient again.
    Patient,
    /// 患者: the patient again, but not right behind a finding (水痘患者).
    Sufferer,
    /// 诉: the person before it speaks and is not the one who is ill.
    Informant,
    /// 后: after that, the patient again.
    Resume,
    /// 既往: what follows is past.
    Past,
    /// 目前: the present again.
    Now,
    /// 查体: a new part of the note.
    Section,
    /// 加重: a change in the course.
    Course,
    /// 及: joins findings.
    Connector,
    /// 的: carries nothing.
    Filler,
    /// 怎么办: asks for advice, not about a finding.
    Aside,
    /// 无明显诱因, 精神可: read as a whole, carries nothing, and goes with the dictionary.
    Phrase,
    /// 最高: not the present value.
    Peak,
    /// 尿频尿急: a name of one finding that says two; it is read word by word.
    Apart,
}

/// How far a negation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Negation {
    /// 否认: over commas while only findings follow.
    List,
    /// 无: an enumeration, in writing.
    Written,
    /// 没有: an enumeration, in speech; ends at a comma.
    Spoken,
    /// 不: the word that follows.
    Next,
    /// 不太: the word that follows, and neither present nor absent.
    Weak,
}

/// What a cue says about what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// 阴性
    Negate,
    /// 阳性
    Affirm,
    /// 吗
    Doubt,
    /// 待查: doubts a disease, not a symptom.
    Unconfirmed,
    /// 史
    Past,
    /// 已愈: over; may stand in a clause of its own.
    Resolved,
}

/// The table of normal states, and what they exclude (神清: no confusion).
pub(super) const NORMALS: &str = "diagnosis/normals.csv";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NormalRow {
    texts: String,
    excludes: String,
    #[serde(rename = "note")]
    _note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    text: String,
    #[serde(rename = "note")]
    _note: String,
}

impl Cues {
    /// Reads [`CUES`]; an unknown kind and a text that stands twice (after folding) are refused.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for (line, row) in rows::<Row>(files, CUES)? {
            let refuse = |message: String| LoadError::line(CUES, line, message);
            let text = fold(&row.text);
            if text.is_empty() {
                return Err(refuse("a cue needs a text".to_owned()));
            }
            let Some(cue) = Cue::named(&row.kind) else {
                return Err(refuse(format!("unknown kind `{}`", row.kind)));
            };
            if !seen.insert(text.clone()) {
                return Err(refuse(format!("`{}` stands twice", row.text)));
            }
            out.push((text, cue));
        }
        Ok(Self { rows: out, normals: normals(files)? })
    }
}

/// Reads [`NORMALS`]; a set of tables without it knows none. A text that stands twice is refused.
fn normals(files: &Files) -> Result<Vec<Normal>, LoadError> {
    let mut out: Vec<Normal> = Vec::new();
    if !files.paths().any(|path| path == NORMALS) {
        return Ok(out);
    }
    let mut seen = HashSet::new();
    for (line, row) in rows::<NormalRow>(files, NORMALS)? {
        let texts: Vec<String> = list(&row.texts).map(fold).collect();
        if let Some(text) = texts.iter().find(|text| !seen.insert((*text).clone())) {
            return Err(LoadError::line(NORMALS, line, format!("`{text}` stands twice")));
        }
        let excludes: Vec<String> = list(&row.excludes).map(str::to_owned).collect();
        if texts.is_empty() || excludes.is_empty() {
            let message = "needs texts and what they exclude".to_owned();
            return Err(LoadError::line(NORMALS, line, message));
        }
        out.push(Normal { line, texts, excludes });
    }
    Ok(out)
}

impl Cue {
    /// The cue that the table calls `kind`.
    fn named(kind: &str) -> Option<Self> {
        let onset = |least: f32, most: f32, unit: TimeUnit| {
            let days = unit.days();
            let (least_days, most_days) = (least * days, most * days);
            Self::Onset(TimeSpan { least_days, most_days, unit, ago: true, word: true })
        };
        Some(match kind {
            "negate_list" => Self::Negation(Negation::List),
            "negate" => Self::Negation(Negation::Written),
            "negate_spoken" => Self::Negation(Negation::Spoken),
            "negate_next" => Self::Negation(Negation::Next),
            "negate_weak" => Self::Negation(Negation::Weak),
            "negate_after" => Self::After(After::Negate),
            "affirm_after" => Self::After(After::Affirm),
            "uncertain_after" => Self::After(After::Doubt),
            "unconfirmed" => Self::After(After::Unconfirmed),
            "past_after" => Self::After(After::Past),
            "resolved_after" => Self::After(After::Resolved),
            "degree_mild" => Self::Degree(Degree::Mild),
            "degree_moderate" => Self::Degree(Degree::Moderate),
            "degree_severe" => Self::Degree(Degree::Severe),
            "onset_today" => onset(0.0, 1.0, TimeUnit::Day),
            "onset_yesterday" => onset(0.5, 2.0, TimeUnit::Day),
            "onset_day_before" => onset(2.0, 3.0, TimeUnit::Day),
            "onset_days" => onset(2.0, 9.0, TimeUnit::Day),
            "onset_week" => onset(1.0, 2.0, TimeUnit::Week),
            "onset_month" => onset(1.0, 2.0, TimeUnit::Month),
            "measure_blood_pressure" => {
                Self::Label(Measure::SystolicMmhg, Some(Measure::DiastolicMmhg))
            }
            "absorb" => Self::Absorb,
            "contrast" => Self::Contrast,
            "positive" => Self::Positive,
            "uncertain" => Self::Uncertain,
            "other_person" => Self::OtherPerson,
            "contact" => Self::Contact,
            "family" => Self::Family,
            "patient" => Self::Patient,
            "sufferer" => Self::Sufferer,
            "informant" => Self::Informant,
            "resume" => Self::Resume,
            "past" => Self::Past,
            "now" => Self::Now,
            "section" => Self::Section,
            "course" => Self::Course,
            "connector" => Self::Connector,
            "filler" => Self::Filler,
            "aside" => Self::Aside,
            "mask" | "normal" => Self::Phrase,
            "peak" => Self::Peak,
            "apart" => Self::Apart,
            _ => {
                let name = kind.strip_prefix("measure_")?;
                let measure = Measure::ALL.into_iter().find(|measure| measure.name() == name)?;
                Self::Label(measure, None)
            }
        })
    }
}

impl Negation {
    /// Ends with the first finding it meets.
    pub(super) fn is_short(self) -> bool {
        matches!(self, Self::Next | Self::Weak)
    }
}
