"""A real node with its DICOM door open, and the peers that drive it."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = ROOT.parent / "shared" / "data" / "dicom"
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
TITLE = "XIANGYI"


def free_port():
    """A port below those that the system gives out by itself: nobody is given it meanwhile."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Node:
    """`xiangyi serve` in `folder`; stops and starts, or is killed, as a test asks."""

    def __init__(self, folder, configuration="", dicom='listen = "127.0.0.1:0"\n',
                 engine="rten", imaging=""):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "node.toml"
        self.config.write_text(
            '[server]\nlisten = "127.0.0.1:0"\n'
            f'[store]\ndir = "{self.folder / "data"}"\n'
            f'[models]\nengine = "{engine}"\n'
            f'[imaging]\nfree_bytes_min = 0\nsegment_bytes = 67108864\n{imaging}'
            '[log]\nlevel = "info"\n'
            f"[dicom]\n{dicom}{configuration}", encoding="utf-8")
        self.process = None
        self.log = self.folder / "node.log"
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--json", "--config", self.config],
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line, self.log.read_text(encoding="utf-8")
        addresses = json.loads(line)
        self.host, port = addresses["dicom"].rsplit(":", 1)
        self.port = int(port)
        self.grpc = addresses["grpc"]
        self.web = addresses.get("web")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0, "the node did not drain cleanly"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


@pytest.fixture
def node(tmp_path):
    """A node that strangers on loopback may ask everything."""
    running = Node(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="session")
def dcmtk():
    """Runs a DCMTK tool and returns its exit code and output."""
    def run(tool, *arguments, ok=True, timeout=120, **options):
        path = shutil.which(tool)
        assert path, f"{tool} is missing: scripts/test installs DCMTK"
        done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True,
                              errors="replace", timeout=timeout, check=False, **options)
        output = done.stdout + done.stderr
        if ok:
            assert done.returncode == 0, f"{tool}: {output}"
        return done.returncode, output
    return run


@pytest.fixture(scope="session")
def files():
    """Paths of real DICOM files, by name below the shared collection."""
    assert FILES.is_dir(), f"{FILES} is missing"
    return lambda name: FILES / name
