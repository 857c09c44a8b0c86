//! Nodes, lines and a hub with two replicas, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::hub::{Acquaintance, HubDo, HubSession, greet};
use super::super::node::{NodeDo, NodeSession};
use super::super::{Cursor, Document, FromHub, FromNode, Hello, Kind, Outcome, Position, Standing};

/// Which faults happen beside broken lines and lost power.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Old copies of a node's database are put back.
    pub(super) restores: bool,
    /// An old copy of the hub's database is put back.
    pub(super) hub_restores: bool,
    /// A node's box is replaced, or its disk copied into a second box.
    pub(super) boxes: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) submitted: usize,
    pub(super) delivered: usize,
    pub(super) cuts: usize,
    pub(super) crashes: usize,
    pub(super) restores: usize,
    pub(super) renewals: usize,
    pub(super) hub_restores: usize,
    pub(super) unsettled: usize,
    pub(super) boxes: usize,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.delivered += other.delivered;
        self.cuts += other.cuts;
        self.crashes += other.crashes;
        self.restores += other.restores;
        self.renewals += other.renewals;
        self.hub_restores += other.hub_restores;
        self.unsettled += other.unsettled;
        self.boxes += other.boxes;
    }
}

type Sha = [u8; 32];

/// What is on a node's disk.
#[derive(Debug, Clone, Default)]
struct NodeDisk {
    store: String,
    outbox: Vec<(Document, bool)>,
    position: Position,
    inbox: Cursor,
    has: BTreeSet<Sha>,
}

/// A box: a node's name, its disk, and the line it holds.
#[derive(Debug)]
struct Machine {
    name: usize,
    disk: NodeDisk,
    backup: Option<NodeDisk>,
    line: Option<Line>,
    /// Takes part no more (its disk was copied and thrown away, or it was replaced and has handed all over).
    submits: bool,
}

#[derive(Debug)]
struct Line {
    node: NodeSession,
    hub: HubSession,
    node_todo: VecDeque<NodeDo>,
    hub_todo: VecDeque<HubDo>,
    to_hub: VecDeque<FromNode>,
    to_node: VecDeque<FromHub>,
}

#[derive(Debug, Clone, Default)]
struct HubDisk {
    items: Vec<(usize, String, u64, Document)>,
    numbers: BTreeMap<(usize, String, u64), usize>,
    documents: BTreeMap<(Kind, String, u32), usize>,
    inboxes: BTreeMap<usize, Vec<(usize, Cursor)>>,
    stores: BTreeMap<usize, String>,
    retired: BTreeSet<(usize, String)>,
}

#[derive(Debug)]
pub(super) struct World {
    random: u64,
    faults: Faults,
    machines: Vec<Machine>,
    hub: HubDisk,
    hub_backup: Option<HubDisk>,
    told: Told,
    stores: usize,
    /// What was acknowledged to whoever submitted it: the box, and the digest.
    submitted: Vec<(usize, Sha)>,
    healing: bool,
}

