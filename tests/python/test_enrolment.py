"""A hub and a clinic as processes: a node enrols, openssl looks at what it got, and it is taken back."""

import json
import os
import pathlib
import socket
import stat
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def xiangyi(*arguments, said=None, fails=False):
    """What a command writes to standard output, or to standard error where it must fail."""
    done = subprocess.run([BINARY, *map(str, arguments)], input=said, capture_output=True,
                          text=True, timeout=120, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Region:
    """A hub that runs, and the configuration of a clinic."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.hub = folder / "hub.toml"
        self.hub.write_text(
            '[server]\nlisten = "127.0.0.1:0"\n[node]\nname = "hub"\nrole = "hub"\n'
            f'[store]\ndir = "{folder / "hub"}"\n[models]\nengine = "rten"\n'
            '[log]\nlevel = "info"\n'
            f'[link]\nlisten = "127.0.0.1:{self.port}"\n[link.ca]\nnames = ["localhost"]\n'
            '[[link.nodes]]\nname = "clinic"\n[[link.nodes]]\nname = "other"\n', encoding="utf-8")
        self.clinic = folder / "clinic.toml"
        self.clinic.write_text(
            '[server]\nlisten = "127.0.0.1:0"\n[node]\nname = "clinic"\n'
            f'[store]\ndir = "{folder / "clinic"}"\n[models]\nengine = "rten"\n'
            f'[link]\nhub = "https://localhost:{self.port}"\n', encoding="utf-8")
        self.running = []

    def serve(self, config, log):
        with (self.folder / log).open("w") as errors:
            process = subprocess.Popen([BINARY, "serve", "--json", "--config", config],
                                       stdout=subprocess.PIPE, stderr=errors, text=True)
        self.running.append(process)
        line = process.stdout.readline()
        assert line, (self.folder / log).read_text()
        return json.loads(line)["grpc"]

    def end(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            assert process.wait(timeout=60) == 0

    def code(self, node="clinic"):
        shown = xiangyi("admin", "enrol-code", node, "--config", self.hub)
        return shown.splitlines()[0]

    def nodes(self):
        listed = xiangyi("admin", "nodes", "--json", "--config", self.hub)
        return [json.loads(line) for line in listed.splitlines()]

    def linked(self, grpc):
        """Whether the clinic reaches the region."""
        done = subprocess.run([BINARY, "region", "nodes", "--server", f"http://{grpc}"],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.returncode == 0


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.5)


@pytest.fixture
def region(tmp_path):
    region = Region(tmp_path)
    region.serve(region.hub, "hub.log")
    yield region
    region.end()


def test_a_node_enrols_and_is_taken_back(region):
    identity = region.folder / "clinic/link/identity.pem"
    authority = region.folder / "clinic/link/authorities.pem"
    code = region.code()
    assert len(code) == 65 and code.count("-") == 10
    # A typing error is told before anything is sent, and what was shown is in no file of the hub.
    wrong = ("2" if code[0] != "2" else "3") + code[1:]
    assert "typing error" in xiangyi("admin", "enrol", "--config", region.clinic,
                                     "--code", wrong, fails=True)
    secret = code.replace("-", "")
    for file in (region.folder / "hub").rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    said = xiangyi("admin", "enrol", "--config", region.clinic, "--code-file", "-",
                   said=code.lower() + "\n")
    assert "clinic" in said and ("89 days" in said or "90 days" in said)

    # The key has not left the node, and nobody else reads it.
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    assert stat.S_IMODE((region.folder / "hub/link-ca.pem").stat().st_mode) == 0o600
    key = identity.read_text().split("-----BEGIN PRIVATE KEY-----")[1]
    for file in (region.folder / "hub").rglob("*"):
        if file.is_file():
            assert key.strip().splitlines()[0].encode() not in file.read_bytes(), file

    # What it is, in the words of somebody else's tool.
    text = openssl("x509", "-in", identity, "-noout", "-text")
    assert "CN = clinic" in text and "URI:xiangyi:node:clinic" in text
    assert "TLS Web Client Authentication" in text and "Server Authentication" not in text
    assert "CA:TRUE" not in text and "P-256" in text
    openssl("verify", "-CAfile", authority, "-purpose", "sslclient", identity)
    refused = subprocess.run(["openssl", "verify", "-CAfile", authority, "-purpose", "sslserver",
                              identity], capture_output=True, check=False)
    assert refused.returncode != 0
    ca = openssl("x509", "-in", authority, "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in ca and "Certificate Sign" in ca
    openssl("s_client", "-connect", f"localhost:{region.port}", "-tls1_3", "-CAfile",
            authority, "-verify_return_error", "-servername", "localhost",
            "-verify_hostname", "localhost", "-brief")

    # The code is used up for every other key.
    stolen = region.folder / "thief.toml"
    stolen.write_text(region.clinic.read_text().replace(str(region.folder / "clinic"),
                                                        str(region.folder / "thief")))
    assert "used before" in xiangyi("admin", "enrol", "--config", stolen, "--code", code,
                                    fails=True)

    # The node is in; it is taken back while it runs.
    grpc = region.serve(region.clinic, "clinic.log")
    until(lambda: region.linked(grpc))
    until(lambda: [n for n in region.nodes() if n["seen_ms"]])
    (line,) = region.nodes()
    assert (line["node"], line["state"]) == ("clinic", "good")
    assert line["serial"] in said
    begun = time.monotonic()
    xiangyi("admin", "revoke", "clinic", "--reason", "the box was stolen", "--config", region.hub)
    until(lambda: not region.linked(grpc))
    assert time.monotonic() - begun < 60
    (line,) = region.nodes()
    assert (line["state"], line["revoked_reason"]) == ("revoked", "the box was stolen")

    # All of it is in the hub's trail, and the trail is whole.
    assert xiangyi("audit", "verify", "--config", region.hub)

    # A new code lets it in again without a restart.
    xiangyi("admin", "enrol", "--config", region.clinic, "--code", region.code())
    until(lambda: region.linked(grpc), 120)


def test_the_report_names_what_is_weak_and_ends_with_an_error_where_something_is_bad(region):
    def report(config, *more, fails=False):
        done = subprocess.run([BINARY, "admin", "security-report", "--json", "--config", config,
                               *more], capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def of(lines, subject):
        return [line["standing"] for line in lines if subject in line["subject"]]

    lines = report(region.hub, "--require")
    assert of(lines, "link.listen") == ["ok"]
    assert of(lines, "authority") == ["ok"]
    clinic = region.clinic.read_text()
    config = region.folder / "weak.toml"
    config.write_text(
        clinic + '[dicom]\nlisten = "0.0.0.0:0"\n'
        '[[dicom.peers]]\nae_title = "OLDCT"\nhosts = ["10.0.0.9"]\nservices = ["store"]\n'
        f'[[auth.tokens]]\nname = "pc"\nrole = "village_doctor"\nsha256 = "{"ab" * 32}"\n',
        encoding="utf-8")
    lines = report(config, "--require")
    assert of(lines, "AE OLDCT") == ["weak"]
    assert of(lines, "dicom.listen") == ["weak"]
    assert of(lines, "auth.tokens pc") == ["weak"]
    assert of(lines, "identity.pem") == ["weak"]
    assert "abab" not in json.dumps(lines)
    # A key that others may read is bad, and only --require makes an error of it.
    xiangyi("admin", "enrol", "--config", region.clinic, "--code", region.code())
    identity = region.folder / "clinic/link/identity.pem"
    identity.chmod(0o644)
    assert "bad" in of(report(config), "identity.pem")
    assert "bad" in of(report(config, "--require", fails=True), "identity.pem")
    key = identity.read_text().splitlines()[-2]
    assert key not in json.dumps(report(config))
    text = xiangyi("admin", "security-report", "--config", config)
    assert text.startswith("BAD ") and "chmod 600" in text
