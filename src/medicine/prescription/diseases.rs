//! From a written diagnosis or history to ICD-10 codes.
//!
//! The names come from `diagnosis/conditions.csv` (the conditions the node can diagnose, with
//! their synonyms and codes) and `prescription/diagnosis_terms.csv` (what clinics write beside:
//! 透析, 饮酒, 冠脉支架术后, 慢性肾脏病4期). A text counts for every name it holds, longest first;
//! a name after 无, 否认 or 排除 does not count.

use std::collections::HashMap;

use fst::Map;
use serde::Deserialize;

use super::formulary::Formulary;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};
use crate::tables::text::fold;

const TERMS: &str = "prescription/diagnosis_terms.csv";
const CONDITIONS: &str = "diagnosis/conditions.csv";

/// Words before a name that take it back.
const NOT: &[&str] = &["无", "否认", "排除", "未见", "不伴", "除外", "不", "戒", "未"];
/// Words that take back all names of the clause they begin.
const NOT_CLAUSE: &[&str] = &["否认", "无", "没有", "排除"];
/// What ends a clause.
const CLAUSE_ENDS: &[char] = &[',', ';', '。', '\n'];
/// Words after a name that take it back.
const NOT_AFTER: &[&str] = &["阴性", "(-)", ":无", "待排除"];
/// Longest written code, in bytes.
const CODE_BYTES_MAX: usize = 9;
/// Words after a name that make it somebody else's, what may come, or what is done against it.
const NOT_HERE: &[&str] =
    &["家族史", "疫苗", "全程免疫", "免疫史", "接种", "抗毒素", "类毒素", "风险", "高风险"];

/// An ICD-10 code of up to eight characters without its point: `J069`. As a prefix in a rule it
/// covers every code that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Icd(u64);

/// A code of the patient and the text it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coded {
    /// The code.
    pub(super) icd: Icd,
    /// Place in the diagnoses, or in the history after them.
    pub(super) text: usize,
}

/// Names of diseases with their codes: a finite-state map, which holds ten thousand names in a few
/// hundred kilobytes.
#[derive(Debug)]
pub(super) struct Diseases {
    names: Map<Vec<u8>>,
    /// Codes of all names, one after the other; a name's value is the place of its first.
    codes: Vec<Icd>,
}

/// A name's value holds the place of its first code above these bits and their number below.
const COUNT_BITS: u32 = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermRow {
    term: String,
    icd: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
struct ConditionRow {
    name_zh: String,
    synonyms: String,
    icd10: String,
    icd10_more: String,
}

impl Icd {
    /// The empty prefix, written `*`: every diagnosis.
    pub(super) const ANY: Self = Self(0);

    /// Reads `J06.900`, `J00.x00`, `I10`, `E11.9` or `*`; at most four characters count, since
    /// finer codes differ between editions.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::ANY);
        }
        let mut bytes = text.bytes().filter(|b| *b != b'.').map(|b| b.to_ascii_uppercase());
        let mut code = [0_u8; 8];
        for (at, place) in code.iter_mut().take(4).enumerate() {
            let Some(byte) = bytes.next() else { break };
            if at == 3 && byte == b'X' {
                break;
            }
            let fine = match at {
                0 => byte.is_ascii_uppercase(),
                3 => byte.is_ascii_alphanumeric(),
                _ => byte.is_ascii_digit(),
            };
            *place = fine.then_some(byte)?;
        }
        (code.get(2)? != &0).then(|| Self(u64::from_be_bytes(code)))
    }

    /// Whether this code lies in the chapter, block or category of a prefix.
    pub(super) fn is_in(self, prefix: Self) -> bool {
        let free = prefix.0.trailing_zeros().min(64) / 8 * 8;
        let mask = u64::MAX.checked_shl(free).unwrap_or(0);
        self.0 & mask == prefix.0
    }

    /// The three characters of its category; `None` for a wider prefix.
    pub(super) fn category(self) -> Option<String> {
        let [a, b, c, ..] = self.0.to_be_bytes();
        let text: String = [a, b, c].iter().map(|byte| char::from(*byte)).collect();
        (c != 0).then_some(text)
    }

    /// The prefixes that this code lies in, itself first, without [`Icd::ANY`].
    pub(super) fn prefixes(self) -> impl Iterator<Item = Self> {
        let mut next = Some(self).filter(|code| *code != Self::ANY);
        std::iter::from_fn(move || {
            let code = next?;
            // Without its last character, the lowest byte that is not empty.
            let free = code.0.trailing_zeros() / 8 * 8;
            let shorter = code.0 & u64::MAX.checked_shl(free + 8).unwrap_or(0);
            next = Some(Self(shorter)).filter(|code| *code != Self::ANY);
            Some(code)
        })
    }

    /// Whether one of the two lies in the other: a written category (E11) may be the very
    /// complication that a rule means (E11.2).
    pub(super) fn touches(self, other: Self) -> bool {
        self.is_in(other) || other.is_in(self)
    }
}