const NODES: usize = 3;

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut world = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678,
            faults,
            machines: Vec::new(),
            hub: HubDisk::default(),
            hub_backup: None,
            told: Told::default(),
            stores: 0,
            submitted: Vec::new(),
            healing: false,
        };
        for name in 0..NODES {
            let disk = NodeDisk { store: world.new_store(), ..NodeDisk::default() };
            world.machines.push(Machine { name, disk, backup: None, line: None, submits: true });
        }
        world
    }

    pub(super) fn told(&self) -> Told {
        self.told
    }

    fn chance(&mut self, of: u64) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % of
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.chance(u64::try_from(of).unwrap())).unwrap()
    }

    fn new_store(&mut self) -> String {
        self.stores += 1;
        format!("store-{}", self.stores)
    }

    /// One thing happens somewhere.
    pub(super) fn step(&mut self) {
        let at = self.pick(self.machines.len());
        match self.chance(200) {
            0..20 => self.submit(at),
            20..24 => self.cut(at),
            24..26 => self.power_fails_at(at),
            26 => self.power_fails_at_the_hub(),
            27..30 => self.say_twice(at),
            30 if self.faults.restores => {
                self.machines[at].backup = Some(self.machines[at].disk.clone());
            }
            31..36 if self.faults.restores => self.restore(at),
            36 if self.faults.hub_restores => self.hub_backup = Some(self.hub.clone()),
            37 if self.faults.hub_restores && self.chance(3) == 0 => self.restore_hub(),
            38 if self.faults.boxes && self.chance(6) == 0 => self.replace(at),
            39 if self.faults.boxes && self.chance(6) == 0 => self.copy(at),
            _ => drop(self.work(at)),
        }
    }

    /// The faults stop, and everything that is under way comes to its end.
    pub(super) fn heal(&mut self) {
        self.healing = true;
        // A copied disk's second box hears at its next dialling that it was replaced.
        for _ in 0..3 {
            for at in 0..self.machines.len() {
                self.machines[at].line = None;
            }
            let mut woken = 0;
            loop {
                let mut moved = false;
                for at in 0..self.machines.len() {
                    moved |= self.work(at);
                    moved |= self.node_does(at) | self.hub_does(at);
                    moved |= self.node_hears(at) | self.hub_hears(at);
                }
                if moved {
                    continue;
                }
                let mut waits = false;
                for at in 0..self.machines.len() {
                    waits |= self.wake(at);
                }
                woken += 1;
                if !waits || woken > 50 {
                    break;
                }
            }
        }
    }

    /// Wakes both ends, as a timer would; whether that gave anything to do.
    fn wake(&mut self, at: usize) -> bool {
        let waiting = self.machines[at].disk.outbox.iter().any(|(_, settled)| !settled);
        let name = self.machines[at].name;
        let last = self.hub.inboxes.get(&name).map_or(0, Vec::len);
        let behind = self.machines[at].disk.inbox.number < u64::try_from(last).unwrap();
        let Some(line) = &mut self.machines[at].line else { return waiting || behind };
        line.node_todo.extend(line.node.woken());
        line.hub_todo.extend(line.hub.woken());
        (waiting || behind) && !line.node.replaced()
    }

    fn submit(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        if !machine.submits {
            return;
        }
        let number = self.submitted.len();
        let body = Bytes::from(format!("document {number} of {}", machine.name));
        let sha256 = Sha256::digest(&body).into();
        let document = Document {
            kind: Kind::Record,
            name: format!("{}-{number}", machine.name),
            version: 1,
            media_type: String::new(),
            sha256,
            body,
        };
        machine.disk.outbox.push((document, false));
        machine.disk.has.insert(sha256);
        self.submitted.push((at, sha256));
        self.told.submitted += 1;
        if let Some(line) = &mut machine.line {
            line.node_todo.extend(line.node.woken());
        }
    }

    fn cut(&mut self, at: usize) {
        self.told.cuts += 1;
        self.machines[at].line = None;
    }

    fn power_fails_at(&mut self, at: usize) {
        self.told.crashes += 1;
        self.machines[at].line = None;
    }

    fn power_fails_at_the_hub(&mut self) {
        self.told.crashes += 1;
        for machine in &mut self.machines {
            machine.line = None;
        }
    }

    fn say_twice(&mut self, at: usize) {
        let Some(line) = &mut self.machines[at].line else { return };
        if let Some(message) = line.to_hub.front().cloned() {
            line.to_hub.push_front(message);
        }
        if let Some(message) = line.to_node.front().cloned() {
            line.to_node.push_front(message);
        }
    }

    fn restore(&mut self, at: usize) {
        let Some(backup) = self.machines[at].backup.clone() else { return };
        self.told.restores += 1;
        self.machines[at].line = None;
        self.machines[at].disk = backup;
        self.forget(at);
    }

    /// What a box had and had not handed over is gone with its disk: nobody can give it back.
    fn forget(&mut self, at: usize) {
        let at_hub: BTreeSet<Sha> = self.hub.items.iter().map(|item| item.3.sha256).collect();
        let disk: BTreeSet<Sha> =
            self.machines[at].disk.outbox.iter().map(|(document, _)| document.sha256).collect();
        self.submitted.retain(|(by, sha)| *by != at || at_hub.contains(sha) || disk.contains(sha));
    }

    fn restore_hub(&mut self) {
        let Some(backup) = self.hub_backup.clone() else { return };
        self.told.hub_restores += 1;
        self.power_fails_at_the_hub();
        self.hub = backup;
    }

    fn replace(&mut self, at: usize) {
        self.told.boxes += 1;
        let (name, store) = (self.machines[at].name, self.new_store());
        let disk = NodeDisk { store, ..NodeDisk::default() };
        self.machines.push(Machine { name, disk, backup: None, line: None, submits: true });
        self.machines[at].line = None;
    }

    fn copy(&mut self, at: usize) {
        self.told.boxes += 1;
        let (name, disk) = (self.machines[at].name, self.machines[at].disk.clone());
        // What was not handed over is on both disks.
        self.machines.push(Machine { name, disk, backup: None, line: None, submits: true });
    }

    /// One step of one line; whether there was anything to do.
    fn work(&mut self, at: usize) -> bool {
        if self.machines[at].line.is_none() {
            if !self.healing && self.chance(4) > 0 {
                return false;
            }
            let (node, hello) = NodeSession::begin(hello(&self.machines[at].disk));
            let line = Line {
                node,
                hub: HubSession::default(),
                node_todo: VecDeque::from([NodeDo::Send(hello)]),
                hub_todo: VecDeque::new(),
                to_hub: VecDeque::new(),
                to_node: VecDeque::new(),
            };
            self.machines[at].line = Some(line);
            return true;
        }
        match self.chance(4) {
            0 => self.node_does(at),
            1 => self.hub_does(at),
            2 => self.node_hears(at),
            _ => self.hub_hears(at),
        }
    }

    fn node_hears(&mut self, at: usize) -> bool {
        let Some(line) = &mut self.machines[at].line else { return false };
        let Some(message) = line.to_node.pop_front() else { return false };
        match line.node.heard(message) {
            Ok(todo) => line.node_todo.extend(todo),
            Err(_) => self.machines[at].line = None,
        }
        true
    }

    fn hub_hears(&mut self, at: usize) -> bool {
        let Some(line) = &mut self.machines[at].line else { return false };
        let Some(message) = line.to_hub.pop_front() else { return false };
        match line.hub.heard(message) {
            Ok(todo) => line.hub_todo.extend(todo),
            Err(_) => self.machines[at].line = None,
        }
        true
    }

    fn node_does(&mut self, at: usize) -> bool {
        let machine = &mut self.machines[at];
        let Some(line) = &mut machine.line else { return false };
        let Some(todo) = line.node_todo.pop_front() else { return false };
        let disk = &mut machine.disk;
        match todo {
            NodeDo::Send(message) => line.to_hub.push_back(message),
            NodeDo::ReadOutbox { after: _, limit } => {
                let mut waiting = Vec::new();
                for (number, (document, settled)) in (1_u64..).zip(&disk.outbox) {
                    if !settled {
                        waiting.push((number, document.clone()));
                    }
                }
                let whole = waiting.len() <= limit;
                waiting.truncate(limit);
                line.node_todo.extend(line.node.outbox(waiting, whole));
            }
            NodeDo::Settle(number, outcome) => {
                let position = outcome.number().expect("nothing here is refused");
                let entry = &mut disk.outbox[usize::try_from(number - 1).unwrap()];
                entry.1 = true;
                if position > disk.position.number {
                    disk.position = Position { number: position, sha256: entry.0.sha256 };
                }
            }
            NodeDo::Keep(cursor, delivery) => {
                disk.has.insert(delivery.document.sha256);
                disk.inbox = cursor;
                self.told.delivered += 1;
                line.node_todo.extend(line.node.kept(cursor.number));
            }
            NodeDo::Unsettle => {
                self.told.unsettled += 1;
                for entry in &mut disk.outbox {
                    entry.1 = false;
                }
                disk.position = Position::default();
            }
            NodeDo::ResetInbox(cursor) => disk.inbox = cursor,
            NodeDo::Renew => {
                self.told.renewals += 1;
                self.stores += 1;
                disk.store = format!("store-{}", self.stores);
                line.node_todo.extend(line.node.renewed(hello(disk)));
            }
            NodeDo::NoteReplaced => {}
        }
        true
    }

    fn hub_does(&mut self, at: usize) -> bool {
        let machine = &mut self.machines[at];
        let name = machine.name;
        let Some(line) = &mut machine.line else { return false };
        let Some(todo) = line.hub_todo.pop_front() else { return false };
        match todo {
            HubDo::Send(message) => line.to_node.push_back(message),
            HubDo::Attend(hello) => {
                let welcome = self.hub.attend(name, &hello);
                line.hub_todo.extend(line.hub.attended(&hello, welcome));
            }
            HubDo::Submit(store, number, document) => {
                let outcome = self.hub.keep(name, &store, number, document);
                line.hub_todo.extend(line.hub.answered(&store, number, outcome));
            }
            HubDo::ReadInbox { after, limit } => {
                let rows = self.hub.inboxes.get(&name).map_or(&[][..], Vec::as_slice);
                let rows: Vec<_> =
                    rows.iter().skip(usize::try_from(after).unwrap()).take(limit + 1).collect();
                let whole = rows.len() <= limit;
                let rows = rows.into_iter().take(limit);
                let rows: Vec<_> = rows
                    .map(|(item, cursor)| (cursor.number, self.hub.items[*item].3.clone().into()))
                    .collect();
                line.hub_todo.extend(line.hub.inbox(after, rows, whole));
            }
            HubDo::Advance(_) => {}
        }
        true
    }

    /// Compares everything acknowledged with everything stored.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut at_hub = BTreeMap::<Sha, usize>::new();
        for item in self.hub.documents.values() {
            *at_hub.entry(self.hub.items[*item].3.sha256).or_default() += 1;
        }
        for (by, sha) in &self.submitted {
            match at_hub.get(sha) {
                Some(1) => {}
                Some(_) => return Err("a document is at the hub twice".to_owned()),
                None => return Err(format!("a document of box {by} is not at the hub")),
            }
        }
        for (at, machine) in self.machines.iter().enumerate() {
            if machine.disk.outbox.iter().any(|(_, settled)| !settled) {
                return Err(format!("box {at} still waits for an answer"));
            }
            let current = self.hub.stores.get(&machine.name) == Some(&machine.disk.store);
            if !current {
                continue;
            }
            for item in &self.hub.items {
                let (from, document) = (item.0, &item.3);
                // What others sent is for this one; what it sent itself it has.
                if !machine.disk.has.contains(&document.sha256)
                    && (from != machine.name || !self.faults.boxes)
                {
                    return Err(format!("box {at} lacks a document of node {from}"));
                }
            }
        }
        for name in 0..NODES {
            let current = self.hub.stores.get(&name);
            if !self.machines.iter().any(|m| m.name == name && Some(&m.disk.store) == current) {
                return Err(format!("no box of node {name} is the current one"));
            }
        }
        Ok(())
    }
}

