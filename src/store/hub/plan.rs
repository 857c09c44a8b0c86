//! What becomes of submissions that share a transaction. They are decided one after the other, each as
//! if those before it were on disk already.
//!
//! Registrations, consent and other documents are never in one batch ([`Class`]): so what one of them
//! finds is what was read from the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Scopes, Sha, consent, is_keepable, relation_name};
use crate::app::exchange::ports::{Consent, PersonKey, Relation, Submission};
use crate::sharing::exchange::{Document, Kind, Outcome};

/// A number of a node's database.
pub(in crate::store) type Handed = (String, String, u64);
/// Kind, name and version.
pub(in crate::store) type Name = (Kind, String, u32);

/// A document: one that is in the store, by its number, or one of the batch, by its place among
/// [`Plan::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum At {
    There(i64),
    New(usize),
}

/// What a node has said last of its relation to a person.
#[derive(Debug, Clone)]
pub(in crate::store) struct Registration {
    pub(in crate::store) active: bool,
    pub(in crate::store) until_ms: Option<i64>,
    /// Of the document that said so.
    pub(in crate::store) name: String,
    pub(in crate::store) version: u32,
}

/// What was said last of a person's consent, under a name.
#[derive(Debug, Clone)]
pub(in crate::store) struct Said {
    pub(in crate::store) version: u32,
    pub(in crate::store) sha256: Sha,
    pub(in crate::store) consent: Consent,
    pub(in crate::store) document: At,
    /// Nodes that sent the document or have it in their inbox.
    pub(in crate::store) holders: BTreeSet<String>,
}

impl Said {
    /// Later statements count.
    fn place(&self) -> (u32, i64, Sha) {
        (self.version, self.consent.at_ms, self.sha256)
    }
}

/// What may share a transaction: what one reads must not change by another of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Class {
    Registration,
    Consent,
    Other,
}

/// Whose the name of a record is.
#[derive(Debug, Clone)]
pub(in crate::store) struct Owner {
    /// The node that handed the first document over.
    pub(in crate::store) node: String,
    /// The institution that the first document names; empty where not known.
    pub(in crate::store) author: String,
    /// Of those whom the batch's documents of the name are about: who an earlier one is about.
    pub(in crate::store) keys: BTreeSet<PersonKey>,
}

impl Owner {
    /// Whether a document is a version of the record: of the same node; and of the same institution, where
    /// both are known, or about somebody whom an earlier one is about.
    fn has(&self, submission: &Submission) -> bool {
        let Submission { node, facts, .. } = submission;
        let author = facts.author.as_str();
        let one_author = self.author.is_empty() || author.is_empty() || self.author == author;
        self.node == *node && (one_author || facts.keys.iter().any(|key| self.keys.contains(key)))
    }
}

/// Nodes that have a record, with the oldest version of it that each has.
pub(in crate::store) type Holders = BTreeMap<String, u32>;

/// What is to be read before a batch is decided.
#[derive(Debug, Default)]
pub(in crate::store) struct Questions {
    pub(in crate::store) handed: Vec<Handed>,
    pub(in crate::store) named: Vec<Name>,
    /// Documents whose versions those who say something count up: how far they are.
    pub(in crate::store) counted: Vec<(Kind, String)>,
    /// Names of the batch's records: whose they are, and if they are somebody's, who has them.
    pub(in crate::store) owned: Vec<String>,
    /// Whom these records are about: whether an earlier document of the name is about the person, too.
    pub(in crate::store) about: Vec<(String, PersonKey)>,
    pub(in crate::store) keys: Vec<PersonKey>,
    /// Names of records whose tasks are in the batch.
    pub(in crate::store) records: Vec<String>,
    /// People of whose consent something is said.
    pub(in crate::store) people: Vec<PersonKey>,
    /// Nodes that register a person, who may have records.
    pub(in crate::store) missing: Vec<(String, PersonKey)>,
}

