"""What goes wrong in hospitals, done to a real node: power cuts, full disks, broken lines, floods,
stalled and hostile peers. Each time: what was answered with success is there, the one at fault is
told or cut off, everybody else notices nothing, and memory stays below a stated bound.

A wall clock that jumps is in test_clock.py."""

import contextlib
import io
import os
import random
import resource
import struct
import subprocess
import threading
import time
import zlib

import pydicom
import pytest
from conftest import BINARY, Node, free_port
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)
from raw import (
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SECONDARY,
    VERIFICATION,
    Raw,
    an_object,
    associate_rq,
    command,
    element,
    pdata,
    store_command,
    text,
)
from test_pynetdicom import Association

STORING = [(SECONDARY, EXPLICIT), (VERIFICATION, IMPLICIT)]
# What a hostile object may cost the node, in bytes, whatever it says of itself.
MEMORY_MAX = 192 * 1024 * 1024


def memory(node):
    """Resident bytes of the node."""
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def stored(node, study):
    """Data sets of a study by SOP instance UID."""
    got = {}

    def take(event):
        got[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0x0000

    contexts = [(StudyRootQueryRetrieveInformationModelGet, [IMPLICIT]), (SECONDARY, [EXPLICIT])]
    roles = [build_role(SECONDARY, scp_role=True)]
    with Association(node, contexts, roles, [(evt.EVT_C_STORE, take)]) as association:
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        last = list(association.send_c_get(
            identifier, StudyRootQueryRetrieveInformationModelGet))[-1][0]
        assert last.Status == 0x0000, last
    return got


@contextlib.contextmanager
def undisturbed(node, within=10.0):
    """Another peer's echo is answered all the while, each within some seconds."""
    stop, worst = threading.Event(), [0.0, None]

    def watch():
        try:
            peer = Raw(node, [(VERIFICATION, IMPLICIT)], calling="WATCH")
            while not stop.is_set():
                began = time.monotonic()
                assert peer.echo() == 0
                worst[0] = max(worst[0], time.monotonic() - began)
                time.sleep(0.02)
            peer.close()
        except Exception as error:  # noqa: BLE001 - told below
            worst[1] = error

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield worst
    finally:
        stop.set()
        thread.join()
    assert worst[1] is None, worst[1]
    assert worst[0] < within, f"an echo took {worst[0]:.2f} s"
    assert Raw(node, [(VERIFICATION, IMPLICIT)]).echo() == 0, "new callers are served"


class Tuned(Node):
    """A node with other settings."""

    def __init__(self, folder, changes, configuration=""):
        self.changes = changes
        super().__init__(folder, configuration)

    def start(self):
        content = self.config.read_text(encoding="utf-8")
        for before, after in self.changes.items():
            assert before in content
            content = content.replace(before, after)
        self.config.write_text(content, encoding="utf-8")
        self.changes = {}
        super().start()


def test_what_was_answered_with_success_survives_a_kill(node):
    """Four associations store while the node is killed, three times over."""
    study, acknowledged = an_object()[1], {}
    lock = threading.Lock()

    def send():
        try:
            peer = Raw(node, STORING)
            while True:
                instance, _, data = an_object(random.choice([100, 20_000, 600_000]), study)
                if peer.store(instance, data)[0] == 0:
                    with lock:
                        acknowledged[instance] = data
        except OSError:
            return

    for _ in range(3):
        before = len(acknowledged)
        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.5, 1.5))
        node.kill()
        for thread in threads:
            thread.join()
        assert len(acknowledged) > before
        node.start()
        there = stored(node, study)
        for instance, data in acknowledged.items():
            assert there.get(instance) == data, f"{instance} was answered with success"
        # What came whole and was not answered may be there too, but nothing half.
        assert len(there) <= len(acknowledged) + 4 * 3


def test_a_full_disk_refuses_objects_and_nothing_else(tmp_path):
    node = Tuned(tmp_path, {"free_bytes_min = 0": f"free_bytes_min = {1 << 50}"})
    try:
        peer = Raw(node, STORING)
        instance, study, data = an_object()
        status, comment = peer.store(instance, data)
        assert status == 0xA700 and comment, (hex(status), comment)
        assert peer.echo(context=3) == 0
        assert stored_or_nothing(node, study) == {}
    finally:
        node.stop()


