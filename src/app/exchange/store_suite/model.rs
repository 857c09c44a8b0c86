//! A store in memory, written from the port's sentences one by one, and random conversations in
//! which a real one must answer as it does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;

use super::{all, document, hello, key, scopes};
use crate::app::exchange::ports::{
    Consent, Facts, HubDocuments, PersonKey, Registers, Relation, Submission,
};
use crate::sharing::exchange::hub::{Acquaintance, greet};
use crate::sharing::exchange::{
    Cursor, Document, Hello, Kind, Outcome, Position, Standing, Welcome,
};

const NODES: [&str; 4] = ["hospital", "county", "township", "village-1"];
const STORES: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["r", "s", "t"];
const AUTHORS: [&str; 3] = ["", "A", "B"];
const PLACES: [&str; 4] = ["", super::VILLAGE, super::TOWNSHIP, super::COUNTY];
const RELATIONS: [Relation; 2] = [Relation::Registered, Relation::Contract];

/// Something that is said to a store.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// A document is handed over.
    Keep(Box<Submission>),
    /// A node comes. Its position is the document that was kept as this one, or none; its inbox is so
    /// far, and the chains may be wrong.
    Attend {
        node: &'static str,
        store: &'static str,
        last: u64,
        position: Option<usize>,
        inbox: u64,
        is_right: bool,
    },
    /// A node has so much of its inbox.
    Advance(&'static str, u64),
}

fn facts() -> impl Strategy<Value = Facts> {
    let registers = (select(&RELATIONS[..]), any::<bool>(), select(vec![None, Some(1), Some(50)]))
        .prop_map(|(relation, active, until_ms)| Registers { relation, active, until_ms });
    let place = (select(&PLACES[..]), select(&AUTHORS[..]));
    (vec(1..3_u8, 0..3), place, registers).prop_map(|(keys, (division, author), registers)| Facts {
        author: author.to_owned(),
        keys: keys.into_iter().map(key).collect(),
        division: division.to_owned(),
        registers: Some(registers),
        ..Facts::default()
    })
}

fn submission() -> impl Strategy<Value = Submission> {
    let kinds =
        select(vec![Kind::Record, Kind::Record, Kind::Registration, Kind::Task, Kind::Consent]);
    let consent = (any::<bool>(), any::<bool>(), select(&NAMES[..]), 0..3_i64);
    let what = (kinds, select(&NAMES[..]), 1..4_u32, select(vec!["x", "x", "x", "y"]));
    let by = (select(&NODES[..]), select(&STORES[..]), 1..12_u64, 0..100_i64);
    (what, by, facts(), consent).prop_map(|((kind, name, version, text), by, mut facts, said)| {
        let (node, store, number, at_ms) = by;
        let name = if kind == Kind::Task { format!("{name}#1") } else { name.to_owned() };
        let document = document(kind, &name, version, &format!("{kind:?} {name} {version} {text}"));
        if kind != Kind::Registration {
            facts.registers = None;
        }
        // Mostly a record is of one hospital, whose it stays.
        let node = match (kind, name.as_str()) {
            (Kind::Record, "r") if number < 9 => "hospital",
            (Kind::Record, "s") if number < 9 => "county",
            _ => node,
        };
        if kind == Kind::Consent {
            let (given, all, record, at_ms) = said;
            let consent = Consent { given, all, record: record.to_owned(), at_ms };
            facts = Facts { consent: Some(consent), division: String::new(), ..facts };
        }
        let (node, store) = (node.to_owned(), store.to_owned());
        Submission { node, store, number, document, sm3: [0; 32], facts, at_ms }
    })
}

/// What is said to a store, one after the other.
pub(crate) fn conversation() -> impl Strategy<Value = Vec<Said>> {
    let attend = (
        (select(&NODES[..]), select(&STORES[..])),
        select(vec![0, 3, 12, 12, 12]),
        (proptest::option::of(0..20_usize), 0..6_u64),
        select(vec![true, true, true, false]),
    )
        .prop_map(|((node, store), last, (position, inbox), is_right)| Said::Attend {
            node,
            store,
            last,
            position,
            inbox,
            is_right,
        });
    let advance =
        (select(&NODES[..]), 0..6_u64).prop_map(|(node, number)| Said::Advance(node, number));
    let said = proptest::prop_oneof![
        8 => submission().prop_map(|submission| Said::Keep(Box::new(submission))),
        2 => attend,
        1 => advance,
        1 => Just(Said::Advance("village-2", 1)),
    ];
    vec(said, 1..60)
}

/// Version, time and digest.
type Place = (u32, i64, [u8; 32]);

