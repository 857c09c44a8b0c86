//! What patients say of their consent, as the hub takes it: from whom, how far ahead, and which word counts.

use std::collections::BTreeMap;

use super::Sha;
use super::plan::{Holders, Loaded};
use crate::app::exchange::ports::{Facts, PersonKey, Submission, Withdrawn};
use crate::sharing::exchange::{Kind, VERSIONS_AHEAD_MAX};

/// A stable name and what is wrong.
type Refusal = (&'static str, &'static str);

/// Whether a document that would be new is one that its sender may say: of consent only a node speaks that
/// has to do with the person; and versions that are counted up do not leap.
pub(super) fn check(submission: &Submission, loaded: &Loaded) -> Result<(), Refusal> {
    let Submission { node, document, facts, .. } = submission;
    if !document.kind.has_variants() {
        return Ok(());
    }
    if document.kind == Kind::Consent && !has_to_do(node, facts, loaded) {
        return Err((
            "not_the_patients_node",
            "此节点没有此患者的出院记录，也未登记此患者，不得转达其同意或撤回：请先登记患者，或由有其记录的\
             机构办理",
        ));
    }
    let of_name = loaded.last.get(&(document.kind, document.name.clone())).copied();
    let of_people = facts.keys.iter().filter_map(|key| loaded.consents.get(key));
    let of_people = of_people.flat_map(BTreeMap::values).map(|said| said.version);
    let of_people = of_people.filter(|_| document.kind == Kind::Consent);
    let last = of_people.chain(of_name).max().unwrap_or(0);
    if document.version > last.saturating_add(VERSIONS_AHEAD_MAX) {
        return Err((
            "version_leaps",
            "版本号比中心所知的高出过多，不予接收：请检查发送方软件；中心恢复后会自动重试",
        ));
    }
    Ok(())
}

/// Whether a node sent or was given a record of the person, or has registered the person; by each number
/// that is said. Where no number is, it must have the very record.
fn has_to_do(node: &str, facts: &Facts, loaded: &Loaded) -> bool {
    let by_key = |key: &PersonKey| {
        let registered = loaded.registrations.get(key).into_iter().flatten();
        loaded.people.get(key).is_some_and(|nodes| nodes.contains(node))
            || registered.into_iter().any(|((by, _), said)| by == node && said.active)
    };
    if !facts.keys.is_empty() {
        return facts.keys.iter().all(by_key);
    }
    let record = facts.consent.as_ref().map(|consent| &consent.record);
    let holders: Option<&Holders> = record.and_then(|record| loaded.holders.get(record));
    holders.is_some_and(|holders| holders.contains_key(node))
}

/// A word on consent as a store has it.
#[derive(Debug)]
pub(in crate::store) struct Word {
    pub(in crate::store) key: PersonKey,
    /// Empty: all of the person's records.
    pub(in crate::store) record: String,
    pub(in crate::store) given: bool,
    pub(in crate::store) version: u32,
    pub(in crate::store) at_ms: i64,
    pub(in crate::store) sha256: Sha,
}

/// What is taken back by the words on one person's consent: of each record the last counts, by whichever of
/// the person's numbers it was said.
pub(in crate::store) fn taken_back(words: Vec<Word>) -> Vec<Withdrawn> {
    let mut last: BTreeMap<String, Word> = BTreeMap::new();
    let place = |word: &Word| (word.version, word.at_ms, word.sha256);
    for word in words {
        if last.get(&word.record).is_none_or(|before| place(before) < place(&word)) {
            last.insert(word.record.clone(), word);
        }
    }
    let taken = last.into_values().filter(|word| !word.given);
    taken.map(|Word { key, record, at_ms, .. }| Withdrawn { key, record, at_ms }).collect()
}