def stored_or_nothing(node, study):
    contexts = [(StudyRootQueryRetrieveInformationModelFind, [IMPLICIT])]
    with Association(node, contexts) as association:
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        answers = list(association.send_c_find(
            identifier, StudyRootQueryRetrieveInformationModelFind))
    assert answers[-1][0].Status == 0x0000
    return {str(a.StudyInstanceUID): a for s, a in answers if s.Status == 0xFF00}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; free_bytes_min is tested above")
@pytest.mark.parametrize("free", [0, 6_000_000], ids=["the index fills up", "the archive stops"])
def test_a_disk_that_fills_up_refuses_what_does_not_fit_and_keeps_the_rest(tmp_path, free):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", disk],
                             check=False).returncode == 0
    if not mounted:
        pytest.skip("this container may not mount; free_bytes_min is tested above")
    node = None
    try:
        node = Tuned(tmp_path, {"[imaging]\n": f'[imaging]\ndir = "{disk}"\n',
                                "free_bytes_min = 0": f"free_bytes_min = {free}",
                                "segment_bytes = 67108864": "segment_bytes = 16777216"})
        peer = Raw(node, STORING)
        study, kept, refused = an_object()[1], {}, 0
        for _ in range(80):
            instance, _, data = an_object(1_000_000, study)
            status, comment = peer.store(instance, data)
            if status == 0:
                kept[instance] = data
            else:
                assert status == 0xA700 and comment, (hex(status), comment)
                refused += 1
        assert len(kept) >= 10 and refused >= 10, (len(kept), refused)
        assert stored(node, study) == kept
        node.kill()
        node.start()
        again = stored(node, study)
        assert {i: again.get(i) for i in kept} == kept, "a full disk keeps no node from starting"
    finally:
        if node and node.process.poll() is None:
            node.stop()
        subprocess.run(["umount", disk], check=True)


def test_a_line_that_breaks_leaves_nothing_behind(node):
    whole = Raw(node, STORING)
    instance, study, data = an_object(12_000_000)
    request = pdata(1, 3, store_command(SECONDARY, instance))
    part = pdata(1, 0, data[:16_000])
    archive = node.folder / "data" / "imaging" / "archive"
    with undisturbed(node):
        for cut in [
            associate_rq(STORING)[:50],
            associate_rq(STORING) + request[:3],
            associate_rq(STORING) + request[:-10],
            associate_rq(STORING) + request + part[:-100],
            associate_rq(STORING) + request + part,
            # Longer than what is held in memory: it lies in a file by then.
            associate_rq(STORING) + request + b"".join(
                pdata(1, 0, data[at:at + 16_000]) for at in range(0, 9_600_000, 16_000)),
        ]:
            peer = Raw(node)
            peer.send(cut)
            peer.close()
        assert stored_or_nothing(node, study) == {}
    deadline = time.monotonic() + 10
    while any("spool" in path.name for path in archive.rglob("*") if path.is_file()):
        assert time.monotonic() < deadline, "a spool file stays"
        time.sleep(0.1)
    assert whole.store(instance, data)[0] == 0, "the same object whole is taken"


def test_floods_of_connections_and_associations_delay_nobody(node):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with undisturbed(node):
        idle = [Raw(node) for _ in range(500)]
        associations = [Raw(node, [(VERIFICATION, IMPLICIT)]) for _ in range(500)]
        assert all(peer.echo() == 0 for peer in associations[::50])
    for peer in idle + associations:
        peer.close()


def test_an_idle_association_costs_little(node):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    # What the first hundred make the allocator take is no cost of the next.
    first = [Raw(node, [(VERIFICATION, IMPLICIT)]) for _ in range(100)]
    assert all(peer.echo() == 0 for peer in first)
    time.sleep(1)
    before = memory(node)
    associations = [Raw(node, [(VERIFICATION, IMPLICIT)]) for _ in range(1000)]
    assert all(peer.echo() == 0 for peer in associations)
    time.sleep(1)
    each = (memory(node) - before) / len(associations)
    print(f"{each / 1024:.1f} KiB an idle association")
    assert each <= 25 * 1024, f"{each / 1024:.1f} KiB an idle association"
    for peer in first + associations:
        peer.close()