#[derive(Debug)]
struct Item {
    node: String,
    document: Document,
    facts: Facts,
}

#[derive(Debug, Clone)]
struct Registered {
    active: bool,
    until_ms: Option<i64>,
    name: String,
    version: u32,
}

/// A store in memory. Documents have places, from 0.
#[derive(Debug, Default)]
struct Model {
    items: Vec<Item>,
    handed: BTreeMap<(String, String, u64), usize>,
    inboxes: BTreeMap<String, Vec<usize>>,
    stores: BTreeMap<String, String>,
    retired: BTreeSet<(String, String)>,
    registered: BTreeMap<(PersonKey, String, Relation), Registered>,
    kept: BTreeMap<String, u64>,
    /// What was said last of a person's consent: where it stands among what was said, and the document.
    consents: BTreeMap<(PersonKey, String), (Place, usize)>,
}

#[derive(Debug, PartialEq)]
enum Became {
    Kept(usize),
    Known(usize),
    Refused,
    Forked,
}

impl Model {
    fn keep(&mut self, submission: &Submission) -> Became {
        let Submission { node, store, number, document, facts, at_ms, .. } = submission;
        let handed = (node.clone(), store.clone(), *number);
        if let Some(&item) = self.handed.get(&handed) {
            let is_same = self.items[item].document.sha256 == document.sha256;
            return if is_same { Became::Known(item) } else { Became::Forked };
        }
        let named: Vec<usize> = (0..self.items.len())
            .filter(|item| {
                let there = &self.items[*item].document;
                (there.kind, &there.name, there.version)
                    == (document.kind, &document.name, document.version)
            })
            .collect();
        for item in &named {
            if self.items[*item].document.sha256 == document.sha256 {
                self.handed.insert(handed, *item);
                return Became::Known(*item);
            }
        }
        if document.kind == Kind::Record && !self.is_of_the_owner(submission) {
            return Became::Refused;
        }
        if !named.is_empty() && ![Kind::Task, Kind::Consent].contains(&document.kind) {
            return Became::Refused;
        }
        if document.kind == Kind::Consent && !self.has_to_do(node, facts) {
            return Became::Refused;
        }
        let recipients = self.recipients(document, facts, *at_ms);
        let item = self.items.len();
        self.items.push(Item {
            node: node.clone(),
            document: document.clone(),
            facts: facts.clone(),
        });
        self.handed.insert(handed, item);
        let others = recipients.iter().filter(|to| *to != node);
        if document.kind == Kind::Record {
            for to in others.clone().chain([node]) {
                self.tell(to, &facts.keys);
            }
        }
        for to in others {
            self.put(to, item);
        }
        if let Some(consent) = &facts.consent {
            let place = (document.version, consent.at_ms, document.sha256);
            for key in &facts.keys {
                let all = self.consents.entry((*key, document.name.clone()));
                let last = all.or_insert((place, item));
                if place >= last.0 {
                    *last = (place, item);
                }
            }
        }
        if document.kind == Kind::Registration
            && let Some(registers) = &facts.registers
        {
            for key in &facts.keys {
                self.register(*key, submission, registers);
            }
        }
        Became::Kept(item)
    }

    /// Whether the name is nobody's yet, or the sender's and its institution's.
    fn is_of_the_owner(&self, submission: &Submission) -> bool {
        let Submission { node, document, facts, .. } = submission;
        let is_named = |item: &&Item| {
            item.document.kind == Kind::Record && item.document.name == document.name
        };
        let Some(first) = self.items.iter().find(is_named) else { return true };
        let is_about = |item: &Item| item.facts.keys.iter().any(|key| facts.keys.contains(key));
        let authors = [first.facts.author.as_str(), facts.author.as_str()];
        first.node == *node
            && (authors.contains(&"")
                || authors[0] == authors[1]
                || self.items.iter().filter(is_named).any(is_about))
    }

    /// Whether a node may speak of the person's consent. Versions are too low here to leap.
    fn has_to_do(&self, node: &str, facts: &Facts) -> bool {
        let has = |fits: &dyn Fn(&Item) -> bool| {
            let inbox = self.inboxes.get(node);
            self.items.iter().enumerate().any(|(at, item)| {
                let is_there = item.node == node || inbox.is_some_and(|inbox| inbox.contains(&at));
                item.document.kind == Kind::Record && is_there && fits(item)
            })
        };
        if facts.keys.is_empty() {
            let record = &facts.consent.as_ref().unwrap().record;
            return has(&|item| item.document.name == *record);
        }
        facts.keys.iter().all(|key| {
            let mut said = self.registered.iter();
            has(&|item| item.facts.keys.contains(key))
                || said.any(|((of, by, _), said)| of == key && by == node && said.active)
        })
    }

