//! How the versions of a document relate: which one is current, what an arriving one is, and what
//! a document does that replaces another.
//!
//! A document is known by its name, a version by (name, version); a version never changes. A
//! correction is a higher version, a withdrawal (`entered_in_error`) is a version too. Nothing
//! that was kept is ever dropped: a version that comes after a higher one is kept as late. Which
//! version is current follows from the set of those kept alone, never from the order in which
//! they came; the only thing that the order decides is the number of a version that states none.
//!
//! Deliberately absent: storage, and the content. A digest stands for the content.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// Its number, from 1.
    pub version: u32,
    /// Whether the sender stated the number; otherwise it was given here.
    pub stated: bool,
    /// Digest of the original bytes.
    pub digest: String,
    /// The sender takes the document back.
    pub withdrawal: bool,
    /// Name of the document that it says to replace; empty if none.
    pub replaces: String,
}

/// The versions of one document that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionState {
    /// By number; each number stands once.
    versions: BTreeMap<u32, KeptVersion>,
}

/// A document that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arriving {
    /// Its name.
    pub name: String,
    /// The version that the sender states, from 1.
    pub version: Option<u32>,
    /// Digest of the original bytes.
    pub digest: String,
    /// The sender takes the document back.
    pub entered_in_error: bool,
    /// Name of the document that it says to replace; empty if none.
    pub replaces: String,
}

/// Why a document cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It has no name.
    NoName,
    /// It states version 0; versions count from 1.
    VersionZero,
    /// The version is kept with other content.
    Conflict,
    /// The number was given here to a version that stated none, with other content.
    ConflictWithNumbered,
    /// No number is left for a version that states none.
    NoNumberLeft,
}

impl Refusal {
    /// The stable name, for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::VersionZero => "version_zero",
            Self::Conflict => "version_conflict",
            Self::ConflictWithNumbered => "version_conflict_with_numbered",
            Self::NoNumberLeft => "no_number_left",
        }
    }

    /// What the sender is to do, in Chinese.
    pub fn message_zh(self) -> &'static str {
        match self {
            Self::NoName => {
                "文档没有标识，无法区分版本：请填写文档集标识（CDA setId 或 FHIR identifier）"
            }
            Self::VersionZero => "版本号必须从1开始",
            Self::Conflict => {
                "同一版本号已经收到内容不同的文档：已收的不会改动，请以更高的版本号重发"
            }
            Self::ConflictWithNumbered => {
                "这个版本号已由接收方给了未写版本号的文档，内容不同：请以更高的版本号重发，并始终写明版本号"
            }
            Self::NoNumberLeft => "未写版本号，而版本号已用尽：请写明版本号",
        }
    }
}

/// What becomes of a document that arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "arrival")]
pub enum Arrival {
    /// The same bytes are kept as this version; nothing is to be done.
    Duplicate {
        /// That version.
        version: u32,
    },
    /// It is not kept.
    Refused {
        /// The version that it states, if it does.
        version: Option<u32>,
        /// Why.
        refusal: Refusal,
    },
    /// It is kept, as the highest version of its document.
    Newest {
        /// As this version.
        version: u32,
        /// The version before it, which it supersedes.
        supersedes: Option<u32>,
        /// It takes the document back.
        withdrawal: bool,
    },
    /// It is kept, below a higher version that came before it.
    Late {
        /// As this version.
        version: u32,
        /// The highest version.
        newest: u32,
    },
}

impl Arrival {
    /// The number under which it is to be kept, if it is.
    pub fn kept_as(&self) -> Option<u32> {
        match self {
            Self::Newest { version, .. } | Self::Late { version, .. } => Some(*version),
            Self::Duplicate { .. } | Self::Refused { .. } => None,
        }
    }
}

/// How a document stands among all that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum Currency {
    /// This version is what counts.
    Current {
        /// The version.
        version: u32,
    },
    /// The highest version takes the document back.
    Withdrawn {
        /// That version.
        version: u32,
    },
    /// Another document replaces it.
    Replaced {
        /// The names of those that do.
        by: Vec<String>,
    },
    /// No version is kept.
    Unknown,
}

impl VersionState {
    /// A document of these versions. Of two with one number the first counts.
    pub fn of(versions: impl IntoIterator<Item = KeptVersion>) -> Self {
        let mut state = Self::default();
        for version in versions {
            state.versions.entry(version.version).or_insert(version);
        }
        state
    }