def test_peers_that_send_a_byte_at_a_time_are_cut_off(tmp_path):
    node = Node(tmp_path, "pdu_timeout_ms = 2000\n")
    try:
        with undisturbed(node):
            slow = [Raw(node) for _ in range(20)]
            request = associate_rq(STORING)
            established = Raw(node, STORING)
            pdu = pdata(1, 3, store_command(SECONDARY, "1.2.3"))
            began, cut_request, cut_pdu = time.monotonic(), None, None
            for at in range(60):
                if cut_request is None and not alive(slow, request[at:at + 1]):
                    cut_request = time.monotonic() - began
                if cut_pdu is None and not alive([established], pdu[at:at + 1]):
                    cut_pdu = time.monotonic() - began
                if cut_pdu and cut_request:
                    break
                time.sleep(0.5)
        assert cut_pdu is not None and cut_pdu < 6, cut_pdu
        assert cut_request is not None and cut_request < 20, cut_request
    finally:
        node.stop()


def alive(peers, byte):
    """Sends a byte over each; whether any is still open."""
    any_open = False
    for peer in peers:
        try:
            peer.socket.settimeout(0.001)
            peer.socket.sendall(byte)
            # Something to read is an A-ABORT or the end.
            peer.socket.recv(1)
        except TimeoutError:
            any_open = True
        except OSError:
            pass
    return any_open


def test_a_peer_that_takes_nothing_is_cut_off(tmp_path):
    """C-GET of more than buffers hold, and then nothing is read."""
    node = Node(tmp_path, "pdu_timeout_ms = 1500\n")
    try:
        study = an_object()[1]
        sender = Raw(node, STORING)
        instance, _, data = an_object(40_000_000, study)
        assert sender.store(instance, data)[0] == 0
        sender.close()
        with undisturbed(node):
            contexts = [(GET, IMPLICIT), (SECONDARY, EXPLICIT)]
            peer = Raw(node, contexts, provider=[SECONDARY])
            ask(peer, GET, 0x10, study)
            deadline = time.monotonic() + 20
            while "takes nothing" not in node.log.read_text(encoding="utf-8"):
                assert time.monotonic() < deadline, "it is still served"
                time.sleep(0.2)
    finally:
        node.stop()


GET, MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"


def ask(peer, sop_class, field, study, *more):
    """C-GET or C-MOVE of a study on the first context."""
    peer.send(pdata(1, 3, command(field, sop_class, (0x0700, struct.pack("<H", 0)), *more,
                                  data_set=True, message_id=7)))
    peer.send(pdata(1, 2, element(8, 0x52, b"STUDY ") + element(0x20, 0x0D, text(study))))


@contextlib.contextmanager
def sink(tmp_path, handler):
    """A node and a receiver that it may move to, which answers as `handler` says."""
    receiver = AE(ae_title="SINK")
    receiver.add_supported_context(SECONDARY, EXPLICIT)
    port = free_port()
    server = receiver.start_server(("127.0.0.1", port), block=False,
                                   evt_handlers=[(evt.EVT_C_STORE, handler)])
    node = Node(tmp_path, f"""
[[dicom.peers]]
ae_title = "SINK"
address = "127.0.0.1:{port}"
services = ["echo"]
""" + "".join(f"""
[[dicom.peers]]
ae_title = "{title}"
services = ["echo", "store", "find", "retrieve"]
""" for title in ("RAW", "WATCH")))
    try:
        study = an_object()[1]
        sender = Raw(node, STORING)
        for _ in range(12):
            instance, _, data = an_object(50_000, study)
            assert sender.store(instance, data)[0] == 0
        sender.close()
        yield node, study, server
    finally:
        with contextlib.suppress(ValueError):
            server.shutdown()
        node.stop()


def move(peer, study):
    """Asks for a move, and returns the last status with completed, failed and remaining."""
    ask(peer, MOVE, 0x21, study, (0x0600, b"SINK"))
    return last_answer(peer)


def last_answer(peer):
    while True:
        kind, body = peer.pdu()
        assert kind == 4, kind
        if body[5] & 1 == 0:
            continue
        answer = pydicom.filereader.read_dataset(
            io.BytesIO(body[6:]), is_implicit_VR=True, is_little_endian=True)
        if answer[0x00000900].value != 0xFF00:
            if answer[0x00000800].value != 0x0101:
                assert peer.pdu()[0] == 4, "the list of those that failed"
            return answer


def number(answer, tag):
    return answer[tag].value if tag in answer else None


COMPLETED, FAILED, REMAINING = 0x00001021, 0x00001022, 0x00001020