fn hello(disk: &NodeDisk) -> Hello {
    Hello {
        store: disk.store.clone(),
        last: u64::try_from(disk.outbox.len()).unwrap(),
        position: disk.position,
        inbox: disk.inbox,
    }
}

impl HubDisk {
    fn attend(&mut self, node: usize, hello: &Hello) -> super::super::Welcome {
        let known = self.numbers.range((node, hello.store.clone(), 0)..);
        let known = known.take_while(|((n, store, _), _)| *n == node && *store == hello.store);
        let known = known.map(|((_, _, number), _)| *number).max().unwrap_or(0);
        let position = usize::try_from(hello.position.number).unwrap();
        let has = Acquaintance {
            retired: self.retired.contains(&(node, hello.store.clone())),
            known,
            remembers: position
                .checked_sub(1)
                .and_then(|at| self.items.get(at))
                .is_some_and(|item| item.0 == node && item.3.sha256 == hello.position.sha256),
            inbox_fits: usize::try_from(hello.inbox.number)
                .unwrap()
                .checked_sub(1)
                .and_then(|at| self.inboxes.get(&node)?.get(at))
                .is_some_and(|(_, cursor)| *cursor == hello.inbox),
        };
        let welcome = greet(hello, has);
        match welcome.standing {
            Standing::Current => {
                let before = self.stores.insert(node, hello.store.clone());
                if let Some(before) = before.filter(|before| *before != hello.store) {
                    self.retired.insert((node, before));
                    self.give_back(node, hello.position.number);
                }
            }
            Standing::Forked | Standing::Replaced => {}
        }
        welcome
    }