    /// The versions, from the lowest.
    pub fn versions(&self) -> impl Iterator<Item = &KeptVersion> {
        self.versions.values()
    }

    /// The highest version.
    pub fn newest(&self) -> Option<&KeptVersion> {
        self.versions.values().next_back()
    }

    /// What an arriving document of this name is. Changes nothing.
    pub fn decide(&self, arriving: &Arriving) -> Arrival {
        let refused = |refusal| Arrival::Refused { version: arriving.version, refusal };
        if arriving.name.trim().is_empty() {
            return refused(Refusal::NoName);
        }
        if arriving.version == Some(0) {
            return refused(Refusal::VersionZero);
        }
        if let Some(same) = self.versions.values().find(|kept| kept.digest == arriving.digest) {
            return Arrival::Duplicate { version: same.version };
        }
        let newest = self.newest().map(|kept| kept.version);
        let version = match (arriving.version, newest) {
            (Some(version), _) => version,
            (None, None) => 1,
            (None, Some(newest)) => match newest.checked_add(1) {
                Some(next) => next,
                None => return refused(Refusal::NoNumberLeft),
            },
        };
        match self.versions.get(&version) {
            Some(kept) if kept.stated => return refused(Refusal::Conflict),
            Some(_) => return refused(Refusal::ConflictWithNumbered),
            None => {}
        }
        match newest {
            Some(newest) if newest > version => Arrival::Late { version, newest },
            supersedes => {
                Arrival::Newest { version, supersedes, withdrawal: arriving.entered_in_error }
            }
        }
    }

    /// Decides, and keeps the version if it is to be kept.
    pub fn take(&mut self, arriving: &Arriving) -> Arrival {
        let arrival = self.decide(arriving);
        if let Some(version) = arrival.kept_as() {
            let kept = KeptVersion {
                version,
                stated: arriving.version.is_some(),
                digest: arriving.digest.clone(),
                withdrawal: arriving.entered_in_error,
                replaces: arriving.replaces.clone(),
            };
            self.versions.insert(version, kept);
        }
        arrival
    }
}

/// How the document `name` stands among `documents`: those of one patient, of senders who may
/// replace each other's. The caller chooses them; a claim of anybody else must not get in here,
/// since it would hide a record.
///
/// Another document replaces it while that one's highest version says so and is no withdrawal: a
/// correction or a withdrawal of the replacing document takes the claim back. Documents that say
/// to replace each other, or themselves, in a circle replace nothing: one of them must be wrong,
/// and hiding all would lose the record.
pub fn currency(name: &str, documents: &BTreeMap<String, VersionState>) -> Currency {
    let Some(newest) = documents.get(name).and_then(VersionState::newest) else {
        return Currency::Unknown;
    };
    if newest.withdrawal {
        return Currency::Withdrawn { version: newest.version };
    }
    let by: Vec<String> = documents
        .iter()
        .filter(|(other, state)| claim(state) == Some(name) && !reaches(name, other, documents))
        .map(|(other, _)| other.clone())
        .collect();
    if by.is_empty() {
        Currency::Current { version: newest.version }
    } else {
        Currency::Replaced { by }
    }
}

/// The name that a document replaces, as its highest version has it.
fn claim(state: &VersionState) -> Option<&str> {
    let newest = state.newest().filter(|newest| !newest.withdrawal)?;
    (!newest.replaces.is_empty()).then_some(newest.replaces.as_str())
}