    fn recipients(&self, document: &Document, facts: &Facts, at_ms: i64) -> BTreeSet<String> {
        let mut to = BTreeSet::new();
        if document.kind == Kind::Task {
            let record = document.name.split('#').next().unwrap();
            for (at, item) in self.items.iter().enumerate() {
                if item.document.kind == Kind::Record && item.document.name == record {
                    to.insert(item.node.clone());
                    let holders = self.inboxes.iter().filter(|(_, inbox)| inbox.contains(&at));
                    to.extend(holders.map(|(node, _)| node.clone()));
                }
            }
            return to;
        }
        if document.kind == Kind::Record {
            for (at, item) in self.items.iter().enumerate() {
                let there = &item.document;
                let is_older = (there.kind, &there.name) == (document.kind, &document.name)
                    && there.version < document.version;
                let holders = self.inboxes.iter().filter(|(_, inbox)| inbox.contains(&at));
                to.extend(holders.filter(|_| is_older).map(|(node, _)| node.clone()));
            }
        }
        for ((key, node, _), said) in &self.registered {
            let holds = said.until_ms.is_none_or(|until_ms| at_ms <= until_ms);
            if facts.keys.contains(key) && said.active && holds {
                to.insert(node.clone());
            }
        }
        if let Some(consent) = &facts.consent {
            for (at, item) in self.items.iter().enumerate() {
                let is_of = item.document.name == consent.record
                    || item.facts.keys.iter().any(|key| facts.keys.contains(key));
                if item.document.kind == Kind::Record && is_of {
                    to.insert(item.node.clone());
                    let holders = self.inboxes.iter().filter(|(_, inbox)| inbox.contains(&at));
                    to.extend(holders.map(|(node, _)| node.clone()));
                }
            }
        }
        for scope in scopes() {
            let covers = [9, 12].contains(&scope.area.len())
                && [9, 12].contains(&facts.division.len())
                && facts.division.starts_with(&scope.area);
            if covers {
                to.insert(scope.node);
            }
        }
        to
    }

    fn register(&mut self, key: PersonKey, submission: &Submission, registers: &Registers) {
        let Submission { node, document, at_ms, .. } = submission;
        let Registers { relation, active, until_ms } = *registers;
        let place = (key, node.clone(), relation);
        if self
            .registered
            .get(&place)
            .is_some_and(|before| before.name == document.name && before.version > document.version)
        {
            return;
        }
        let (name, version) = (document.name.clone(), document.version);
        self.registered.insert(place, Registered { active, until_ms, name, version });
        if !active || until_ms.is_some_and(|until_ms| *at_ms > until_ms) {
            return;
        }
        let mut said: Vec<usize> = self
            .consents
            .iter()
            .filter(|((of, _), _)| *of == key)
            .map(|(_, said)| said.1)
            .collect();
        said.sort_unstable();
        let records: Vec<usize> = (0..self.items.len())
            .filter(|item| {
                let Item { document, facts, .. } = &self.items[*item];
                let is_current = document.kind == Kind::Record
                    && !self.items.iter().any(|other| {
                        other.document.kind == Kind::Record
                            && other.document.name == document.name
                            && other.document.version > document.version
                    });
                is_current && facts.keys.contains(&key)
            })
            .collect();
        let tasks = (0..self.items.len()).filter(|item| {
            let task = &self.items[*item].document;
            let of = task.name.rsplit_once('#').map(|(record, _)| record);
            let is_of = |record: &usize| of == Some(&*self.items[*record].document.name);
            task.kind == Kind::Task && records.iter().any(is_of)
        });
        let all: Vec<usize> =
            said.into_iter().chain(records.iter().copied()).chain(tasks).collect();
        for item in all {
            let has_sent =
                self.handed.iter().any(|((by, ..), handed)| by == node && *handed == item);
            if !has_sent {
                self.put(node, item);
            }
        }
    }

    /// Tells a node what was said last of people's consent, unless it said so itself.
    fn tell(&mut self, node: &str, keys: &[PersonKey]) {
        for key in keys {
            let said = self.consents.iter().filter(|((of, _), _)| of == key);
            let said: Vec<usize> = said.map(|(_, said)| said.1).collect();
            for item in said {
                if self.items[item].node != node {
                    self.put(node, item);
                }
            }
        }
    }

    /// Puts a document into an inbox that does not have it.
    fn put(&mut self, node: &str, item: usize) {
        let inbox = self.inboxes.entry(node.to_owned()).or_default();
        if !inbox.contains(&item) {
            inbox.push(item);
        }
    }