def test_a_move_whose_destination_dies_says_so_and_the_next_works(tmp_path):
    count, dying = [0], [True]

    def take(event):
        count[0] += 1
        if dying[0] and count[0] == 4:
            event.assoc.abort()
        return 0x0000

    with sink(tmp_path, take) as (node, study, _):
        peer = Raw(node, [(MOVE, IMPLICIT)])
        with undisturbed(node):
            answer = move(peer, study)
            assert answer[0x00000900].value == 0xB000
            assert number(answer, COMPLETED) == 3 and number(answer, FAILED) == 9
            dying[0] = False
            answer = move(peer, study)
            assert answer[0x00000900].value == 0 and number(answer, COMPLETED) == 12


def test_a_move_to_nobody_says_so(tmp_path):
    with sink(tmp_path, lambda _: 0) as (node, study, server):
        server.shutdown()
        peer = Raw(node, [(MOVE, IMPLICIT), (VERIFICATION, IMPLICIT)])
        answer = move(peer, study)
        assert answer[0x00000900].value == 0xA702 and number(answer, FAILED) == 12
        assert "SINK" in answer[0x00000902].value
        assert peer.echo(context=3) == 0


@pytest.mark.parametrize("how", ["closes", "aborts"])
def test_a_move_whose_requester_goes_stops(tmp_path, how):
    taken = []

    def take(event):
        taken.append(event)
        time.sleep(0.3)
        return 0x0000

    with sink(tmp_path, take) as (node, study, _):
        peer = Raw(node, [(MOVE, IMPLICIT)])
        ask(peer, MOVE, 0x21, study, (0x0600, b"SINK"))
        while len(taken) < 3:
            time.sleep(0.01)
        if how == "aborts":
            peer.send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
        peer.close()
        time.sleep(2.5)
        assert len(taken) <= 6, "objects go out though nobody waits for them"


def test_a_cancelled_move_stops_and_counts(tmp_path):
    taken = []

    def take(event):
        taken.append(event)
        time.sleep(0.2)
        return 0x0000

    with sink(tmp_path, take) as (node, study, _):
        peer = Raw(node, [(MOVE, IMPLICIT), (VERIFICATION, IMPLICIT)])
        ask(peer, MOVE, 0x21, study, (0x0600, b"SINK"))
        while len(taken) < 3:
            time.sleep(0.01)
        cancel = element(0, 0x0100, struct.pack("<H", 0x0FFF)) + \
            element(0, 0x0120, struct.pack("<H", 7)) + element(0, 0x0800, struct.pack("<H", 0x0101))
        peer.send(pdata(1, 3, element(0, 0, struct.pack("<I", len(cancel))) + cancel))
        answer = last_answer(peer)
        assert answer[0x00000900].value == 0xFE00
        done, left = number(answer, COMPLETED), number(answer, REMAINING)
        assert done + left == 12 and 3 <= done <= 6, (done, left)
        assert peer.echo(context=3) == 0


def index_files(node):
    return sorted((node.folder / "data" / "imaging").glob("imaging.db*"))


def test_an_index_that_was_deleted_is_made_anew(node):
    study, kept = an_object()[1], {}
    peer = Raw(node, STORING)
    for size in (100, 40_000, 9_000_000):
        instance, _, data = an_object(size, study)
        assert peer.store(instance, data)[0] == 0
        kept[instance] = data
    peer.close()
    node.stop()
    assert index_files(node)
    for path in index_files(node):
        path.unlink()
    node.start()
    assert stored(node, study) == kept
    assert study in stored_or_nothing(node, study)


@pytest.mark.parametrize("damage", ["header", "pages", "empty"])
def test_an_index_that_was_damaged_is_told_with_what_to_do(node, damage):
    study, kept = an_object()[1], {}
    peer = Raw(node, STORING)
    for _ in range(40):
        instance, _, data = an_object(100, study)
        assert peer.store(instance, data)[0] == 0
        kept[instance] = data
    peer.close()
    node.stop()
    path = node.folder / "data" / "imaging" / "imaging.db"
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:100] = os.urandom(100)
    elif damage == "pages":
        content[4096:] = os.urandom(len(content) - 4096)
    else:
        content = b""
    path.write_bytes(bytes(content))
    with node.log.open("ab") as log:
        log.write(b"-- damaged --\n")
    try:
        node.start()
    except AssertionError:
        said = node.log.read_text(encoding="utf-8").split("-- damaged --")[1]
        assert "xiangyi archive reindex" in said, said
        subprocess.run([BINARY, "archive", "reindex", "--config", node.config], check=True)
        node.start()
    assert stored(node, study) == kept


