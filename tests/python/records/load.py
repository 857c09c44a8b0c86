"""Work for the region of `world.py`, and the journal of what was acknowledged."""

import random
import threading
import time

import grpc
from world import CLINICS, HOSPITAL, ROOT, stubs

FIXTURE = ROOT / "tests/data/records/wst500-53-stroke.xml"
NUMBER, VILLAGE, PERSON, BORN = "CYXJ20261118-0437", "石峡村", "36112119570317051X", "19570317"
NAME = "饶建国"
# Of GB 11643: what the digits are multiplied by, and the check character for the rest.
WEIGHTS, CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
AREAS = ("361121", "361102", "361104", "361181")


def person(number):
    """Birth date and resident ID of a made-up man."""
    born = f"{1940 + number // 500 % 40}0317"
    digits = f"{AREAS[number // 20_000 % len(AREAS)]}{born}{number % 500 * 2 + 1:03}"
    rest = sum(int(d) * w for d, w in zip(digits, WEIGHTS, strict=True)) % 11
    return born, digits + CHECKS[rest]


def document(number, clinic, who):
    """A discharge record of its own number, of somebody who lives in a clinic's village."""
    born, resident = person(who)
    text = FIXTURE.read_text(encoding="utf-8")
    for before, after in ((NUMBER, f"FAULTS-{number}"), (VILLAGE, CLINICS[clinic][1]),
                          (PERSON, resident), (f'birthTime value="{BORN}"',
                                               f'birthTime value="{born}"')):
        assert before in text, before
        text = text.replace(before, after)
    return text.encode()


class Journal:
    """What was asked, and what was acknowledged of it. Nothing else counts as kept."""

    def __init__(self):
        self.lock = threading.Lock()
        # By number: clinic, person, and the name, version and digest once acknowledged.
        self.records = {}
        # By clinic and person: whether it is active in the answers that came, and in all that was
        # asked; and the name and version of each that was acknowledged.
        self.registrations = {}
        # By clinic, task and revision: state and note.
        self.tasks = {}
        self.asked = {"records": 0, "registrations": 0, "tasks": 0}
        self.refused = {}
        self.problems = []

    def counts(self):
        with self.lock:
            return {"records": sum(r["kept"] is not None for r in self.records.values()),
                    "registrations": sum(len(r["kept"]) for r in self.registrations.values()),
                    "tasks": len(self.tasks)}

    def problem(self, text):
        with self.lock:
            self.problems.append(text)

    def refuse(self, what, error):
        key = f"{what} {error.code().name}"
        with self.lock:
            self.refused[key] = self.refused.get(key, 0) + 1


