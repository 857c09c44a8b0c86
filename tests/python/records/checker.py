"""Compares everything that was acknowledged with everything that is stored, at every place."""

import hashlib
import pathlib
import sqlite3
from collections import Counter

from load import document, wait_until
from world import CLINICS, HOSPITAL, HUBS, stubs

# Seconds in which everything must have come to its place once nothing is hurt any more.
DRAIN_WITHIN = 300


def drained(world):
    """Waits until nothing waits for the hub and nobody lacks anything; what is missing, or None."""
    pb, _ = stubs()
    missing = ["nothing was asked yet"]

    def done():
        try:
            left = []
            heads = {node: int(number) for node, number in
                     world.database.rows("SELECT node, number FROM head")}
            for name in (HOSPITAL, *CLINICS):
                told = world.nodes[name].exchange.GetExchangeStatus(
                    pb.GetExchangeStatusRequest(), timeout=10)
                if told.waiting or told.stuck:
                    left.append(f"{name}: {told.waiting} wait, {len(told.stuck)} stuck "
                                f"({told.stuck[0].code if told.stuck else ''})")
                if told.received < heads.get(name, 0):
                    left.append(f"{name}: has {told.received} of {heads[name]}")
        except Exception as error:  # noqa: BLE001 - told if it lasts
            left = [repr(error)[:200]]
        missing[:] = left
        return not left
    return None if wait_until(done, DRAIN_WITHIN) else "; ".join(missing)


class Place:
    """The database of a node that has stopped."""

    def __init__(self, folder):
        self.connection = sqlite3.connect(f"file:{pathlib.Path(folder) / 'xiangyi.db'}?mode=ro",
                                          uri=True)

    def rows(self, query):
        return self.connection.execute(query).fetchall()


def uncovered(state):
    """How a task stands without the other records of the stay."""
    revision, named, by = state
    return (revision, "open" if by else named, "")