/// Most codes of one name.
const CODES_MAX: usize = 100;

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Reads a `|`-separated list of prefixes; an unreadable one is named.
pub(super) fn prefixes(cell: &str) -> Result<Vec<Icd>, String> {
    list(cell)
        .map(|code| Icd::read(code).ok_or_else(|| format!("`{code}` is no ICD-10 code")))
        .collect()
}

impl Diseases {
    pub(super) fn load(files: &Files, formulary: &Formulary) -> Result<Self, LoadError> {
        let mut names: HashMap<String, Vec<Icd>> = HashMap::new();
        if files.bytes(CONDITIONS).is_ok() {
            for (line, row) in rows::<ConditionRow>(files, CONDITIONS)? {
                let codes = prefixes(&format!("{}|{}", row.icd10, row.icd10_more))
                    .map_err(|message| LoadError::line(CONDITIONS, line, message))?;
                for name in std::iter::once(row.name_zh.as_str()).chain(list(&row.synonyms)) {
                    // The first condition that has a name keeps it, as in the vocabulary.
                    let first = codes.first().copied().into_iter().collect::<Vec<_>>();
                    names.entry(fold(name)).or_insert(first);
                }
            }
        }
        for (line, row) in rows::<TermRow>(files, TERMS)? {
            formulary.sources().check(TERMS, line, &row.source)?;
            let codes =
                prefixes(&row.icd).map_err(|message| LoadError::line(TERMS, line, message))?;
            if row.term.is_empty() || codes.is_empty() {
                return Err(LoadError::line(TERMS, line, "a term needs a name and a code"));
            }
            names.insert(fold(&row.term), codes);
        }
        let mut names: Vec<(String, Vec<Icd>)> =
            names.into_iter().filter(|(name, _)| name.chars().nth(1).is_some()).collect();
        names.sort();
        let mut codes: Vec<Icd> = Vec::new();
        let entries = names.iter().map(|(name, own)| {
            let own = own.get(..own.len().min(CODES_MAX)).unwrap_or_default();
            let value = (wide(codes.len()) << COUNT_BITS) | wide(own.len());
            codes.extend(own);
            (name.as_str(), value)
        });
        let entries: Vec<(&str, u64)> = entries.collect();
        let names = Map::from_iter(entries).map_err(|e| LoadError::file(TERMS, e.to_string()))?;
        Ok(Self { names, codes })
    }

    /// The longest name at the beginning of a text: its length in bytes and its codes.
    fn longest(&self, text: &str) -> Option<(usize, &[Icd])> {
        let fst = self.names.as_fst();
        let mut node = fst.root();
        let mut value = fst::raw::Output::zero();
        let mut best = None;
        for (byte, length) in text.bytes().zip(1_usize..) {
            let Some(at) = node.find_input(byte) else { break };
            let step = node.transition(at);
            value = value.cat(step.out);
            node = fst.node(step.addr);
            if node.is_final() {
                best = Some((length, value.cat(node.final_output()).value()));
            }
        }
        let (length, value) = best?;
        let first = usize::try_from(value >> COUNT_BITS).ok()?;
        let count = usize::try_from(value & ((1 << COUNT_BITS) - 1)).ok()?;
        Some((length, self.codes.get(first..first + count)?))
    }

