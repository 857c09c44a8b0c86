//! Wordings put together from parts: a site, a quality and a word for pain make a thousand ways
//! to say one finding, which nobody should have to list.
//!
//! A row of [`WORDINGS`] gives `parts`, slots separated by `;`, each a list of alternatives
//! separated by `|` (an empty alternative may be left out when reading). Every choice of
//! alternatives is a literal wording. What it means:
//! - `finding` alone: that finding (several, separated by `|`, where one wording says them all);
//! - `finding` and `after`: that finding where one of the findings `after` has just been said
//!   (深呼吸时加重 after 胸痛 is pleuritic pain); elsewhere what other rows make of the wording;
//! - neither: a modifier of what stands before it, read and not used.
//!
//! A wording that is a finding's own name or synonym stays with that finding, except behind the
//! findings of `after`.
//!
//! It is language, not medicine, and so has no source. Deliberately absent: recursion and any
//! pattern besides the slots, so that a table can be counted before it is expanded.

use std::collections::HashMap;

use serde::Deserialize;

use super::{FindingId, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{list, rows};
use crate::tables::text::fold;

/// The table of composed wordings, with the columns `finding,after,parts,note`.
pub const WORDINGS: &str = "diagnosis/wordings.csv";

/// Most wordings that one row may expand to.
pub(super) const ROW_MAX: usize = 5_000;
/// Most wordings that the table may expand to.
pub(super) const TABLE_MAX: usize = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    finding: String,
    after: String,
    parts: String,
    #[serde(rename = "note")]
    _note: String,
}

/// All composed wordings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wordings {
    /// Folded wording and index of its sense, in order, each wording once.
    pub(crate) texts: Vec<(String, usize)>,
    pub(crate) senses: Vec<Sense>,
}

/// What a wording means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sense {
    /// The findings it says by itself; none for a modifier.
    pub(crate) findings: Vec<FindingId>,
    /// What it says instead behind another finding: (that finding, meaning).
    pub(crate) after: Vec<(FindingId, FindingId)>,
    /// A modifier: read and not used where it says no finding.
    pub(crate) absorbed: bool,
}

/// One expanded wording: text, sense of its row, line of its row.
type Expanded = (String, usize, u64);

pub(super) fn wordings(files: &Files, vocabulary: &Vocabulary) -> Result<Wordings, LoadError> {
    let mut senses = Vec::new();
    let mut expanded: Vec<Expanded> = Vec::new();
    for (line, row) in rows::<Row>(files, WORDINGS)? {
        let find = |cell: &str| -> Result<Vec<FindingId>, LoadError> {
            list(cell).map(|slug| vocabulary.require_finding(WORDINGS, line, slug)).collect()
        };
        let (findings, after) = (find(&row.finding)?, find(&row.after)?);
        let sense = match (findings.as_slice(), after.as_slice()) {
            ([], []) => Sense { absorbed: true, ..Sense::default() },
            (_, []) => Sense { findings, ..Sense::default() },
            ([meaning], _) => Sense {
                after: after.into_iter().map(|before| (before, *meaning)).collect(),
                ..Sense::default()
            },
            _ => {
                let message = "`after` needs exactly one `finding`";
                return Err(LoadError::line(WORDINGS, line, message));
            }
        };
        expand(&row.parts, line, senses.len(), &mut expanded)?;
        senses.push(sense);
    }
    keep_names(vocabulary, &mut expanded, &mut senses);
    expanded.sort_unstable();
    gather(expanded, senses)
}

/// Adds every choice of alternatives of `parts` to `out`.
fn expand(parts: &str, line: u64, sense: usize, out: &mut Vec<Expanded>) -> Result<(), LoadError> {
    let refuse = |message: String| Err(LoadError::line(WORDINGS, line, message));
    let slots: Vec<Vec<String>> = parts
        .split(';')
        .map(|slot| slot.split('|').map(|part| fold(part.trim())).collect())
        .collect();
    let count = slots.iter().try_fold(1_usize, |count, slot| count.checked_mul(slot.len()));
    let Some(count) = count.filter(|count| *count <= ROW_MAX) else {
        return refuse(format!("the row expands to more than {ROW_MAX} wordings"));
    };
    if out.len() + count > TABLE_MAX {
        return refuse(format!("the table expands to more than {TABLE_MAX} wordings"));
    }
    for choice in 0..count {
        let mut rest = choice;
        let mut text = String::with_capacity(30);
        for slot in &slots {
            text.push_str(slot.get(rest % slot.len()).map_or("", String::as_str));
            rest /= slot.len();
        }
        if text.chars().nth(1).is_none() {
            return refuse(format!("`{text}` is too short for a wording"));
        }
        out.push((text, sense, line));
    }
    Ok(())
}

/// Leaves names and synonyms to their findings, and gives those that mean something else behind
/// another finding a sense of their own.
fn keep_names(vocabulary: &Vocabulary, expanded: &mut Vec<Expanded>, senses: &mut Vec<Sense>) {
    let mut own: HashMap<FindingId, usize> = HashMap::new();
    let mut names = Vec::new();
    expanded.retain(|(text, sense, line)| {
        let Some(id) = vocabulary.finding_names.get(text) else { return true };
        let contextual = senses.get(*sense).is_some_and(|sense| !sense.after.is_empty());
        if contextual {
            let sense = *own.entry(*id).or_insert_with(|| {
                senses.push(Sense { findings: vec![*id], ..Sense::default() });
                senses.len() - 1
            });
            names.push((text.clone(), sense, *line));
        }
        contextual
    });
    expanded.append(&mut names);
}

