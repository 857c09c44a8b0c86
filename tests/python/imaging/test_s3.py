"""Segments in an S3 store (moto, which checks signatures): put, read back, away from the disk, erased,
and what happens when the store is down, hangs, loses something, or the node is killed."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import boto3
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from conftest import BINARY, Node, free_port

BUCKET = "images"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


class Store:
    """An S3 server; what it holds goes with its process, so being down is being stopped by a signal."""

    def __init__(self, folder):
        self.port = free_port()
        self.folder = folder
        self.key_file = folder / "s3.key"
        self.key_file.write_text("not\nyet\n", encoding="utf-8")
        self.process = None

    def start(self):
        # The four calls below are taken without credentials, and no others.
        environment = dict(os.environ, INITIAL_NO_AUTH_ACTION_COUNT="4",
                           AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
        server = pathlib.Path(sys.executable).parent / "moto_server"
        self.process = subprocess.Popen([server, "-p", str(self.port)], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: socket.create_connection(("127.0.0.1", self.port)).close() is None)
        iam = self.client("iam", "x", "x")
        iam.create_user(UserName="node")
        key = iam.create_access_key(UserName="node")["AccessKey"]
        iam.put_user_policy(UserName="node", PolicyName="all", PolicyDocument=POLICY)
        self.client("s3", "x", "x").create_bucket(Bucket=BUCKET)
        self.id, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.s3 = self.client("s3", self.id, self.secret)
        self.key_file.write_text(f"{self.id}\n{self.secret}\n", encoding="utf-8")
        return self

    def client(self, service, key, secret):
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{self.port}",
                            region_name="us-east-1", aws_access_key_id=key,
                            aws_secret_access_key=secret)

    def names(self):
        listed = self.s3.list_objects_v2(Bucket=BUCKET)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def body(self, name):
        """What is under a name; nothing if it has gone since it was listed."""
        try:
            return self.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return b""

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def section(self, local_bytes_max=0):
        return ("[imaging.s3]\n"
                f'endpoint = "http://127.0.0.1:{self.port}"\nbucket = "{BUCKET}"\nprefix = "node-1"\n'
                f'access_key_file = "{self.key_file}"\nlocal_bytes_max = {local_bytes_max}\n'
                "request_timeout_ms = 2000\nretries_max = 1\nlook_every_ms = 200\n")


def until(true, seconds=60):
    """Waits until `true()` is; what it raises is not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = true()
            if found:
                return found
        except (OSError, AssertionError):
            pass
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    yield made
    if made.process:
        made.go_on()
        made.process.terminate()
        made.process.wait(timeout=30)


def started(folder, store, **options):
    node = Node(folder, configuration=store.section(**options))
    # The smallest segment there may be, so that a few studies fill some.
    node.stop()
    text = node.config.read_text(encoding="utf-8")
    node.config.write_text(text.replace("67108864", "16777216"), encoding="utf-8")
    node.start()
    return node


def run(*arguments, ok=True):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, check=False)
    if ok:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def studies(folder, count, images=4):
    """`count` studies of `images` images of 2 MB that no compression makes smaller."""
    random = np.random.default_rng(7)
    for study in range(1, count + 1):
        (folder / str(study)).mkdir(parents=True)
        for number in range(1, images + 1):
            made = Dataset()
            made.SOPClassUID = CTImageStorage
            made.StudyInstanceUID = f"1.2.3.{study}"
            made.SeriesInstanceUID = f"1.2.3.{study}.1"
            made.SOPInstanceUID = f"1.2.3.{study}.1.{number}"
            made.PatientID, made.PatientName, made.Modality = f"P{study}", "Test^A", "CT"
            made.Rows = made.Columns = 1024
            made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
            made.BitsAllocated = made.BitsStored = 16
            made.HighBit, made.PixelRepresentation = 15, 0
            made.PixelData = random.integers(0, 65536, 1024 * 1024, dtype=np.uint16).tobytes()
            made.file_meta = FileMetaDataset()
            made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            pydicom.dcmwrite(folder / str(study) / f"{number}.dcm", made, enforce_file_format=True)
    return folder


def info(node):
    """What the node that does not run says of its archive."""
    return json.loads(run("archive", "info", "--json", "--config", node.config).stdout)


def put(node, folder):
    run("imaging", "store", "--server", f"http://{node.grpc}", folder)


def compare(node, source, into, count):
    """Every study comes back as it was sent."""
    for study in range(1, count + 1):
        out = into / str(study)
        run("imaging", "get", "--server", f"http://{node.grpc}", "--study", f"1.2.3.{study}",
            "--out", out)
        got = {pydicom.dcmread(path).SOPInstanceUID: path for path in out.rglob("*.dcm")}
        for path in (source / str(study)).iterdir():
            sent = pydicom.dcmread(path)
            assert pydicom.dcmread(got[sent.SOPInstanceUID]).PixelData == sent.PixelData