    /// The codes that a text stands for, each once; none where it is not understood.
    pub(super) fn codes(&self, text: &str) -> Vec<Icd> {
        self.codes_of_folded(&fold(text))
    }

    /// As [`Diseases::codes`], of a text that is folded already.
    pub(super) fn codes_of_folded(&self, folded: &str) -> Vec<Icd> {
        let mut found: Vec<Icd> = Vec::new();
        let mut add = |icd: Icd| {
            if !found.contains(&icd) {
                found.push(icd);
            }
        };
        if let Some(icd) = written_code(folded) {
            add(icd);
        }
        let mut at = 0;
        while let Some(rest) = folded.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((length, codes)) = self.longest(rest) else {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let name = rest.get(..length).unwrap_or_default();
            let before = folded.get(..at).unwrap_or_default();
            let after = rest.get(length..).unwrap_or_default();
            if cuts_a_word(before, name, after) {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            }
            if !denied(before, after) {
                codes.iter().copied().for_each(&mut add);
            }
            at += length;
        }
        found
    }
}

/// A code written by itself or in brackets: `J06.9`, `上感(J06.9)`; not the T12 of a vertebra.
fn written_code(folded: &str) -> Option<Icd> {
    folded.split(['(', ')', '[', ']', ' ']).find_map(|word| {
        let fine = word.len() >= 3
            && word.len() <= CODE_BYTES_MAX
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
            && word.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if fine { Icd::read(word) } else { None }
    })
}

/// Whether a Latin name stands inside a longer word (`ra` in `cra`).
fn cuts_a_word(before: &str, name: &str, after: &str) -> bool {
    let latin = |c: char| c.is_ascii_alphanumeric();
    (name.starts_with(latin) && before.ends_with(latin))
        || (name.ends_with(latin) && after.starts_with(latin))
}

/// Whether a name is taken back: by a word right before it, by one at the beginning of its clause
/// (否认高血压、糖尿病史), by what follows it, or because it is the family's or what is only guarded
/// against (乙肝疫苗已接种).
fn denied(before: &str, after: &str) -> bool {
    let clause = before.rsplit(CLAUSE_ENDS).next().unwrap_or(before).trim_start();
    // 乙肝、丙肝阴性 takes both back.
    let rest = after.split(CLAUSE_ENDS).next().unwrap_or_default().trim_end();
    NOT.iter().any(|word| before.ends_with(word))
        || NOT_CLAUSE.iter().any(|word| clause.starts_with(word))
        || NOT_AFTER.iter().any(|word| rest.ends_with(word) || after.trim_start().starts_with(word))
        || NOT_HERE.iter().any(|word| after.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icd(text: &str) -> Icd {
        Icd::read(text).unwrap()
    }

    #[test]
    fn a_code_lies_in_each_of_its_prefixes() {
        let all: Vec<Icd> = icd("J06.9").prefixes().collect();
        assert_eq!(all[..2], [icd("J06.9"), icd("J06")]);
        assert_eq!(all.len(), 4, "and J0 and J");
        assert!(all.iter().all(|prefix| icd("J06.9").is_in(*prefix)));
        assert_eq!(Icd::ANY.prefixes().count(), 0);
    }

    #[test]
    fn codes_are_read_and_compared_by_prefix() {
        assert_eq!(icd("J06.900"), icd("j069"));
        assert_eq!(icd("J00.x00"), icd("J00"));
        assert!(icd("J06.9").is_in(icd("J06")) && !icd("J06").is_in(icd("J06.9")));
        assert!(icd("J06").touches(icd("J06.9")) && !icd("J06").touches(icd("J07")));
        assert!(icd("J06").is_in(Icd::ANY));
        for bad in ["", "J", "J0", "12.3", "JJ1", "病"] {
            assert_eq!(Icd::read(bad), None, "{bad}");
        }
    }
}