/// What was read.
#[derive(Debug, Default)]
pub(in crate::store) struct Loaded {
    pub(in crate::store) handed: HashMap<Handed, (At, Sha)>,
    pub(in crate::store) named: HashMap<Name, Vec<(At, Sha)>>,
    /// The highest version of a kind and name.
    pub(in crate::store) last: HashMap<(Kind, String), u32>,
    pub(in crate::store) registrations:
        HashMap<PersonKey, HashMap<(String, Relation), Registration>>,
    pub(in crate::store) owners: HashMap<String, Owner>,
    /// For the name of a record: its senders, and nodes whose inbox has it.
    pub(in crate::store) holders: HashMap<String, Holders>,
    /// Senders of a person's records, and nodes whose inbox has one.
    pub(in crate::store) people: HashMap<PersonKey, BTreeSet<String>>,
    /// What was said last of a person's consent, by the name of its document.
    pub(in crate::store) consents: HashMap<PersonKey, BTreeMap<String, Said>>,
    /// What the node neither sent nor has in its inbox: what was said last of the person's consent,
    /// the person's records of the current version, and what was said of the tasks of those records.
    pub(in crate::store) missing: HashMap<(String, PersonKey), Vec<Missing>>,
}

/// A document that a node is to have from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Missing {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) number: i64,
    pub(in crate::store) sha256: Sha,
}

/// A document on its way into an inbox.
#[derive(Debug, Clone)]
pub(in crate::store) struct Delivery {
    pub(in crate::store) document: At,
    pub(in crate::store) sha256: Sha,
    pub(in crate::store) reason: &'static str,
}

/// An entry of the audit trail, for a submission by its place in the batch.
#[derive(Debug)]
pub(in crate::store) struct Entry {
    pub(in crate::store) submission: usize,
    pub(in crate::store) action: &'static str,
    pub(in crate::store) document: Option<At>,
    pub(in crate::store) outcome: String,
    pub(in crate::store) recipients: String,
}

/// What becomes of a submission.
#[derive(Debug)]
pub(in crate::store) enum Decided {
    Kept(At),
    Known(At),
    Other(Outcome),
}

/// See the module. Places are those of the submissions in the batch.
#[derive(Debug, Default)]
pub(in crate::store) struct Plan {
    pub(in crate::store) decided: Vec<Decided>,
    /// Submissions whose document is new.
    pub(in crate::store) new: Vec<usize>,
    /// Those of them that are the first of their name.
    pub(in crate::store) first: Vec<usize>,
    /// Submissions whose number is to be written down.
    pub(in crate::store) handed: Vec<(usize, At)>,
    pub(in crate::store) registrations: BTreeMap<(PersonKey, String, Relation), (Registration, At)>,
    pub(in crate::store) consents: BTreeMap<(PersonKey, String), Said>,
    pub(in crate::store) deliveries: BTreeMap<String, Vec<Delivery>>,
    pub(in crate::store) audit: Vec<Entry>,
    given: HashSet<(String, i64)>,
}

/// What a submission may share a batch with.
pub(in crate::store) fn class(submission: &Submission) -> Class {
    match submission.document.kind {
        Kind::Registration => Class::Registration,
        Kind::Consent => Class::Consent,
        Kind::Record | Kind::Task => Class::Other,
    }
}

/// The record that a task is about: what stands before the last `#`.
fn record_of(document: &Document) -> Option<&str> {
    match document.kind {
        Kind::Task => document.name.rsplit_once('#').map(|(record, _)| record),
        Kind::Record | Kind::Registration | Kind::Consent => None,
    }
}

/// How close a reason is: of several the closest is said, because it gives most.
fn closeness(reason: &str) -> usize {
    const ORDER: [&str; 5] = ["registered", "village", "township", "contract", "referral"];
    ORDER.iter().position(|other| *other == reason).unwrap_or(ORDER.len())
}