class Check:
    """What is wrong, in words; figures beside it."""

    def __init__(self, world, journal):
        self.world, self.journal = world, journal
        self.lost, self.doubled, self.wrong = [], [], list(journal.problems)
        self.places = {}
        self.hub()
        for name in (HOSPITAL, *CLINICS):
            self.node(name)
        self.records()
        self.tasks()
        self.registrations()
        self.both, self.differ = self.differing()
        for at in self.places.values():
            at["place"].connection.close()

    # ---- what is true of every place whatever was asked --------------------------------------

    def hub(self):
        rows = self.world.database.rows
        self.documents = {}
        for number, kind, name, version, sha256, node in rows(
                "SELECT number, kind, name, version, encode(sha256, 'hex'), node FROM document"):
            self.documents[int(number)] = (kind, name, int(version), sha256, node)
        counts = Counter(self.documents.values())
        self.doubled += [f"hub: {n} times {key}" for key, n in counts.items() if n > 1]
        bodies = Counter((d[0], d[3]) for d in self.documents.values() if d[0] != "registration")
        self.doubled += [f"hub: one body as {n} documents, {key}"
                         for key, n in bodies.items() if n > 1]
        self.at_hub = {d[:4]: number for number, d in self.documents.items()}
        self.inbox = {name: [] for name in (HOSPITAL, *CLINICS)}
        chains = {name: bytes(32) for name in self.inbox}
        for node, number, of, chain in rows("SELECT node, number, document, encode(chain, 'hex') "
                                            "FROM inbox ORDER BY node, number"):
            box = self.inbox[node]
            box.append(int(of))
            if int(number) != len(box):
                self.wrong.append(f"inbox of {node}: {number} where {len(box)} is due")
            if int(of) not in self.documents:
                self.lost.append(f"inbox of {node}: {number} is of no document")
                self.documents[int(of)] = ("none", of, 0, "", "")
            digest = bytes.fromhex(self.documents[int(of)][3])
            chains[node] = hashlib.sha256(chains[node] + digest).digest()
            if chains[node].hex() != chain:
                self.wrong.append(f"inbox of {node}: the chain breaks at {number}")
        for node, box in self.inbox.items():
            self.doubled += [f"inbox of {node}: {n} times {self.documents[of]}"
                             for of, n in Counter(box).items() if n > 1]
        self.heads = {n: (int(c), chain) for n, c, chain in
                      rows("SELECT node, number, encode(chain, 'hex') FROM head")}
        for node, box in self.inbox.items():
            if self.heads.get(node, (0, ""))[0] != len(box):
                self.wrong.append(f"head of {node}: {self.heads.get(node)}, inbox {len(box)}")
        audited = Counter(int(d) for d, in rows("SELECT document FROM audit WHERE outcome = 'kept'"))
        self.wrong += [f"hub: {audited[n]} audit entries for {d}"
                       for n, d in self.documents.items() if audited[n] != 1]
        self.wrong += [f"hub: put aside: {row}" for row in
                       rows("SELECT node, kind, name, version, code FROM quarantine")]
        self.retired = rows("SELECT node, store FROM retired")
        self.wrong += [f"hub: a database was retired: {row}" for row in self.retired]
        self.handed = {}
        for node, store, number, of in rows("SELECT node, store, number, document FROM handed"):
            if int(of) in self.documents:
                self.handed[node, store, int(number)] = int(of)

    def node(self, name):
        place = Place(self.world.nodes[name].data)
        fine = place.rows("PRAGMA integrity_check")
        if fine != [("ok",)]:
            self.wrong.append(f"{name}: the database is damaged: {fine[:3]}")
        ((store, number, chain),) = place.rows(
            "SELECT store, inbox_number, hex(inbox_chain) FROM exchange_state")
        head = self.heads.get(name, (0, "00" * 32))
        if (number, chain.lower()) != head:
            self.wrong.append(f"{name}: its inbox is at {number}, the hub's at {head}")
        for kind, count in place.rows("SELECT kind, count(*) FROM exchange_event GROUP BY kind"):
            self.wrong.append(f"{name}: {count} events {kind}")
        documents = place.rows("SELECT kind, name, version, lower(hex(sha256)), origin, seq, body, "
                               "problem FROM document")
        for kind, of, version, sha256, *_, body, problem in documents:
            if hashlib.sha256(body).hexdigest() != sha256:
                self.wrong.append(f"{name}: the bytes of {of} {version} are others")
            if problem:
                self.wrong.append(f"{name}: {kind} {of} cannot be read: {problem}")
        own = {row[5]: row[:4] for row in documents if row[4] == "own"}
        # Everything of its own was handed over once, by its number.
        settled = place.rows("SELECT number, document, settled FROM outbox ORDER BY number")
        for at, seq, done in settled:
            there = self.handed.get((name, store, at))
            if not done or there is None or self.documents[there][:4] != own.get(seq):
                self.lost.append(f"{name}: number {at}, {own.get(seq)}, is not at the hub: {there}")
        self.doubled += [f"{name}: {seq} is {n} times in the outbox"
                         for seq, n in Counter(row[1] for row in settled).items() if n > 1]
        self.wrong += [f"{name}: {own[seq]} is not in the outbox"
                       for seq in own.keys() - {row[1] for row in settled}]
        # Everything that came is what the hub had for it.
        came = Counter(row[:4] for row in documents if row[4] == "hub")
        due = Counter(self.documents[of][:4] for of in self.inbox[name])
        self.lost += [f"{name}: lacks {d}" for d in due - came]
        self.wrong += [f"{name}: has {d}, which is not for it" for d in came - due]
        audit = Counter(row[0] for row in place.rows(
            "SELECT record_id FROM audit WHERE action = 'receive_document'"))
        if sum(audit.values()) != sum(came.values()):
            self.wrong.append(f"{name}: {sum(audit.values())} audit entries of "
                              f"{sum(came.values())} arrivals")
        self.places[name] = {"place": place, "all": Counter(row[:4] for row in documents)}

    # ---- what was acknowledged ---------------------------------------------------------------

    def records(self):
        """In the hospital, at the hub, in the right clinics, once each and byte for byte."""
        journal = self.journal
        asked = set()
        for number, entry in journal.records.items():
            sha256 = hashlib.sha256(
                document(number, entry["clinic"], entry["person"])).hexdigest()
            asked.add(sha256)
            if entry["kept"] is None:
                continue
            name, version, told = entry["kept"]
            key = ("record", name, version, sha256)
            if told != sha256:
                self.wrong.append(f"record {number}: another digest was acknowledged")
            if not self.places[HOSPITAL]["all"][key]:
                self.lost.append(f"record {number}: not in the hospital")
            if key not in self.at_hub:
                self.lost.append(f"record {number}: not at the hub")
            for clinic in CLINICS:
                must, may = self.concerned(clinic, entry)
                there = self.places[clinic]["all"][key]
                if must and there == 0:
                    self.lost.append(f"record {number}: not in {clinic} ({self.why(clinic, entry)})")
                if there and not may:
                    self.wrong.append(f"record {number}: in {clinic}, which it does not concern")
                if there > 1:
                    self.doubled.append(f"record {number}: {there} times in {clinic}")
        self.wrong += [f"hub: {d}, which nobody sent" for d in self.at_hub
                       if d[0] == "record" and d[3] not in asked]

    def why(self, clinic, entry):
        said = self.journal.registrations.get((clinic, entry["person"]))
        return "lives there" if entry["clinic"] == clinic else f"registered: {said}"

    def concerned(self, clinic, entry):
        """Whether a record must be in a clinic, and whether it may."""
        if entry["clinic"] == clinic:
            return True, True
        said = self.journal.registrations.get((clinic, entry["person"]))
        if said is None:
            return False, False
        last = said["kept"][-1] if said["kept"] else None
        # The last that was asked is the last that was acknowledged, and it is no end.
        return bool(last and last[0] and last[1] == len(said["asked"])), any(said["asked"])

    def tasks(self):
        for (clinic, task, revision), (record, _, note) in self.journal.tasks.items():
            name = f"{record}#{task}"
            here = self.places[clinic]["place"].rows(
                "SELECT lower(hex(sha256)) FROM document WHERE kind = 'task' AND "
                f"name = '{name}' AND version = {revision} AND CAST(body AS TEXT) LIKE '%\"{note}\"%'")
            if len(here) != 1:
                self.lost.append(f"{clinic}: {len(here)} times {note} of task {name}")
                continue
            if ("task", name, revision, here[0][0]) not in self.at_hub:
                self.lost.append(f"{clinic}: {note} of task {name} is not at the hub")

    def differing(self):
        """Tasks that two clinics have; those that are not in one state at both are wrong. Of which
        record of a stay a task is to be done is the same where both have the same records of the
        person; where one lacks a record, a task that is covered by another counts as open."""
        states = [self.states(clinic) for clinic in CLINICS]
        both = set(states[0]) & set(states[1])
        differ = []
        for task in both:
            (one, of_one), (other, of_other) = states[0][task], states[1][task]
            if of_one != of_other:
                one, other = uncovered(one), uncovered(other)
            if one != other:
                differ.append(task)
        here, there = CLINICS
        self.wrong += [f"task {task}: {states[0][task][0]} at {here}, {states[1][task][0]} at "
                       f"{there}" for task in differ]
        return len(both), len(differ)

    def states(self, clinic):
        """By task: revision, state and what it is covered by; and the person's records that count."""
        place = self.places[clinic]["place"]
        persons, records = {}, {}
        for name, person in place.rows(
                "SELECT name, resident FROM document WHERE kind = 'record' AND current = 1 "
                "AND withdrawn = 0"):
            persons[name] = person
            records.setdefault(person, set()).add(name)
        return {task: ((revision, state, by), records.get(persons.get(record)))
                for task, record, revision, state, by in place.rows(
                    "SELECT id, record, revision, state, covered_by FROM task")}

    def registrations(self):
        active = {}
        for name, version, is_active in self.world.database.rows(
                "SELECT name, version, active FROM registration"):
            active[name] = (int(version), is_active == "t")
        for (clinic, who), said in self.journal.registrations.items():
            for _, _, name, version in said["kept"]:
                found = [d for d in self.places[clinic]["all"]
                         if d[:3] == ("registration", name, version)]
                if len(found) != 1 or found[0] not in self.at_hub:
                    self.lost.append(f"{clinic}: registration {name} {version} of {who}: {found}")
            if said["kept"] and said["kept"][-1][1] == len(said["asked"]):
                wanted, _, name, version = said["kept"][-1]
                if active.get(name, (0, None))[1] != wanted:
                    self.lost.append(f"{clinic}: registration {name} {version} of {who} is "
                                     f"{active.get(name)} at the hub: {said}")

    def report(self):
        return {"hub_documents": len(self.documents),
                "inboxes": {node: len(box) for node, box in self.inbox.items()},
                "tasks_at_both": self.both, "tasks_that_differ": self.differ,
                "lost": len(self.lost), "doubled": len(self.doubled), "wrong": len(self.wrong),
                "first": (self.lost[:40] + self.doubled[:20] + self.wrong[:20])}


