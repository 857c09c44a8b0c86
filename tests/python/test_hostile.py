"""Floods, slow clients and bombs at every door of a real node: it goes on serving, and its memory stays
within what the README states.

What is sent here is what anybody who reaches a port can send; no credentials are used but those of the
client that must still be served meanwhile.
"""

import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
import zlib

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.exceptions
import h2.settings
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
TOKEN = "a-token-of-the-test-of-floods"
# What a node may grow by while it is attacked, MiB; the README states it.
GROWTH_MIB_MAX = 256
DOORS = ("grpc", "web", "fhir", "dicom", "link")


@pytest.fixture(scope="module")
def node(tmp_path_factory, stubs):
    """A hospital with all its doors but the link's, which is a hub's."""
    folder = tmp_path_factory.mktemp("hostile")
    token = ('[[auth.tokens]]\nname = "t"\nrole = "hospital_doctor"\n'
             f'sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"\n')
    running = {}
    for name, role, doors in (
            ("node", "hospital", {"web": "idle_timeout_ms = 4000", "fhir": "idle_timeout_ms = 4000",
                                  "dicom": "idle_timeout_ms = 4000\npdu_timeout_ms = 4000"}),
            ("hub", "hub", {"link": 'nodes = [{ name = "a", area = "361104", token_sha256 = "'
                                    + "0" * 64 + '" }]'})):
        config = folder / f"{name}.toml"
        config.write_text(
            f'[node]\nname = "{name}"\nrole = "{role}"\n[server]\nlisten = "127.0.0.1:0"\n'
            f'[store]\ndir = "{folder / name}"\n[models]\nengine = "rten"\n[log]\nlevel = "warn"\n'
            + "".join(f'[{door}]\nlisten = "127.0.0.1:0"\n{more}\n' for door, more in doors.items())
            + token, encoding="utf-8")
        log = (folder / f"{name}.log").open("wb")
        process = subprocess.Popen([BINARY, "serve", "--json", "--config", config],
                                   stdout=subprocess.PIPE, stderr=log)
        line = process.stdout.readline()
        assert line, (folder / f"{name}.log").read_text()[-1000:]
        running[name] = (process, json.loads(line))
    at = {door: running["node"][1][door] for door in DOORS if door != "link"}
    at["link"] = running["hub"][1]["link"]
    processes = {door: running["hub" if door == "link" else "node"][0].pid for door in DOORS}
    yield at, processes
    for process, _ in running.values():
        process.terminate()
    for process, _ in running.values():
        assert process.wait(timeout=60) == 0, "a node did not drain after the attack"


def resident(pid):
    """MiB of memory that a process has."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def connected(at, within=20):
    host, port = at.rsplit(":", 1)
    made = socket.create_connection((host, int(port)), timeout=within)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def served(at):
    """Somebody who has a token is served at the gRPC door, and so is the FHIR door's public page."""
    from xiangyi.diagnosis.v1 import diagnosis_pb2 as dx
    from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as dx_rpc

    with grpc.insecure_channel(at["grpc"]) as channel:
        dx_rpc.DiagnosisServiceStub(channel).Diagnose(
            dx.DiagnoseRequest(text="发热3天，咳嗽", patient={"age_years": 45, "sex": 1}), timeout=60,
            metadata=[("authorization", f"Bearer {TOKEN}")])
    with urllib.request.urlopen(f"http://{at['fhir']}/fhir/metadata", timeout=60) as answer:
        assert answer.status == 200


@pytest.fixture
def attacked(node):
    """Checks, after the attack of a test, that everybody is served and how much memory it took."""
    at, processes = node
    served(at)
    before = {pid: resident(pid) for pid in processes.values()}
    highest = dict(before)

    def look():
        for pid in before:
            highest[pid] = max(highest[pid], resident(pid))

    yield at, look
    look()
    served(at)
    for pid, most in highest.items():
        grown = most - before[pid]
        print(f"grew by {grown:.0f} MiB at most")
        assert grown < GROWTH_MIB_MAX