impl Questions {
    pub(in crate::store) fn of(batch: &[Submission]) -> Self {
        let mut questions = Self::default();
        let (mut keys, mut records, mut people) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut owned, mut about, mut counted) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for Submission { node, store, number, document, facts, .. } in batch {
            questions.handed.push((node.clone(), store.clone(), *number));
            if !is_keepable(document) {
                continue;
            }
            questions.named.push((document.kind, document.name.clone(), document.version));
            if document.kind.has_variants() {
                counted.insert((document.kind, document.name.clone()));
            }
            if document.kind != Kind::Task {
                keys.extend(facts.keys.iter().copied());
            }
            if document.kind == Kind::Record {
                owned.insert(document.name.clone());
                about.extend(facts.keys.iter().map(|key| (document.name.clone(), *key)));
            }
            records.extend(record_of(document).map(str::to_owned));
            if let Some(consent) = &facts.consent {
                people.extend(facts.keys.iter().copied());
                records.extend((!consent.record.is_empty()).then(|| consent.record.clone()));
            }
            if document.kind == Kind::Registration
                && facts.registers.as_ref().is_some_and(|registers| registers.active)
            {
                questions.missing.extend(facts.keys.iter().map(|key| (node.clone(), *key)));
            }
        }
        questions.counted.extend(counted);
        questions.people.extend(people);
        questions.keys.extend(keys);
        questions.records.extend(records);
        questions.owned.extend(owned);
        questions.about.extend(about);
        questions
    }
}

impl Plan {
    pub(in crate::store) fn make(
        batch: &[Submission],
        scopes: &Scopes,
        mut loaded: Loaded,
    ) -> Self {
        let mut plan = Self::default();
        for (place, submission) in batch.iter().enumerate() {
            let decided = plan.decide(place, submission, scopes, &mut loaded);
            plan.decided.push(decided);
        }
        plan
    }