# What is done to a region that is whole, and where; each must be noticed.
TAMPERING = {
    "a record gone from the hospital": (HOSPITAL, "DELETE FROM document WHERE seq = (SELECT max(seq) "
                                        "FROM document WHERE kind = 'record')"),
    "other bytes in a clinic": ("clinic-1", "UPDATE document SET body = CAST(body || x'0a' AS BLOB) "
                                "WHERE seq = (SELECT max(seq) FROM document WHERE origin = 'hub')"),
    "a document gone from a clinic": ("clinic-2", "DELETE FROM document WHERE seq = (SELECT max(seq) "
                                      "FROM document WHERE origin = 'hub')"),
    "a task's state gone from a clinic": (
        "clinic-2", "DELETE FROM document WHERE seq = (SELECT max(seq) FROM document WHERE "
        "kind = 'task' AND origin = 'own')"),
    "a gap in an inbox": (None, "DELETE FROM inbox WHERE node = 'clinic-1' AND number = 2"),
    "a document twice at the hub": (
        None, "INSERT INTO document SELECT nextval('document_number'), kind, name || '!', version, "
        "variant, media_type, sha256, sm3, node, withdrawn, kept_ms, bytes, body FROM document "
        "WHERE kind = 'record' LIMIT 1"),
    "a document gone from the hub": (None, "DELETE FROM document WHERE number = (SELECT max(number) "
                                     "FROM document WHERE kind = 'record' AND name NOT LIKE '%!')"),
}


def unnoticed(world, journal):
    """Damages a region that is whole, one thing after the other: what the check does not see."""
    blind, before = [], 0
    for name, (place, statement) in TAMPERING.items():
        if place is None:
            world.database.rows(statement)
        else:
            with sqlite3.connect(world.nodes[place].data / "xiangyi.db") as connection:
                connection.execute(statement)
            connection.close()
        check = Check(world, journal)
        found = len(check.lost) + len(check.doubled) + len(check.wrong)
        if found <= before:
            blind.append(name)
        before = found
    return blind


def stopped(world):
    """Ends every node in order, so that its files are whole."""
    return [f"{name} ended with {code}" for name in (HOSPITAL, *CLINICS, *HUBS)
            if (code := world.nodes[name].stop()) != 0]