def closed(connection, within):
    """Whether the other side ends a connection within so many seconds."""
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize("door", DOORS)
def test_a_flood_of_silent_connections_starves_nobody(attacked, door):
    at, look = attacked
    with contextlib.ExitStack() as open_ones:
        for count in range(1500):
            # A door that is full takes no more.
            try:
                open_ones.enter_context(connected(at[door], within=2))
            except OSError:
                break
            if count % 250 == 0:
                look()
        look()
        if door not in ("grpc", "fhir"):
            served(at)
    served(at)


@pytest.mark.parametrize(("door", "beginning"), [
    ("web", b"GET /dicom-web/studies HTTP/1.1\r\nhost: a\r\nx-slow: "),
    ("fhir", b"POST /fhir/Bundle HTTP/1.1\r\nhost: a\r\nx-slow: "),
    # An A-ASSOCIATE-RQ that says it has 4,000 bytes and sends them one by one.
    ("dicom", struct.pack(">BBI", 1, 0, 4000)),
])
def test_who_sends_byte_by_byte_is_let_go(attacked, door, beginning):
    at, look = attacked
    slow = [connected(at[door]) for _ in range(64)]
    for one in slow:
        one.sendall(beginning)
    begun = time.monotonic()
    left = set(slow)
    while left and time.monotonic() - begun < 60:
        for one in list(left):
            try:
                one.send(b"a")
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if one.recv(65536) == b"":
                        left.discard(one)
            except OSError:
                left.discard(one)
            finally:
                one.setblocking(True)
        look()
        time.sleep(0.5)
    assert not left, f"{len(left)} of 64 are still there after a minute"


def frame(kind, flags, stream, body):
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")


@pytest.mark.parametrize("door", ["grpc", "web", "fhir", "link"])
def test_headers_without_an_end_are_cut_off(attacked, door):
    # A HEADERS frame without END_HEADERS and CONTINUATION frames for ever.
    at, look = attacked
    with connected(at[door]) as one:
        one.sendall(PREFACE + frame(1, 0, 1, b"\x82"))
        # A literal header of 200 bytes that is not indexed, over and over.
        more = frame(9, 0, 1, (b"\x00\x05x-aaa" + b"\x7f\x49" + b"b" * 200) * 60)
        sent = 0
        with contextlib.suppress(OSError):
            one.settimeout(20)
            while sent < 64 * 1024 * 1024:
                one.sendall(more)
                sent += len(more)
        look()
        assert sent < 64 * 1024 * 1024, "64 MiB of headers were taken"


@pytest.mark.parametrize("door", ["grpc", "web", "fhir", "link"])
def test_streams_that_are_reset_at_once_are_cut_off_or_cost_nothing(attacked, door):
    # CVE-2023-44487: begin and reset streams as fast as the line carries them.
    at, look = attacked
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    headers = [(":method", "POST"), (":scheme", "http"), (":authority", "a"),
               (":path", "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose"),
               ("content-type", "application/grpc"), ("te", "trailers")]
    with connected(at[door]) as one, contextlib.suppress(OSError, h2.exceptions.ProtocolError):
        connection.initiate_connection()
        one.settimeout(20)
        for count in range(20_000):
            stream = connection.get_next_available_stream_id()
            connection.send_headers(stream, headers)
            connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            if count % 100 == 0:
                one.sendall(connection.data_to_send())
                look()
        one.sendall(connection.data_to_send())


@pytest.mark.parametrize("door", ["grpc", "web", "fhir", "link"])
@pytest.mark.parametrize(("what", "flood"), [
    ("pings", frame(6, 0, 0, b"12345678")),
    ("settings", frame(4, 0, 0, struct.pack(">HI", 3, 100))),
    ("empty data", frame(0, 0, 1, b"")),
])
def test_control_frames_without_end_take_no_memory(attacked, door, what, flood):
    at, look = attacked
    with connected(at[door]) as one, contextlib.suppress(OSError):
        one.settimeout(10)
        # The answers are never read.
        one.sendall(PREFACE + frame(1, 4, 1, b"\x83\x86\x84\x41\x01a"))
        sent, block = 0, flood * 2000
        while sent < 32 * 1024 * 1024:
            one.sendall(block)
            sent += len(block)
            look()


