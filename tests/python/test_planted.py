"""Nothing that a node writes besides its store and its answers holds a secret or a patient.

A hub, a hospital and a clinic do a day's work, log at `trace`, and every method of the contract is called
with planted words in every text it has, by somebody who may and by somebody who may not. What they wrote to
their logs, what a refusal says, what `/metrics`, `--json` and the command line print is then searched.
"""

import contextlib
import hashlib
import importlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
FIXTURE = ROOT / "tests/data/records/wst500-53-stroke.xml"

TOKENS = {role: f"planted-token-{role}-5f1c9e27b0" for role in ("village_doctor", "administrator")}
STRAY, PASSWORD, WRONG = "planted-stray-token-77aa", "Planted-Password-41!x", "Planted-Wrong-93?y"
LINKS = {name: f"planted-link-{name}-0be4d1" for name in ("county", "village")}
# Of the patient of the fixture, who is made up, and words that stand in every text of every request.
PATIENT = {"name": "饶建国", "resident ID": "36112119570317051X", "phone": "13900000001",
           "relative": "饶小军", "address": "12号"}
WORDS = "密植词饶秘秘"
# What must be nowhere, by what it is called when it is found.
PLANTED = {**{f"token of {role}": token for role, token in TOKENS.items()},
           **{f"token of the link of {name}": token for name, token in LINKS.items()},
           "a stranger's token": STRAY, "password": PASSWORD, "wrong password": WRONG,
           "words of requests": WORDS,
           **{f"patient's {what}": value for what, value in PATIENT.items() if what != "address"}}


def forms(secret):
    """How a secret can stand in what is written: as it is, escaped in JSON or Rust, in percent signs."""
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    rust = "".join(c if c.isascii() else f"\\u{{{ord(c):x}}}" for c in secret)
    percent = "".join(f"%{byte:02X}" for byte in raw)
    # Bytes as Debug of Rust and repr of Python show them.
    shown = "".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in raw)
    listed = ", ".join(str(byte) for byte in raw)
    return {secret, escaped, rust, percent, percent.lower(), shown, listed, raw.hex()}