/// Brings the rows that give one wording together.
fn gather(expanded: Vec<Expanded>, mut senses: Vec<Sense>) -> Result<Wordings, LoadError> {
    let mut texts: Vec<(String, usize)> = Vec::with_capacity(expanded.len());
    let mut joined: HashMap<(usize, usize), usize> = HashMap::new();
    let mut first_line = 0;
    for (text, sense, line) in expanded {
        let Some(last) = texts.last_mut().filter(|last| last.0 == text) else {
            texts.push((text, sense));
            first_line = line;
            continue;
        };
        if let Some(both) = joined.get(&(last.1, sense)) {
            last.1 = *both;
            continue;
        }
        let both = match (senses.get(last.1), senses.get(sense)) {
            (Some(one), Some(other)) => one.join(other),
            _ => None,
        };
        let Some(both) = both else {
            let message = format!("`{text}` means something else in line {}", first_line.min(line));
            return Err(LoadError::line(WORDINGS, line.max(first_line), message));
        };
        joined.insert((last.1, sense), senses.len());
        last.1 = senses.len();
        senses.push(both);
    }
    Ok(Wordings { texts, senses })
}

impl Sense {
    /// Both senses of one wording, where they do not contradict each other.
    fn join(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for (before, meaning) in &other.after {
            match both.after.iter().find(|(already, _)| already == before) {
                Some((_, same)) if same == meaning => {}
                Some(_) => return None,
                None => both.after.push((*before, *meaning)),
            }
        }
        let contextual = |sense: &Self| !sense.absorbed && sense.findings.is_empty();
        if contextual(self) {
            both.findings.clone_from(&other.findings);
            both.absorbed = other.absorbed;
        } else if !contextual(other)
            && (&self.findings, self.absorbed) != (&other.findings, other.absorbed)
        {
            return None;
        }
        Some(both)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests as small;
    use super::*;

    const HEAD: &str = "finding,after,parts,note\n";

    fn load(rows: &str) -> Result<Vocabulary, LoadError> {
        let mut files = small::files();
        files.insert(WORDINGS, format!("{HEAD}{rows}").into_bytes());
        Vocabulary::load(&files)
    }

    fn refused(rows: &str, line: u64, message: &str) {
        let error = load(rows).unwrap_err();
        assert_eq!((error.file.as_str(), error.line), (WORDINGS, Some(line)), "{error}");
        assert!(error.message.contains(message), "{error}");
    }

    /// Folded wording, the findings it says, and what it says behind which finding.
    type Said = (String, Vec<String>, Vec<(String, String)>);

    fn said(rows: &str) -> Vec<Said> {
        let vocabulary = load(rows).unwrap();
        let slug = |id: &FindingId| vocabulary.finding_slug(*id).to_owned();
        let wordings = vocabulary.wordings();
        let senses = wordings.texts.iter().map(|(text, sense)| (text, &wordings.senses[*sense]));
        senses
            .map(|(text, sense)| {
                let findings = sense.findings.iter().map(slug).collect();
                let after = sense.after.iter().map(|(one, two)| (slug(one), slug(two))).collect();
                (text.clone(), findings, after)
            })
            .collect()
    }

    fn plain(text: &str, findings: &[&str]) -> Said {
        (text.to_owned(), findings.iter().map(|&slug| slug.to_owned()).collect(), Vec::new())
    }

    #[test]
    fn every_choice_of_alternatives_is_a_wording() {
        let expected = [
            plain("心口疼", &["chest_pain"]),
            plain("心口隐疼", &["chest_pain"]),
            plain("胸骨疼", &["chest_pain"]),
            plain("胸骨隐疼", &["chest_pain"]),
        ];
        assert_eq!(said("chest_pain,,胸骨|心口;|隱;疼,\n"), expected);
        assert_eq!(said("cough|vomiting,,咳吐,\n"), [plain("咳吐", &["cough", "vomiting"])]);
    }

    #[test]
    fn a_name_stays_with_its_finding_except_behind_another() {
        assert_eq!(said("headache,,胸口;痛|疼,\n"), []);
        let behind = said("dyspnea,cough,胸口疼,\n");
        let after = vec![("cough".to_owned(), "dyspnea".to_owned())];
        assert_eq!(behind, [("胸口疼".to_owned(), vec!["chest_pain".to_owned()], after)]);
    }

    #[test]
    fn rows_that_contradict_each_other_are_refused_with_both_lines() {
        refused("cough,,咳痒,\nheadache,,咳;痒|疼,\n", 3, "`咳痒` means something else in line 2");
        refused("cough,headache,咳痒,\nrash,headache,咳痒,\n", 3, "line 2");
        refused("cough,,咳痒,\n,,咳痒,\n", 3, "line 2");
        assert!(load("cough,headache,咳痒,\nrash,cough,咳痒,\n,,咳痒,\n").is_ok());
        assert!(load("cough,,咳痒,\ncough,,咳;痒|疼,\n").is_ok());
    }

    #[test]
    fn rows_that_are_unknown_too_short_or_too_many_are_refused() {
        refused("coughing,,咳痒,\n", 2, "unknown finding `coughing`");
        refused("cough,coughing,咳痒,\n", 2, "unknown finding `coughing`");
        refused("cough|rash,headache,咳痒,\n", 2, "exactly one `finding`");
        refused("cough,,咳;|痒,\n", 2, "`咳` is too short");
        let slot =
            |length: usize| (0..length).map(|n| format!("甲{n}")).collect::<Vec<_>>().join("|");
        refused(&format!("cough,,{};{},\n", slot(100), slot(51)), 2, "more than 5000");
        let huge = vec![slot(100); 12].join(";");
        refused(&format!("cough,,{huge},\n"), 2, "more than 5000");
        let row = format!("cough,,{};{},\n", slot(100), slot(50));
        refused(&row.repeat(13), 14, "more than 60000");
    }
}