/// Whether `from` replaces `to`, directly or through others.
fn reaches(from: &str, to: &str, documents: &BTreeMap<String, VersionState>) -> bool {
    let mut passed = BTreeSet::new();
    let mut at = from;
    loop {
        if at == to {
            return true;
        }
        if !passed.insert(at) {
            return false;
        }
        match documents.get(at).and_then(claim) {
            Some(next) => at = next,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name version digest flags`: version `-` states none; flag `!` withdraws, `>b` replaces b.
    fn arriving(text: &str) -> Arriving {
        let words: Vec<&str> = text.split(' ').collect();
        let flags = words.get(3..).unwrap_or_default();
        Arriving {
            name: words[0].to_owned(),
            version: words[1].parse().ok(),
            digest: words[2].to_owned(),
            entered_in_error: flags.contains(&"!"),
            replaces: flags.iter().find_map(|f| f.strip_prefix('>')).unwrap_or_default().to_owned(),
        }
    }

    fn shelf(arrivals: &[Arriving]) -> BTreeMap<String, VersionState> {
        let mut documents: BTreeMap<String, VersionState> = BTreeMap::new();
        for arriving in arrivals {
            documents.entry(arriving.name.clone()).or_default().take(arriving);
        }
        documents
    }

    fn shelved(texts: &[&str]) -> BTreeMap<String, VersionState> {
        shelf(&texts.iter().map(|text| arriving(text)).collect::<Vec<_>>())
    }

    #[test]
    fn each_arrival_is_what_the_table_says() {
        let newest =
            |version, supersedes| Arrival::Newest { version, supersedes, withdrawal: false };
        let refused = |version, refusal| Arrival::Refused { version, refusal };
        for (kept, arrives, expected) in [
            (&[][..], "a 1 x", newest(1, None)),
            (&[], "a - x", newest(1, None)),
            (&[], "a 7 x", newest(7, None)),
            (&["a 1 x"], "a 1 x", Arrival::Duplicate { version: 1 }),
            (&["a 1 x"], "a - x", Arrival::Duplicate { version: 1 }),
            (&["a 1 x"], "a 2 x", Arrival::Duplicate { version: 1 }),
            (&["a 1 x"], "a 1 y", refused(Some(1), Refusal::Conflict)),
            (&["a - x"], "a 1 y", refused(Some(1), Refusal::ConflictWithNumbered)),
            (&["a 1 x"], "a 2 y", newest(2, Some(1))),
            (&["a 1 x"], "a - y", newest(2, Some(1))),
            (&["a 3 x"], "a - y", newest(4, Some(3))),
            (&["a 3 x"], "a 1 y", Arrival::Late { version: 1, newest: 3 }),
            (&["a 3 x", "a 1 y"], "a 2 z", Arrival::Late { version: 2, newest: 3 }),
            (&["a 3 x", "a 1 y"], "a 1 z", refused(Some(1), Refusal::Conflict)),
            (
                &["a 1 x"],
                "a 2 y !",
                Arrival::Newest { version: 2, supersedes: Some(1), withdrawal: true },
            ),
            (&["a 3 x"], "a 2 y !", Arrival::Late { version: 2, newest: 3 }),
            (&["a 2 x !"], "a 3 y", newest(3, Some(2))),
            (&[], "a 0 x", refused(Some(0), Refusal::VersionZero)),
            (&["a 4294967295 x"], "a - y", refused(None, Refusal::NoNumberLeft)),
        ] {
            let state = shelved(kept).remove("a").unwrap_or_default();
            assert_eq!(state.decide(&arriving(arrives)), expected, "{kept:?} then {arrives}");
        }
        let nameless = Arriving { name: " ".into(), ..arriving("a 1 x") };
        assert_eq!(VersionState::default().decide(&nameless), refused(Some(1), Refusal::NoName));
    }

    #[test]
    fn a_document_stands_as_the_table_says() {
        let current = |version| Currency::Current { version };
        let replaced = |by: &[&str]| Currency::Replaced {
            by: by.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (kept, name, expected) in [
            (&[][..], "a", Currency::Unknown),
            (&["a 1 x", "a 3 y", "a 2 z"], "a", current(3)),
            (&["a 1 x", "a 2 y !"], "a", Currency::Withdrawn { version: 2 }),
            (&["a 2 y", "a 1 x !"], "a", current(2)),
            (&["a 1 x", "b 1 y >a"], "a", replaced(&["b"])),
            (&["a 1 x", "b 1 y >a"], "b", current(1)),
            // A later version of the replaced one does not come back.
            (&["b 1 y >a", "a 1 x", "a 2 z"], "a", replaced(&["b"])),
            // The replacement is taken back, or no longer says so.
            (&["a 1 x", "b 1 y >a", "b 2 z !"], "a", current(1)),
            (&["a 1 x", "b 1 y >a", "b 2 z"], "a", current(1)),
            (&["a 1 x", "b 1 y >a", "c 1 z >b"], "b", replaced(&["c"])),
            (&["a 1 x", "b 1 y >a", "c 1 z >b"], "a", replaced(&["b"])),
            (&["a 1 x", "b 1 y >a", "c 1 z >a"], "a", replaced(&["b", "c"])),
            // Circles replace nothing; who hangs on one from outside does.
            (&["a 1 x >a"], "a", current(1)),
            (&["a 1 x >b", "b 1 y >a"], "a", current(1)),
            (&["a 1 x >b", "b 1 y >a"], "b", current(1)),
            (&["a 1 x >b", "b 1 y >c", "c 1 z >a"], "b", current(1)),
            (&["a 1 x >b", "b 1 y >a", "c 1 z >a"], "a", replaced(&["c"])),
        ] {
            assert_eq!(currency(name, &shelved(kept)), expected, "{kept:?} {name}");
        }
    }

    #[test]
    fn refusals_say_what_to_do_and_arrivals_survive_json() {
        for refusal in [
            Refusal::NoName,
            Refusal::VersionZero,
            Refusal::Conflict,
            Refusal::ConflictWithNumbered,
            Refusal::NoNumberLeft,
        ] {
            assert!(!refusal.code().is_empty() && !refusal.message_zh().is_empty());
            let arrival = Arrival::Refused { version: Some(1), refusal };
            let json = serde_json::to_string(&arrival).unwrap();
            assert_eq!(serde_json::from_str::<Arrival>(&json).unwrap(), arrival);
        }
    }

    /// Documents with stated versions, no two of which disagree about a version's content.
    fn arrivals() -> impl Strategy<Value = Vec<Arriving>> {
        let one = (0_usize..4, 1_u32..5, prop::bool::weighted(0.2), prop::option::of(0_usize..4));
        prop::collection::vec(one, 0..14).prop_map(|all| {
            let name = |n: usize| char::from(b'a' + u8::try_from(n).unwrap()).to_string();
            let mut out: Vec<Arriving> = Vec::new();
            for (n, version, entered_in_error, replaces) in all {
                let digest = format!("{n}/{version}");
                let arriving = Arriving {
                    name: name(n),
                    version: Some(version),
                    digest: digest.clone(),
                    entered_in_error,
                    replaces: replaces.map(name).unwrap_or_default(),
                };
                // The same version again is the same bytes.
                let same = out.iter().find(|other| other.digest == digest).cloned();
                out.push(same.unwrap_or(arriving));
            }
            out
        })
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_changes_neither_what_is_kept_nor_what_is_current(
            (all, shuffled) in arrivals().prop_flat_map(|all| {
                (Just(all.clone()), Just(all).prop_shuffle())
            })
        ) {
            let (one, other) = (shelf(&all), shelf(&shuffled));
            prop_assert_eq!(&one, &other);
            for name in one.keys() {
                prop_assert_eq!(currency(name, &one), currency(name, &other));
            }
        }

        /// What is kept stays as it is, whatever arrives.
        #[test]
        fn a_kept_version_never_changes(
            all in arrivals(), version in prop::option::of(0_u32..6), digest in "[a-z]{1,3}",
        ) {
            for (name, state) in shelf(&all) {
                let before = state.clone();
                let mut after = state;
                let arriving = Arriving {
                    name, version, digest: digest.clone(), entered_in_error: false,
                    replaces: String::new(),
                };
                let arrival = after.take(&arriving);
                prop_assert!(before.versions().all(|kept| after.versions().any(|v| v == kept)));
                let more = usize::from(arrival.kept_as().is_some());
                prop_assert_eq!(after.versions().count(), before.versions().count() + more);
                // Sent again, it is a duplicate or refused as before.
                let again = after.decide(&arriving);
                let duplicate = arrival.kept_as().map(|version| Arrival::Duplicate { version });
                prop_assert_eq!(again, duplicate.unwrap_or(arrival));
            }
        }

        /// Never is everything hidden: where versions are kept that are no withdrawals, something
        /// counts.
        #[test]
        fn circles_never_hide_every_document(all in arrivals()) {
            let documents = shelf(&all);
            let standing: Vec<Currency> =
                documents.keys().map(|name| currency(name, &documents)).collect();
            let hidden = |s: &Currency| matches!(s, Currency::Replaced { .. });
            prop_assert!(standing.is_empty() || !standing.iter().all(hidden));
        }
    }
}
