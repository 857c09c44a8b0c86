"""Power cuts of one node: everything that it acknowledged is there when it comes back. And the other
way round: of a disk that lies about syncs the same test finds that it lost something."""

import hashlib
import random
import threading
import time

import grpc
from load import document, person
from power import Disk
from world import Database, Node, reachable, stubs



NUMBERS = threading.Lock()


class Sender(threading.Thread):
    """Sends records and registrations until the node is gone; remembers what was acknowledged."""

    def __init__(self, node, numbers, kept):
        super().__init__()
        self.node, self.numbers, self.kept = node, numbers, kept
        self.pb, _ = stubs()
        self.count, self.ended = 0, threading.Event()

    def run(self):
        try:
            while True:
                with NUMBERS:
                    number = next(self.numbers)
                if number % 5 == 0:
                    self._register(number)
                else:
                    self._submit(number)
                self.count += 1
        except grpc.RpcError:
            self.ended.set()

    def _submit(self, number):
        content = document(number, "clinic-1", number)
        answer = self.node.records.SubmitRecord(
            self.pb.SubmitRecordRequest(content=content), timeout=20)
        self.kept[answer.name] = (answer.version, hashlib.sha256(content).hexdigest())

    def _register(self, number):
        answer = self.node.exchange.RegisterPatient(self.pb.RegisterPatientRequest(
            person=self.pb.RegisteredPerson(name="饶建国", resident_id=person(number)[1]),
            relation=self.pb.RELATION_CONTRACT, until_ms=4102415999999), timeout=20)
        self.kept[answer.name] = (answer.version, None)


def missing(node, kept):
    """What of it the node does not have, or has otherwise."""
    pb, _ = stubs()
    lost, registrations = [], 0
    for name, (version, sha256) in kept.items():
        if sha256 is None:
            registrations += 1
            continue
        try:
            found = node.records.GetRecord(pb.GetRecordRequest(
                name=name, version=version, purpose=pb.PURPOSE_TREATMENT), timeout=20)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            lost.append(name)
            continue
        if found.sha256 != sha256:
            lost.append(name)
    # Every document of its own waits in the queue, where nobody takes it: no hub is there.
    told = node.exchange.GetExchangeStatus(pb.GetExchangeStatusRequest(), timeout=20)
    if told.waiting < len(kept) or told.queued != told.waiting:
        lost.append(f"{told.waiting} of {len(kept)} wait")
    return lost


def cut_while_it_works(folder, cuts, chance, lies=False):
    """What was acknowledged, and what of it was missing after each cut; the disk."""
    node = Node(folder / "county", "county", "hospital", "")
    disk = node.disk = Disk(node.data, folder / "disk")
    kept, numbers = {}, iter(range(1, 1_000_000))
    try:
        node.start()
        if lies:
            # What it has so far is on the disk; from now on nothing gets there.
            disk.lie.touch()
        for _ in range(cuts):
            senders = [Sender(node, numbers, kept) for _ in range(3)]
            for sender in senders:
                sender.start()
            wanted = chance.randint(1, 20)
            while senders[0].count < wanted and not senders[0].ended.wait(0.0005):
                pass
            # Somewhere between an answer and the next.
            time.sleep(chance.uniform(0, 0.02))
            node.kill()
            for sender in senders:
                sender.join()
            dropped = disk.cut(chance)
            node.start()
            lost = missing(node, kept)
            if lost:
                return kept, lost, disk
            print(f"{len(kept)} acknowledged, {dropped} bytes were not synced")
        return kept, [], disk
    finally:
        node.close()


def test_what_was_acknowledged_is_there_after_a_power_cut(tmp_path):
    kept, lost, disk = cut_while_it_works(tmp_path, cuts=6, chance=random.Random(20261129))
    assert not lost, lost[:5]
    assert len(kept) > 60, len(kept)
    # Something was on its way each time: else the test would prove nothing.
    assert disk.told()["dropped_bytes"] > 0, disk.told()


def test_a_disk_that_lies_about_syncs_loses_what_was_acknowledged(tmp_path):
    kept, lost, _ = cut_while_it_works(tmp_path, cuts=1, chance=Lost(), lies=True)
    assert kept and lost, "the test above would not notice a loss"


def test_postgres_keeps_what_it_committed_unless_its_disk_lies(tmp_path):
    reachable(tmp_path)
    chance, database = random.Random(20261129), Database(tmp_path / "postgres", power=True)
    try:
        database.rows("CREATE SCHEMA xiangyi_hub; CREATE TABLE xiangyi_hub.kept (number int)")
        for cut in range(1, 4):
            for number in range(20):
                database.rows(f"INSERT INTO kept VALUES ({cut * 100 + number})")
            database.kill()
            database.disk.cut(chance)
            database.start()
            assert database.rows("SELECT count(*), count(DISTINCT number) FROM kept") == \
                [[str(cut * 20)] * 2]
        assert database.disk.told()["dropped_bytes"] > 0, database.disk.told()
        database.disk.lie.touch()
        database.rows("INSERT INTO kept VALUES (0)")
        database.kill()
        database.disk.cut(Lost())
        database.start()
        assert database.rows("SELECT count(*) FROM kept WHERE number = 0") == [["0"]], \
            "the test above would not notice a loss"
    finally:
        database.stop()


class Lost(random.Random):
    """A cut by which nothing that was not synced gets to the disk."""

    def choice(self, options):
        return options[0]

    def randint(self, low, high):
        return high