    /// The end of the first `length` documents of an inbox.
    fn cursor(&self, node: &str, length: u64) -> Cursor {
        let inbox = self.inboxes.get(node).into_iter().flatten();
        inbox.take(usize::try_from(length).unwrap()).fold(Cursor::default(), |cursor, item| {
            cursor.after(&self.items[*item].document.sha256)
        })
    }

    fn attend(&mut self, node: &str, hello: &Hello, position: Option<usize>) -> Welcome {
        let of = |(by, store, number): &(String, String, u64)| {
            (by == node && *store == hello.store).then_some(*number)
        };
        let has = Acquaintance {
            retired: self.retired.contains(&(node.to_owned(), hello.store.clone())),
            known: self.handed.keys().filter_map(of).max().unwrap_or(0),
            remembers: position.is_some_and(|item| {
                self.items[item].document.sha256 == hello.position.sha256
                    && self.handed.iter().any(|((by, ..), handed)| by == node && *handed == item)
            }),
            inbox_fits: hello.inbox.number > 0
                && hello.inbox == self.cursor(node, hello.inbox.number),
        };
        let welcome = greet(hello, has);
        if welcome.standing == Standing::Current {
            self.kept.insert(node.to_owned(), welcome.inbox.number);
            let before = self.stores.insert(node.to_owned(), hello.store.clone());
            if let Some(before) = before.filter(|before| *before != hello.store) {
                self.retired.insert((node.to_owned(), before));
                let from = match position {
                    Some(item) if welcome.remembers => item + 1,
                    Some(_) | None => 0,
                };
                let sent: BTreeSet<usize> = self
                    .handed
                    .iter()
                    .filter(|((by, ..), item)| by == node && **item >= from)
                    .map(|(_, item)| *item)
                    .collect();
                for item in sent {
                    self.put(node, item);
                }
            }
        }
        welcome
    }
}

/// Says all of it to `store` and to a store in memory: both must answer alike.
pub(crate) async fn agree(store: &dyn HubDocuments, conversation: Vec<Said>) {
    let mut model = Model::default();
    let mut numbers: Vec<u64> = Vec::new();
    for said in conversation {
        match said {
            Said::Keep(submission) => {
                let expected = model.keep(&submission);
                let became = match store.keep((*submission).clone()).await.unwrap() {
                    Outcome::Kept(number) => {
                        assert!(numbers.last().is_none_or(|last| *last < number));
                        numbers.push(number);
                        Became::Kept(numbers.len() - 1)
                    }
                    Outcome::Known(number) => {
                        Became::Known(numbers.iter().position(|there| *there == number).unwrap())
                    }
                    Outcome::Refused { .. } => Became::Refused,
                    Outcome::Forked => Became::Forked,
                };
                assert_eq!(became, expected, "{submission:?}");
            }
            Said::Attend { node, store: name, last, position, inbox, is_right } => {
                let position = position.filter(|item| *item < model.items.len());
                let mut at = Position::default();
                if let Some(item) = position {
                    let sha256 = model.items[item].document.sha256;
                    at = Position { number: numbers[item], sha256 };
                }
                let mut inbox = model.cursor(node, inbox);
                if !is_right {
                    inbox.chain[0] ^= 1;
                    at.sha256[0] ^= 1;
                }
                let hello = hello(name, last, at, inbox);
                let expected = model.attend(node, &hello, position);
                let welcome = store.attend(node, &hello, 1).await.unwrap();
                assert_eq!(welcome, expected, "{node} {hello:?}");
            }
            Said::Advance(node, number) => {
                let kept = model.kept.entry(node.to_owned()).or_default();
                *kept = (*kept).max(number);
                store.advance(node, number, 1).await.unwrap();
            }
        }
    }
    for line in store.nodes().await.unwrap() {
        let node = line.node.as_str();
        let documents = all(store, node).await;
        let expected = model.inboxes.get(node).into_iter().flatten();
        let expected: Vec<_> = expected.map(|item| model.items[*item].document.clone()).collect();
        assert_eq!(documents, expected, "inbox of {node}");
        let handed = model.handed.keys().filter(|(by, ..)| by == node).count();
        let retired = model.retired.iter().filter(|(by, _)| by == node).count();
        let kept = model.kept.get(node).copied().unwrap_or(0);
        let count = |number: usize| u64::try_from(number).unwrap();
        assert_eq!(
            (line.inbox, line.handed_over, line.kept, line.retired_stores),
            (count(documents.len()), count(handed), kept, count(retired)),
            "{node}"
        );
    }
}