    /// Puts what the node has sent above a number of the hub into its inbox.
    fn give_back(&mut self, node: usize, above: u64) {
        for item in usize::try_from(above).unwrap()..self.items.len() {
            if self.items[item].0 == node {
                self.put(node, item);
            }
        }
    }

    fn put(&mut self, node: usize, item: usize) {
        let sha = self.items[item].3.sha256;
        let inbox = self.inboxes.entry(node).or_default();
        let cursor = inbox.last().map_or(Cursor::default(), |(_, cursor)| *cursor).after(&sha);
        inbox.push((item, cursor));
    }

    fn keep(&mut self, node: usize, store: &str, number: u64, document: Document) -> Outcome {
        let key = (node, store.to_owned(), number);
        if let Some(&item) = self.numbers.get(&key) {
            if self.items[item].3.sha256 == document.sha256 {
                return Outcome::Known(u64::try_from(item + 1).unwrap());
            }
            return Outcome::Forked;
        }
        let named = (document.kind, document.name.clone(), document.version);
        if let Some(&item) = self.documents.get(&named) {
            assert_eq!(self.items[item].3.sha256, document.sha256, "nothing here conflicts");
            self.numbers.insert(key, item);
            return Outcome::Known(u64::try_from(item + 1).unwrap());
        }
        let item = self.items.len();
        self.items.push((node, store.to_owned(), number, document));
        self.numbers.insert(key, item);
        self.documents.insert(named, item);
        for other in 0..NODES {
            if other != node {
                self.put(other, item);
            }
        }
        Outcome::Kept(u64::try_from(item + 1).unwrap())
    }
}