def found_in(text):
    return sorted(what for what, secret in PLANTED.items() if any(f in text for f in forms(secret)))


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Running:
    """A node, with everything that it writes to its standard output and error."""

    def __init__(self, folder, name, sections):
        self.folder, self.log = folder / name, folder / f"{name}.log"
        self.folder.mkdir()
        self.config = folder / f"{name}.toml"
        tokens = "".join(f'[[auth.tokens]]\nname = "{role}"\nrole = "{role}"\nsha256 = "{digest(token)}"\n'
                         for role, token in TOKENS.items())
        self.config.write_text(
            f'[node]\nname = "{name}"\n{sections.pop("node")}\n[server]\nlisten = "127.0.0.1:0"\n'
            f'[store]\ndir = "{self.folder}"\n[models]\nengine = "rten"\n[metrics]\nlisten = "127.0.0.1:0"\n'
            '[log]\nlevel = "trace"\n' + tokens
            + "".join(f"[{section}]\n{body}\n" for section, body in sections.items()), encoding="utf-8")
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen([BINARY, "serve", "--json", "--config", self.config],
                                            stdout=subprocess.PIPE, stderr=errors)
        line = self.process.stdout.readline()
        assert line, self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        self.said, self.at = [line], json.loads(line)
        self.channel = grpc.insecure_channel(self.at["grpc"])

    def stop(self):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=60)
        self.said.append(rest)
        assert self.process.returncode == 0
        return b"".join(self.said).decode(errors="replace") + self.log.read_text(
            encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def region(tmp_path_factory, stubs):
    folder = tmp_path_factory.mktemp("planted")
    nodes = "nodes = [" + ", ".join(
        f'{{ name = "{name}", area = "{area}", token_sha256 = "{digest(LINKS[name])}" }}'
        for name, area in (("county", "361104"), ("village", "361104204201"))) + "]"
    hub = Running(folder, "hub", {"node": 'role = "hub"', "link": f'listen = "127.0.0.1:0"\n{nodes}'})
    running = {"hub": hub}
    for name, role in (("county", "hospital"), ("village", "clinic")):
        token = folder / f"{name}.token"
        token.write_text(LINKS[name] + "\n", encoding="ascii")
        token.chmod(0o600)
        running[name] = Running(folder, name, {
            "node": f'role = "{role}"\narea = "361104"',
            "link": f'hub = "http://{hub.at["link"]}"\ntoken_file = "{token}"',
            "fhir": 'listen = "127.0.0.1:0"', "web": 'listen = "127.0.0.1:0"',
            "auth.accounts": "failures_max = 3"})
    return running


def with_token(token):
    return [("authorization", f"Bearer {token}")] if token else []


def refusals(call):
    """What a refused call says: its message and its details, as they travel."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            for count, _ in enumerate(answer):
                if count == 3:
                    answer.cancel()
                    break
    except grpc.RpcError as error:
        said = [error.details() or ""]
        said += [repr(value) for key, value in error.trailing_metadata() or () if "bin" in key]
        return "\n".join(said)
    return ""


def planted(message, depth=0):
    """Fills every text of a message, and of those in it, with the planted words."""
    for field in message.DESCRIPTOR.fields:
        repeated = field.is_repeated
        if field.type == field.TYPE_STRING:
            if repeated:
                getattr(message, field.name).append(WORDS)
            else:
                setattr(message, field.name, WORDS)
        elif field.type == field.TYPE_BYTES:
            if repeated:
                getattr(message, field.name).append(WORDS.encode())
            else:
                setattr(message, field.name, WORDS.encode())
        elif field.type == field.TYPE_MESSAGE and depth < 4:
            inner = getattr(message, field.name)
            if not repeated:
                inner.SetInParent()
                planted(inner, depth + 1)
            elif not field.message_type.GetOptions().map_entry:
                planted(inner.add(), depth + 1)
            elif field.message_type.fields_by_name["key"].type == field.TYPE_STRING:
                value = field.message_type.fields_by_name["value"]
                assert value.type == field.TYPE_DOUBLE, "a map of another kind: plant it too"
                inner[WORDS] = 1.0
    return message


def methods():
    """Every method of the contract, with its stub."""
    for proto in sorted((ROOT / "proto/xiangyi").rglob("*.proto")):
        name = proto.relative_to(ROOT / "proto").with_suffix("").as_posix().replace("/", ".")
        messages = importlib.import_module(f"{name}_pb2")
        if messages.DESCRIPTOR.services_by_name:
            stubs_of = importlib.import_module(f"{name}_pb2_grpc")
            for service in messages.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    yield service, method, getattr(stubs_of, f"{service.name}Stub")


def message_class(of):
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(of)


def every_method(node, token):
    """What is refused of every method, called with planted words and with nothing."""
    said, called = [], 0
    for service, method, stub in methods():
        if service.full_name.startswith("xiangyi.link"):
            continue
        call = getattr(stub(node.channel), method.name)
        for request in (planted(message_class(method.input_type)()), message_class(method.input_type)()):
            sent = iter([request]) if method.client_streaming else request
            said.append(refusals(lambda: call(sent, timeout=30, metadata=with_token(token))))  # noqa: B023
            called += 1
    return "\n".join(said), called


def http(at, path, token=None, body=None, **headers):
    """Status and what the door says when it refuses."""
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"http://{at}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace") + str(error.headers)


def printed(node, *arguments, token=None, good=True):
    """What the command line prints, the token in its environment."""
    environment = {**os.environ, **({"XIANGYI_TOKEN": token} if token else {})}
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=120,
                          env=environment, check=False)
    assert (done.returncode == 0) == good, done.stderr
    return done.stdout + done.stderr


def work(region):
    """A day: a record goes to the village, is read, and much is refused."""
    from xiangyi.diagnosis.v1 import diagnosis_pb2 as dx
    from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as dx_rpc
    from xiangyi.identity.v1 import identity_pb2 as id_pb
    from xiangyi.identity.v1 import identity_pb2_grpc as id_rpc
    from xiangyi.records.v1 import records_pb2 as pb
    from xiangyi.records.v1 import records_pb2_grpc as rpc

    said = []
    doctor = with_token(TOKENS["village_doctor"])
    county, village = region["county"], region["village"]
    document = FIXTURE.read_text(encoding="utf-8").replace("石峡村", "湖村村").encode()
    kept = rpc.RecordServiceStub(county.channel).SubmitRecord(
        pb.SubmitRecordRequest(content=document), metadata=doctor, timeout=60)
    # The patient's documents, broken in many ways: what is wrong is told, not what stands there.
    for broken in (document[:2000], document.replace(b"19570317", "饶建国".encode()),
                   document.replace(b'extension="36112119570317051X"', 'extension="密植词饶秘秘"'.encode()),
                   document.decode().encode("gb18030"), b"\xff" + document):
        said.append(refusals(lambda: rpc.RecordServiceStub(county.channel).SubmitRecord(
            pb.SubmitRecordRequest(content=broken), metadata=doctor, timeout=60)))  # noqa: B023
    records = rpc.RecordServiceStub(village.channel)
    request = pb.GetRecordRequest(name=kept.name, purpose=pb.PURPOSE_TREATMENT)
    deadline = time.monotonic() + 60
    while refusals(lambda: records.GetRecord(request, metadata=doctor, timeout=20)):
        assert time.monotonic() < deadline, "the record does not come"
        time.sleep(0.3)
    text = f"{PATIENT['name']}，{WORDS}，发热3天，咳嗽"
    dx_rpc.DiagnosisServiceStub(village.channel).Diagnose(
        dx.DiagnoseRequest(request_id="planted", text=text, patient={"age_years": 60, "sex": 1}),
        metadata=doctor, timeout=30)
    # Accounts: made, tried with a wrong password, locked.
    password = village.folder.parent / "password"
    password.write_text(PASSWORD, encoding="ascii")
    password.chmod(0o600)
    said.append(printed(village, "admin", "account", "add", "--config", village.config, "--name", "li.si",
                        "--role", "village_doctor", "--password-file", password))
    identity = id_rpc.IdentityServiceStub(village.channel)
    signed = identity.SignIn(id_pb.SignInRequest(name="li.si", password=PASSWORD), timeout=60)
    signed = signed.tokens
    PLANTED["access token"], PLANTED["refresh token"] = signed.access_token, signed.refresh_token
    identity.Refresh(id_pb.RefreshRequest(refresh_token=signed.refresh_token), timeout=30)
    for _ in range(4):
        said.append(refusals(lambda: identity.SignIn(
            id_pb.SignInRequest(name="li.si", password=WRONG), timeout=60)))
    said.append(refusals(lambda: identity.Refresh(
        id_pb.RefreshRequest(refresh_token=signed.refresh_token), timeout=30)))
    # Over HTTP: a stranger's token, another's words in paths and queries.
    for door in ("fhir", "web"):
        base = {"fhir": "/fhir", "web": "/dicom-web"}[door]
        path = urllib.request.quote(f"{base}/{WORDS}")
        for token in (STRAY, TOKENS["village_doctor"], None):
            for where, body in ((path, None), (f"{base}/DocumentReference?patient.name={path}", None),
                                (f"{base}/studies?PatientName={path}", None),
                                (f"{base}/Bundle", document), (f"{base}/studies", document)):
                kind = {"content-type": "application/fhir+json", "x-purpose-of-use": "TREAT"}
                said.append(http(village.at[door], where, token, body, **kind)[1])
    return said


@pytest.fixture(scope="module")
def written(region):
    """Everything that was written, by where."""
    everything = {"refusals of the day": "\n".join(work(region))}
    for name, node in region.items():
        for who, token in (("a doctor", TOKENS["village_doctor"]), ("an administrator",
                           TOKENS["administrator"]), ("a stranger", STRAY), ("nobody", None)):
            everything[f"refusals of {name} to {who}"], called = every_method(node, token)
            assert called > 150, "the contract is not seen whole"
        metrics = f"http://{node.at['metrics']}/metrics"
        with urllib.request.urlopen(metrics, timeout=30) as answer:
            everything[f"metrics of {name}"] = answer.read().decode()
        everything[f"configuration of {name}"] = printed(node, "config", "--config", node.config)
    audit = ["audit", "verify", "--server", f"http://{region['village'].at['grpc']}"]
    everything["verification"] = printed(region["village"], *audit, token=TOKENS["administrator"])
    everything["verification in JSON"] = printed(region["village"], *audit, "--json",
                                                 token=TOKENS["administrator"])
    everything["a refused command"] = printed(region["village"], *audit, token=STRAY, good=False)
    for name in ("village", "county", "hub"):
        everything[f"log of {name}"] = region[name].stop()
    return everything


def test_nothing_planted_stands_in_what_was_written(written):
    for name in ("hub", "county", "village"):
        log = written[f"log of {name}"]
        # The log is there, at the level of everything.
        assert len(log) > 20_000 and '"TRACE"' in log and '"DEBUG"' in log, name
    assert len(written["refusals of the day"]) > 1000
    found = {where: found_in(text) for where, text in written.items() if found_in(text)}
    for where in found:
        for line in written[where].splitlines():
            if found_in(line):
                print(f"{where}: {line[:600]}")
    assert found == {}


def test_the_search_finds_what_is_planted():
    for what, secret in PLANTED.items():
        for form in forms(secret):
            assert what in found_in(f"x{form}y"), (what, form)


def test_a_dump_of_memory_is_not_written(region):
    # `not dumpable`: neither a core file nor another process of the same user gets its memory.
    folder = region["hub"].folder.parent
    node = Running(folder, "dumped", {"node": 'role = "clinic"'})
    try:
        limits = pathlib.Path(f"/proc/{node.process.pid}/limits").read_text(encoding="ascii")
        core = re.search(r"Max core file size\s+(\S+)", limits)
        assert core and core[1] == "0", limits
        with contextlib.suppress(PermissionError):
            # root may look at everything; another user may not.
            owner = os.stat(f"/proc/{node.process.pid}/environ").st_uid
            assert owner == 0
        node.process.send_signal(signal.SIGABRT)
        assert node.process.wait(timeout=30) == -signal.SIGABRT
        assert not list(folder.rglob("core*"))
    finally:
        node.process.kill()