def segments(node):
    return sorted((node.folder / "data/imaging/archive/segments").iterdir())


def on_disk(path):
    return path.stat().st_blocks * 512


def test_sealed_segments_are_put_leave_the_disk_and_come_back_also_after_a_kill(tmp_path, store):
    store.start()
    source = studies(tmp_path / "in", 6)
    node = started(tmp_path, store)
    put(node, source)
    sealed = len(segments(node)) - 1
    assert sealed >= 2
    until(lambda: len(store.names()) == sealed)
    # Killed anywhere between putting, noting and making holes.
    node.kill()
    node.start()
    until(lambda: all(on_disk(path) < 1 << 20 for path in segments(node)[:sealed]))
    compare(node, source, tmp_path / "out", 6)
    assert store.secret not in node.log.read_text(encoding="utf-8")
    node.stop()
    told = info(node)
    assert told["remote"]["segments"] == sealed and told["remote"]["away_bytes"] > 0
    assert store.secret not in json.dumps(told)
    assert run("archive", "scrub", "--config", node.config).returncode == 0
    # One that the store lost the end of is found.
    name = store.names()[0]
    store.s3.put_object(Bucket=BUCKET, Key=name, Body=store.body(name)[:-1000])
    damaged = run("archive", "scrub", "--json", "--config", node.config, ok=False)
    assert damaged.returncode == 1 and "remote store" in damaged.stdout, damaged.stdout
    # The node still opens.
    node.start()
    node.stop()


def test_a_store_that_is_not_there_yet_or_hangs_stops_nothing(tmp_path, store):
    source = studies(tmp_path / "in", 6)
    node = started(tmp_path, store)
    put(node, source)
    compare(node, source, tmp_path / "without", 6)
    # The credentials are new, so the node must read them; and while the server still takes some
    # calls without any, the node is not to make them.
    node.stop()
    store.start()
    node.start()
    sealed = len(segments(node)) - 1
    until(lambda: len(store.names()) == sealed)
    until(lambda: all(on_disk(path) < 1 << 20 for path in segments(node)[:sealed]))
    store.hang()
    begun = time.monotonic()
    refused = run("imaging", "get", "--server", f"http://{node.grpc}", "--study", "1.2.3.1",
                  "--out", tmp_path / "hangs", ok=False)
    assert refused.returncode != 0 and "remote archive" in refused.stderr, refused.stderr
    assert time.monotonic() - begun < 60
    # What is on the disk is given, and more is taken.
    run("imaging", "search", "--server", f"http://{node.grpc}", "--patient-id", "P1")
    run("imaging", "get", "--server", f"http://{node.grpc}", "--study", "1.2.3.6",
        "--out", tmp_path / "here", ok=False)
    node.kill()
    node.start()
    store.go_on()
    compare(node, source, tmp_path / "again", 6)
    node.stop()


def test_what_is_erased_leaves_the_store(tmp_path, store):
    store.start()
    source = studies(tmp_path / "in", 6)
    node = started(tmp_path, store)
    put(node, source)
    sealed = len(segments(node)) - 1
    until(lambda: all(on_disk(path) < 1 << 20 for path in segments(node)[:sealed]))
    needle = pydicom.dcmread(source / "1" / "1.dcm").PixelData[:4096]
    holds = lambda: any(needle in store.body(name) for name in store.names())
    assert holds()
    run("imaging", "erase", "--server", f"http://{node.grpc}", "--study", "1.2.3.1",
        "--reason", "the patient asked")
    until(lambda: not holds())
    until(lambda: len(store.names()) == sealed)
    node.stop()
    assert run("archive", "scrub", "--config", node.config).returncode == 0
    node.start()
    gone = run("imaging", "get", "--server", f"http://{node.grpc}", "--study", "1.2.3.1",
               "--out", tmp_path / "gone", ok=False)
    assert gone.returncode != 0
    run("imaging", "get", "--server", f"http://{node.grpc}", "--study", "1.2.3.2",
        "--out", tmp_path / "left")
    node.stop()


def test_wrong_credentials_put_nothing_and_are_told_without_the_secret(tmp_path, store):
    store.start()
    store.key_file.write_text(f"{store.id}\nwrongsecret\n", encoding="utf-8")
    source = studies(tmp_path / "in", 3)
    node = started(tmp_path, store)
    put(node, source)
    until(lambda: "copies of segments wait" in node.log.read_text(encoding="utf-8"))
    compare(node, source, tmp_path / "out", 3)
    assert store.names() == []
    log = node.log.read_text(encoding="utf-8")
    assert "wrongsecret" not in log
    node.stop()