    /// Whether there is nothing to write.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.handed.is_empty() && self.audit.is_empty()
    }

    /// Nodes whose head changes: their inbox grows, or the count of what they have handed over.
    pub(in crate::store) fn heads(&self, batch: &[Submission]) -> BTreeSet<String> {
        let senders = self.handed.iter().filter_map(|(place, _)| batch.get(*place));
        let senders = senders.map(|submission| submission.node.clone());
        self.deliveries.keys().cloned().chain(senders).collect()
    }

    fn decide(
        &mut self,
        place: usize,
        submission: &Submission,
        scopes: &Scopes,
        loaded: &mut Loaded,
    ) -> Decided {
        let Submission { node, store, number, document, .. } = submission;
        let kind = document.kind.name();
        let handed = (node.clone(), store.clone(), *number);
        if let Some((at, sha256)) = loaded.handed.get(&handed) {
            if *sha256 == document.sha256 {
                return Decided::Known(*at);
            }
            self.enter(place, kind, Some(*at), ("forked", String::new()));
            return Decided::Other(Outcome::Forked);
        }
        if !is_keepable(document) {
            return self.refuse(
                place,
                kind,
                "bad_name",
                "文书的名称或类型为空、过长或含有控制字符：请检查发送方软件",
            );
        }
        let name = (document.kind, document.name.clone(), document.version);
        let named = loaded.named.entry(name).or_default();
        if let Some((at, _)) = named.iter().find(|(_, sha256)| *sha256 == document.sha256) {
            let at = *at;
            loaded.handed.insert(handed, (at, document.sha256));
            self.handed.push((place, at));
            self.enter(place, kind, Some(at), ("known", String::new()));
            return Decided::Known(at);
        }
        let is_record = document.kind == Kind::Record;
        let owner = loaded.owners.get(&document.name).filter(|_| is_record);
        if owner.is_some_and(|owner| !owner.has(submission)) {
            return self.refuse(
                place,
                kind,
                "name_taken",
                "此文书编号在中心已属于另一节点或另一机构的出院记录，该记录保持不变：请改用本机构自己的\
                 标识根（OID）重新编号后发送；不要用提高版本号的办法发送",
            );
        }
        if !named.is_empty() && !document.kind.has_variants() {
            return self.refuse(
                place,
                kind,
                "version_conflict",
                "中心已有同名称、同版本而内容不同的文书：请核对，改动须用新的版本号发送",
            );
        }
        if let Err((code, reason)) = consent::check(submission, loaded) {
            return self.refuse(place, kind, code, reason);
        }
        let at = At::New(self.new.len());
        let name = (document.kind, document.name.clone());
        let last = loaded.last.entry(name.clone()).or_default();
        *last = document.version.max(*last);
        let name = (name.0, name.1, document.version);
        loaded.named.entry(name).or_default().push((at, document.sha256));
        loaded.handed.insert(handed, (at, document.sha256));
        self.new.push(place);
        if is_record {
            self.own(place, submission, loaded);
        }
        self.handed.push((place, at));
        self.give(place, submission, at, scopes, loaded);
        self.say(submission, at, loaded);
        if document.kind == Kind::Registration {
            self.register(place, submission, at, loaded);
        }
        Decided::Kept(at)
    }

    /// Of a record that is kept: whose its name is, and whom it is about.
    fn own(&mut self, place: usize, submission: &Submission, loaded: &mut Loaded) {
        let Submission { node, document, facts, .. } = submission;
        let owner = loaded.owners.entry(document.name.clone()).or_insert_with(|| {
            self.first.push(place);
            let (node, author) = (node.clone(), facts.author.clone());
            Owner { node, author, keys: BTreeSet::new() }
        });
        owner.keys.extend(&facts.keys);
    }

    fn refuse(&mut self, place: usize, kind: &'static str, code: &str, reason: &str) -> Decided {
        self.enter(place, kind, None, (code, String::new()));
        let (code, reason) = (code.to_owned(), reason.to_owned());
        Decided::Other(Outcome::Refused { code, reason })
    }

    /// Puts a new document into the inboxes of those who are to have it.
    fn give(
        &mut self,
        place: usize,
        submission: &Submission,
        at: At,
        scopes: &Scopes,
        loaded: &mut Loaded,
    ) {
        let Submission { node, document, facts, at_ms, .. } = submission;
        let mut recipients: BTreeMap<&str, &'static str> = BTreeMap::new();
        if document.kind == Kind::Task {
            let holders = record_of(document).and_then(|record| loaded.holders.get(record));
            let holders = holders.into_iter().flat_map(Holders::keys);
            recipients.extend(holders.map(|to| (to.as_str(), "task")));
        } else {
            if let Some(consent) = &facts.consent {
                let of_people = facts.keys.iter().filter_map(|key| loaded.people.get(key));
                let holders = loaded.holders.get(&consent.record).into_iter();
                let holders = holders.flat_map(Holders::keys).chain(of_people.flatten());
                recipients.extend(holders.map(|to| (to.as_str(), "consent")));
            }
            for (to, reason) in scopes.of(&facts.division) {
                recipients.entry(to).or_insert(reason);
            }
            for key in &facts.keys {
                for ((to, relation), said) in loaded.registrations.get(key).into_iter().flatten() {
                    if said.active && said.until_ms.is_none_or(|until_ms| until_ms >= *at_ms) {
                        let reason = relation_name(*relation);
                        let said = recipients.entry(to).or_insert(reason);
                        if closeness(reason) < closeness(said) {
                            *said = reason;
                        }
                    }
                }
            }
        }
        if document.kind == Kind::Record {
            // Whoever has an older version is to know that it no longer counts.
            let holders = loaded.holders.get(&document.name).into_iter().flatten();
            for (to, _) in holders.filter(|(_, oldest)| **oldest < document.version) {
                recipients.entry(to).or_insert("correction");
            }
        }
        recipients.remove(node.as_str());
        if document.kind == Kind::Record {
            let who = recipients.keys().copied().chain([node.as_str()]);
            let said = facts.keys.iter().filter_map(|key| loaded.consents.get(key));
            let said: Vec<&Said> = said.flat_map(BTreeMap::values).collect();
            self.tell(who, &said);
        }
        for (to, reason) in &recipients {
            let delivery = Delivery { document: at, sha256: document.sha256, reason };
            self.deliveries.entry((*to).to_owned()).or_default().push(delivery);
        }
        let names = recipients.keys().copied().collect::<Vec<_>>().join(" ");
        self.enter(place, document.kind.name(), Some(at), ("kept", names));
        if document.kind == Kind::Record {
            let have: Vec<String> =
                recipients.into_keys().chain([node.as_str()]).map(str::to_owned).collect();
            let holders = loaded.holders.entry(document.name.clone()).or_default();
            for node in have {
                let oldest = holders.entry(node).or_insert(document.version);
                *oldest = document.version.min(*oldest);
            }
        }
    }

    /// Puts what was said of consent into the inboxes of those who do not have it.
    fn tell<'a>(&mut self, who: impl Iterator<Item = &'a str>, said: &[&Said]) {
        for to in who {
            for said in said {
                let At::There(number) = said.document else { continue };
                if !said.holders.contains(to) && self.given.insert((to.to_owned(), number)) {
                    let (document, sha256) = (said.document, said.sha256);
                    let delivery = Delivery { document, sha256, reason: "consent" };
                    self.deliveries.entry(to.to_owned()).or_default().push(delivery);
                }
            }
        }
    }

    /// Writes down what is said of consent, unless something later was said under the name.
    fn say(&mut self, submission: &Submission, at: At, loaded: &mut Loaded) {
        let Submission { document, facts, .. } = submission;
        let Some(consent) = &facts.consent else { return };
        let said = Said {
            version: document.version,
            sha256: document.sha256,
            consent: consent.clone(),
            document: at,
            holders: BTreeSet::new(),
        };
        for key in &facts.keys {
            let all = loaded.consents.entry(*key).or_default();
            if all.get(&document.name).is_some_and(|before| before.place() > said.place()) {
                continue;
            }
            all.insert(document.name.clone(), said.clone());
            self.consents.insert((*key, document.name.clone()), said.clone());
        }
    }

    /// Writes down what a registration says, unless a later version of it has said otherwise, and
    /// gives the node what it is to have from before.
    fn register(&mut self, place: usize, submission: &Submission, at: At, loaded: &mut Loaded) {
        let Submission { node, document, facts, at_ms, .. } = submission;
        let Some(registers) = &facts.registers else { return };
        let (mut records, mut tasks, mut consents) = (0_usize, 0_usize, 0_usize);
        for key in &facts.keys {
            let all = loaded.registrations.entry(*key).or_default();
            let before = all.get(&(node.clone(), registers.relation));
            if before.is_some_and(|before| {
                before.name == document.name && before.version > document.version
            }) {
                continue;
            }
            let said = Registration {
                active: registers.active,
                until_ms: registers.until_ms,
                name: document.name.clone(),
                version: document.version,
            };
            all.insert((node.clone(), registers.relation), said.clone());
            self.registrations.insert((*key, node.clone(), registers.relation), (said, at));
            let lapsed = registers.until_ms.is_some_and(|until_ms| until_ms < *at_ms);
            if !registers.active || lapsed {
                continue;
            }
            let missing = loaded.missing.get(&(node.clone(), *key));
            for Missing { kind, number, sha256 } in missing.into_iter().flatten().copied() {
                if self.given.insert((node.clone(), number)) {
                    let document = At::There(number);
                    let reason = relation_name(registers.relation);
                    let delivery = Delivery { document, sha256, reason };
                    self.deliveries.entry(node.clone()).or_default().push(delivery);
                    match kind {
                        Kind::Task => tasks += 1,
                        Kind::Consent => consents += 1,
                        Kind::Record | Kind::Registration => records += 1,
                    }
                }
            }
        }
        if records + tasks + consents > 0 {
            let outcome = format!("{records} records, {tasks} tasks, {consents} consents");
            self.enter(place, "backfill", Some(at), (&outcome, node.clone()));
        }
    }

    fn enter(
        &mut self,
        submission: usize,
        action: &'static str,
        document: Option<At>,
        (outcome, recipients): (&str, String),
    ) {
        let outcome = outcome.to_owned();
        self.audit.push(Entry { submission, action, document, outcome, recipients });
    }
}