class Load:
    """Threads that work until told to stop; each node's callers are its own threads."""

    def __init__(self, world, seed, rate=8.0):
        self.world, self.seed, self.pause = world, seed, 1.0 / rate
        self.journal, self.stop = Journal(), threading.Event()
        self.pb, _ = stubs()
        jobs = [(self._hospital, 0), (self._hospital, 1), *((self._clinic, c) for c in CLINICS)]
        self.threads = [threading.Thread(target=self._forever, args=job) for job in jobs]

    def start(self):
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _forever(self, job, which):
        chance = random.Random(f"{self.seed}-{job.__name__}-{which}")
        try:
            while not self.stop.wait(self.pause * chance.uniform(0.5, 3)):
                job(chance, which)
        except Exception as error:  # noqa: BLE001 - told at the end
            self.journal.problem(f"the load of {which} ended: {error!r}")

    # ---- the hospital ------------------------------------------------------------------------

    def _hospital(self, chance, which):
        journal = self.journal
        with journal.lock:
            journal.asked["records"] += 1
            number = journal.asked["records"]
            clinic = chance.choice(sorted(CLINICS))
            who = number if chance.random() < 0.8 else chance.randint(1, number)
            entry = {"clinic": clinic, "person": who, "kept": None}
            journal.records[number] = entry
        # A sender tries again until it is told, or gives up: then nobody knows.
        tries = chance.choice([1, 20, 20, 20])
        for attempt in range(tries):
            answer = self._submit(entry, number)
            if answer:
                if attempt == 0 and answer[3] == self.pb.SUBMIT_OUTCOME_KNOWN:
                    journal.problem(f"record {number} was known before it was sent")
                with journal.lock:
                    entry["kept"] = answer[:3]
                break
            if self.stop.wait(chance.uniform(0.05, 1.5)):
                return
        if chance.random() < 0.05:
            self._again(chance)

    def _submit(self, entry, number):
        request = self.pb.SubmitRecordRequest(
            content=document(number, entry["clinic"], entry["person"]))
        try:
            answer = self.world.nodes[HOSPITAL].records.SubmitRecord(request, timeout=15)
        except grpc.RpcError as error:
            self.journal.refuse("SubmitRecord", error)
            return None
        return answer.name, answer.version, answer.sha256, answer.outcome

    def _again(self, chance):
        """Sends once more what was acknowledged long ago."""
        with self.journal.lock:
            number = chance.choice(sorted(self.journal.records))
            entry = self.journal.records[number]
        if entry["kept"] is None:
            return
        answer = self._submit(entry, number)
        if answer and answer != (*entry["kept"], self.pb.SUBMIT_OUTCOME_KNOWN):
            self.journal.problem(f"record {number} again: {entry['kept']} became {answer}")

    # ---- a clinic ----------------------------------------------------------------------------

    def _clinic(self, chance, clinic):
        if chance.random() < 0.35:
            self._register(chance, clinic)
        else:
            self._task(chance, clinic)

    def _register(self, chance, clinic):
        journal = self.journal
        with journal.lock:
            journal.asked["registrations"] += 1
            known = sorted(journal.records)
            mine = sorted(who for at, who in journal.registrations if at == clinic)
            ends = bool(mine) and chance.random() < 0.3
            if mine and (ends or chance.random() < 0.2):
                who = chance.choice(mine)
            elif known and chance.random() < 0.7:
                who = journal.records[chance.choice(known)]["person"]
            else:
                who = 40_000 + journal.asked["registrations"]
            entry = journal.registrations.setdefault((clinic, who), {"kept": [], "asked": []})
            entry["asked"].append(not ends)
        born, resident = person(who)
        request = self.pb.RegisterPatientRequest(
            person=self.pb.RegisteredPerson(
                name=NAME, resident_id=resident, birth_date=f"{born[:4]}-{born[4:6]}-{born[6:]}"),
            relation=self.pb.RELATION_CONTRACT, ends=ends, until_ms=4102415999999)
        try:
            answer = self.world.nodes[clinic].exchange.RegisterPatient(request, timeout=15)
        except grpc.RpcError as error:
            journal.refuse("RegisterPatient", error)
            return
        with journal.lock:
            entry["kept"].append((not ends, len(entry["asked"]), answer.name, answer.version))

    def _task(self, chance, clinic):
        journal, pb = self.journal, self.pb
        calls = self.world.nodes[clinic].follow_up
        token = f"tasks-{chance.randint(1, 200)}" if chance.random() < 0.5 else ""
        try:
            listed = calls.ListTasks(pb.ListTasksRequest(
                purpose=pb.PURPOSE_TREATMENT, page_size=20, page_token=token), timeout=15).tasks
        except grpc.RpcError as error:
            journal.refuse("ListTasks", error)
            return
        if not listed:
            return
        task = chance.choice(listed)
        with journal.lock:
            journal.asked["tasks"] += 1
            note = f"{clinic} {journal.asked['tasks']}"
        state = chance.choice([pb.TASK_STATE_DONE, pb.TASK_STATE_CANCELLED, pb.TASK_STATE_OPEN])
        request = pb.UpdateTaskRequest(task_id=task.id, state=state, note=note,
                                       seen_revision=task.revision)
        try:
            answer = calls.UpdateTask(request, timeout=15).task
        except grpc.RpcError as error:
            journal.refuse("UpdateTask", error)
            return
        with journal.lock:
            journal.tasks[clinic, task.id, task.revision + 1] = (answer.record, state, note)


def wait_until(done, seconds, pause=0.2):
    """Whether it was done in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