def nested(depth):
    """Sequences in sequences, `depth` deep, explicit VR, undefined lengths."""
    opens = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + \
        struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closes = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return opens * depth + closes * depth


def beginning():
    """UID and the elements before the pixels of a new object."""
    instance, _, data = an_object(0)
    return instance, data[:-12]


@pytest.mark.parametrize("kind", ["nested", "long pixels", "longest element", "text",
                                  "many elements"])
def test_hostile_objects_are_refused_and_cost_little(node, kind):
    instance, data = beginning()
    if kind == "nested":
        data = nested(1000) + data
    elif kind == "long pixels":
        data += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFE) + b"\0" * 100
    elif kind == "longest element":
        data += struct.pack("<HH2sHI", 0x0042, 0x0011, b"OB", 0, 0xF0000000) + b"\0" * 100
    elif kind == "text":
        data = b"GET / HTTP/1.1\r\n\r\n" * 100
    else:
        data += struct.pack("<HH2sH", 0x0042, 0x0010, b"ST", 0) * 4_100_000
    before = memory(node)
    with undisturbed(node):
        peer = Raw(node, STORING, timeout=120)
        status, comment = peer.store(instance, data)
        assert status & 0xF000 in (0xA000, 0xC000) and comment, (hex(status), comment)
        assert peer.echo(context=3) == 0, "the association goes on"
        good, study, whole = an_object()
        assert peer.store(good, whole)[0] == 0
        assert stored(node, study) == {good: whole}
    assert memory(node) - before < MEMORY_MAX


def test_a_deflate_bomb_is_refused_and_costs_little(node):
    instance, data = beginning()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(data)
    zeros = bytes(1 << 20)
    for _ in range(6):
        # Each is allowed; all together are not.
        bomb += packer.compress(struct.pack("<HH2sHI", 0x0042, 0x0011, b"OB", 0, 100 << 20))
        bomb += b"".join(packer.compress(zeros) for _ in range(100))
    bomb += packer.flush()
    assert len(bomb) < 1 << 20
    before, peak, stop = memory(node), [0], threading.Event()

    def watch():
        while not stop.is_set():
            peak[0] = max(peak[0], memory(node))
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        with undisturbed(node):
            peer = Raw(node, [(SECONDARY, DEFLATED), (VERIFICATION, IMPLICIT)], timeout=120)
            status, comment = peer.store(instance, bomb)
            assert status & 0xF000 in (0xA000, 0xC000), hex(status)
            assert "bytes" in comment, comment
            assert peer.echo(context=3) == 0
    finally:
        stop.set()
        thread.join()
    assert peak[0] - before < MEMORY_MAX, f"{(peak[0] - before) >> 20} MiB"


@pytest.mark.parametrize("what", [
    "P-DATA of 4 GB", "PDU of 4 GB", "PDU type 0xFF", "PDV longer than its PDU",
    "PDV shorter than its head", "unknown context", "data before a command", "release then data",
    "command longer than a command may be",
])
def test_hostile_pdus_end_their_association_and_no_other(node, what):
    hostile = {
        "P-DATA of 4 GB": struct.pack(">BBIIBB", 4, 0, 0xFFFFFFFF, 0xFFFFFFF0, 1, 0),
        "PDU of 4 GB": struct.pack(">BBI", 1, 0, 0xFFFFFFFF),
        "PDU type 0xFF": struct.pack(">BBI", 0xFF, 0, 4) + b"1234",
        "PDV longer than its PDU": struct.pack(">BBIIBB", 4, 0, 10, 1000, 1, 3) + b"1234",
        "PDV shorter than its head": struct.pack(">BBIIBB", 4, 0, 6, 1, 1, 3),
        "unknown context": pdata(99, 3, command(0x30, VERIFICATION)),
        "data before a command": pdata(1, 2, b"1234"),
        "release then data": struct.pack(">BBII", 5, 0, 4, 0) + pdata(1, 2, b"1234"),
        "command longer than a command may be": pdata(1, 1, b"\0" * 16_000) * 200,
    }[what]
    before = memory(node)
    with undisturbed(node):
        peers = [Raw(node, STORING) for _ in range(10)]
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.send(hostile)
        for peer in peers:
            kinds = peer.ended()
            expected = [6] if what == "release then data" else [7]
            assert kinds in (expected, []) if "longer than a command" in what else \
                kinds == expected, kinds
    assert memory(node) - before < MEMORY_MAX