def post(at, path, body, **headers):
    headers.setdefault("authorization", f"Bearer {TOKEN}")
    headers.setdefault("x-purpose-of-use", "TREAT")
    request = urllib.request.Request(f"http://{at}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code
    except (OSError, urllib.error.URLError):
        return 0


def bombs():
    """What is small on the line and large, or deep, when it is opened."""
    deep = b"[" * 2_000_000
    nested = b'{"resourceType":"Bundle","type":"document","entry":[' + b'{"resource":' * 200_000
    entities = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x0 "lol">' + b"".join(
        b'<!ENTITY x%d "%s">' % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 12)
    ) + b"]><ClinicalDocument xmlns='urn:hl7-org:v3'>&x11;</ClinicalDocument>"
    external = (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
                b"<ClinicalDocument xmlns='urn:hl7-org:v3'>&x;</ClinicalDocument>")
    tags = b"<a>" * 500_000
    attributes = b"<a " + b" ".join(b'x%d="1"' % n for n in range(300_000)) + b"/>"
    return {"deep JSON": deep, "nested resources": nested, "entities": entities, "external": external,
            "deep XML": tags, "attributes": attributes, "zeros": bytes(20_000_000)}


@pytest.mark.parametrize("bomb", bombs())
def test_documents_that_are_bombs_are_refused(attacked, bomb):
    from xiangyi.records.v1 import records_pb2 as pb
    from xiangyi.records.v1 import records_pb2_grpc as rpc

    at, look = attacked
    body = bombs()[bomb]
    refused = post(at["fhir"], "/fhir/Bundle", body, **{"content-type": "application/fhir+json"})
    assert refused in (0, 400, 413, 422), refused
    look()
    # A gRPC message of 16 MiB at most.
    with grpc.insecure_channel(at["grpc"]) as channel:
        with pytest.raises(grpc.RpcError) as error:
            rpc.RecordServiceStub(channel).SubmitRecord(
                pb.SubmitRecordRequest(content=body), timeout=120,
                metadata=[("authorization", f"Bearer {TOKEN}")])
        assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE,
                                      grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert "passwd" not in error.value.details() and "root:" not in error.value.details()


def test_compressed_bodies_are_not_opened(attacked):
    at, look = attacked
    zeros = gzip.compress(bytes(256 * 1024 * 1024), 9)
    for path, kind in (("/fhir/Bundle", "application/fhir+json"),):
        status = post(at["fhir"], path, zeros,
                      **{"content-type": kind, "content-encoding": "gzip"})
        assert status in (400, 413, 415, 422), status
    look()
    # gRPC: a compressed message of a codec that was not agreed on.
    with grpc.insecure_channel(at["grpc"], compression=grpc.Compression.Gzip) as channel:
        from xiangyi.diagnosis.v1 import diagnosis_pb2 as dx
        from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as dx_rpc

        with pytest.raises(grpc.RpcError) as error:
            dx_rpc.DiagnosisServiceStub(channel).Diagnose(
                dx.DiagnoseRequest(text="热" * 1_000_000), timeout=60,
                metadata=[("authorization", f"Bearer {TOKEN}")])
        assert error.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.OUT_OF_RANGE,
                                      grpc.StatusCode.INVALID_ARGUMENT)


def element(group, number, representation, value):
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", group, number) + representation
    if representation in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def deflated(dataset):
    """A DICOM file of the deflated transfer syntax around these bytes, which are compressed already."""
    meta = (element(2, 1, b"OB", b"\0\1") + element(2, 2, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0")
            + element(2, 3, b"UI", b"1.2.3.4.5") + element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1.99\0")
            + element(2, 0x12, b"UI", b"1.2.3"))
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + dataset


def test_a_deflated_image_that_is_a_bomb_is_refused(attacked):
    at, look = attacked
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeeze.compress(element(8, 0x18, b"UI", b"1.2.3.4.5")
                            + struct.pack("<HH", 0x7FE0, 0x10) + b"OW\0\0" + struct.pack("<I", 1 << 31))
    for _ in range(1024):
        body += squeeze.compress(bytes(1024 * 1024))
    body += squeeze.flush()
    assert len(body) < 4 * 1024 * 1024
    part = (b"--b\r\ncontent-type: application/dicom\r\n\r\n" + deflated(body) + b"\r\n--b--\r\n")
    status = post(at["web"], "/dicom-web/studies", part, **{
        "content-type": 'multipart/related; type="application/dicom"; boundary=b'})
    look()
    assert status in (0, 400, 409, 413, 415), status
