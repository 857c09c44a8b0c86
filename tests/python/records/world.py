"""A small region that can be hurt: two hubs over one PostgreSQL, a hospital, two clinics, and lines
between them that can be cut, stalled, slowed, and made to say things twice or in another order."""

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from power import Disk

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
# Villages of one township, with the names that addresses have; each has a clinic.
CLINICS = {"clinic-1": ("361104204201", "湖村村"), "clinic-2": ("361104204203", "大畈村")}
HOSPITAL = "county"
HUBS = ("hub-1", "hub-2")
# Seconds within which a node must be up again, and PostgreSQL.
UP_WITHIN = 120
# What a frame of HTTP/2 begins with, and what a client says before its first frame.
FRAME_HEAD, PREFACE = 9, 24
DATA, GOAWAY, END_STREAM, PADDED = 0, 7, 0x1, 0x8


def free_port():
    """A port below those that the system gives out by itself."""
    while True:
        port = random.SystemRandom().randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def stubs():
    """Compiles the contract, once a process, and makes it importable."""
    if "xiangyi.records.v1.records_pb2_grpc" not in sys.modules:
        from grpc_tools import protoc

        out = tempfile.mkdtemp(prefix="stubs-")
        protos = sorted(str(p.relative_to(ROOT / "proto"))
                        for p in (ROOT / "proto" / "xiangyi" / "records").rglob("*.proto"))
        well_known = pathlib.Path(protoc.__file__).parent / "_proto"
        done = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}",
                            f"--python_out={out}", f"--grpc_python_out={out}", *protos])
        assert done == 0, "the contract does not compile"
        sys.path.insert(0, out)
    from xiangyi.records.v1 import records_pb2, records_pb2_grpc
    return records_pb2, records_pb2_grpc


def faketime():
    """The library that gives one process another wall clock, or None."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0] if found else None


def reachable(folder):
    """Lets another user's server reach a folder that pytest has made."""
    for one in (folder, *folder.parents):
        one.chmod(0o755)
        if one.name.startswith("pytest-of-"):
            return
    raise ValueError(f"{folder} is none of pytest's")


class Database:
    """A PostgreSQL of our own; `scripts/postgres` knows how."""

    def __init__(self, folder, power=False):
        self.folder, self.environment, self.disk = pathlib.Path(folder), {}, None
        self.url = self._run("start")
        if power:
            self.crash()
            self.disk = Disk(self.folder / "data", self.folder.with_name("postgres.disk"))
            self.environment = self.disk.environment()
            self.start()

    def _run(self, command):
        done = subprocess.run([ROOT / "scripts/postgres", command, self.folder],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, **self.environment})
        if done.returncode:
            raise OSError(f"PostgreSQL {command}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self):
        """Until it is up: what a killed server leaves running must have gone first."""
        deadline = time.monotonic() + UP_WITHIN
        lock = self.folder / "data" / "postmaster.pid"
        # The dead that nobody has buried look alive to `pg_ctl`.
        if lock.exists() and not alive(int(lock.read_text(encoding="ascii").split()[0])):
            lock.unlink()
        while True:
            try:
                self.url = self._run("start")
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def crash(self):
        """As `pg_ctl stop -m immediate` does: it is not told to write anything."""
        self._run("crash")

    def pids(self):
        """The server's processes, its first one first."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = pathlib.Path(f"/proc/{first}/task/{first}/children")
        return [first, *map(int, children.read_text().split())]

    def kill(self):
        """All its processes at once."""
        pids = self.pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + UP_WITHIN
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline, "PostgreSQL does not die"
            time.sleep(0.02)

    def stop(self):
        self._run("stop")

    def rows(self, query):
        """Rows of a query as lists of texts."""
        done = subprocess.run(["psql", self.url, "-AtqX", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                               "-c", "SET search_path = xiangyi_hub", "-c", query],
                              capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1]
    except OSError:
        return False
    return state.split()[0] != "Z"


class Line:
    """Bytes of one node to whichever hub it is led to, and back. `up` is towards the hub."""

    def __init__(self, name, hubs, seed):
        self.name, self.hubs, self.at = name, hubs, 0
        self.random = random.Random(f"{seed}-{name}")
        self.down = False
        self.stalled = {"up": False, "down": False}
        # Bytes a second, or None.
        self.rate = None
        # After so many bytes the line breaks, in the middle of whatever is said; or None.
        self.left = None
        # Of so many whole messages each is said twice, or after the one behind it.
        self.doubled = self.reordered = 0.0
        self.told = {"connections": 0, "cuts": 0, "doubled": 0, "reordered": 0, "bytes": 0}
        self.pairs, self.lock = [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self):
        self.down, self.rate, self.left = False, None, None
        self.doubled = self.reordered = 0.0
        self.stalled.update(up=False, down=False)

    def cut(self):
        """Ends every connection; half of them without a word, as a modem does that is switched off."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            self.told["cuts"] += 1
            rude = self.random.random() < 0.5
            for end in pair:
                with contextlib.suppress(OSError):
                    if rude:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                    else:
                        end.shutdown(socket.SHUT_RDWR)
                end.close()

    def switch(self):
        self.at = (self.at + 1) % len(self.hubs)
        self.cut()

    def close(self):
        self.listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.down:
                near.close()
                continue
            # The hub that it is led to, or the other one when that is away.
            for step in range(len(self.hubs)):
                try:
                    hub = self.hubs[(self.at + step) % len(self.hubs)]
                    far = socket.create_connection(("127.0.0.1", hub), 5)
                    break
                except OSError:
                    far = None
            if far is None:
                near.close()
                continue
            self.told["connections"] += 1
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(0.2)
            with self.lock:
                self.pairs.append((near, far))
            for way, source, target in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self._pump, args=(way, source, target),
                                 daemon=True).start()

    def _pump(self, way, source, target):
        frames = Frames(self, PREFACE if way == "up" else 0)
        try:
            while True:
                while self.stalled[way]:
                    time.sleep(0.05)
                try:
                    data = source.recv(65_536)
                except TimeoutError:
                    self._send(target, frames.late(), way)
                    continue
                if not data:
                    break
                self._send(target, frames.through(data), way)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _send(self, target, data, way):
        at = 0
        while at < len(data):
            while self.stalled[way]:
                time.sleep(0.05)
            size = len(data) - at
            if self.rate:
                size = min(size, max(64, self.rate // 20))
                time.sleep(size / self.rate)
            left = self.left
            if left is not None:
                size = min(size, left)
                self.left = left - size
            piece = memoryview(data)[at:at + size]
            while piece:
                try:
                    piece = piece[target.send(piece):]
                except TimeoutError:
                    continue
            at += size
            self.told["bytes"] += size
            if left is not None and left - size <= 0:
                self.left = None
                self.cut()
                raise OSError("the line broke")


class Frames:
    """HTTP/2 frames of one direction. Whole messages of gRPC can be doubled and put in another order;
    everything else goes through as it is."""

    def __init__(self, line, preface):
        self.line, self.preface, self.buffer = line, preface, b""
        # By stream: what is missing of the message under way, and what was held back of it; and a
        # message that is to come after the next.
        self.streams, self.parts, self.held = {}, {}, {}

    def through(self, data):
        self.buffer += data
        out = b""
        if self.preface:
            taken, self.buffer = self.buffer[:self.preface], self.buffer[self.preface:]
            self.preface -= len(taken)
            out += taken
        while len(self.buffer) >= FRAME_HEAD:
            size = FRAME_HEAD + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < size:
                break
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            out += self._frame(frame, int.from_bytes(frame[5:9], "big"))
        return out

    def late(self, stream=None):
        """Nothing comes behind what is held back: it goes on."""
        out = b""
        for at in list(self.held) if stream is None else [stream]:
            out += self.held.pop(at, b"")
        for at in list(self.parts) if stream is None else [stream]:
            out += self.parts.pop(at, b"")
        return out

    def _frame(self, frame, stream):
        if frame[3] == GOAWAY:
            return self.late() + frame
        if frame[3] != DATA or frame[4] & (END_STREAM | PADDED):
            # What must stay in order with the rest of its stream.
            return (self.late(stream) if stream else b"") + frame
        message = self.streams.setdefault(stream, Messages())
        fresh = message.whole()
        message.take(frame[FRAME_HEAD:])
        if fresh or stream in self.parts:
            part = self.parts.pop(stream, b"") + frame
            if message.whole():
                return self._message(part, stream)
            if self.line.doubled or self.line.reordered:
                self.parts[stream] = part
                return b""
            return part
        return frame

    def _message(self, message, stream):
        line = self.line
        held = self.held.pop(stream, None)
        if held is not None:
            line.told["reordered"] += 1
            return message + held
        chance = line.random.random()
        if chance < line.doubled:
            line.told["doubled"] += 1
            return message + message
        if chance < line.doubled + line.reordered:
            self.held[stream] = message
            return b""
        return message


class Messages:
    """Where in its messages a stream is: each has five bytes in front, the last four its length."""

    def __init__(self):
        self.head, self.left = b"", 0

    def whole(self):
        return not self.head and not self.left

    def take(self, data):
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left, data = self.left - taken, data[taken:]
                continue
            missing = 5 - len(self.head)
            self.head, data = self.head + data[:missing], data[missing:]
            if len(self.head) == 5:
                self.left, self.head = int.from_bytes(self.head[1:], "big"), b""


class Node:
    """`xiangyi serve` in a folder; is killed and started again."""

    def __init__(self, folder, name, role, rest):
        self.folder, self.name = pathlib.Path(folder), name
        self.folder.mkdir(parents=True)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.port = free_port()
        self.log = self.folder / "node.log"
        self.config = self.folder / "node.toml"
        self.config.write_text(
            f'[node]\nname = "{name}"\nrole = "{role}"\n'
            f'[server]\nlisten = "127.0.0.1:{self.port}"\ndrain_timeout_ms = 3000\n'
            f'[store]\ndir = "{self.data}"\n[models]\nengine = "rten"\n'
            f'[imaging]\nenabled = false\n[log]\nlevel = "info"\n{rest}', encoding="utf-8")
        self.process, self.environment, self.disk, self.starts = None, {}, None, 0
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.port}",
            options=[("grpc.max_reconnect_backoff_ms", 300),
                     ("grpc.initial_reconnect_backoff_ms", 100),
                     ("grpc.min_reconnect_backoff_ms", 100),
                     ("grpc.max_receive_message_length", 1 << 25)])
        _, rpc = stubs()
        self.records = rpc.RecordServiceStub(self.channel)
        self.follow_up = rpc.FollowUpServiceStub(self.channel)
        self.exchange = rpc.ExchangeServiceStub(self.channel)

    def launch(self):
        """Starts it and does not wait."""
        environment = {**os.environ, **self.environment}
        if self.disk:
            both = [self.disk.environment(), self.environment]
            preloaded = [e["LD_PRELOAD"] for e in both if "LD_PRELOAD" in e]
            environment |= both[0] | both[1] | {"LD_PRELOAD": ":".join(preloaded)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--json", "--config", self.config], stdout=subprocess.PIPE,
                stderr=log, text=True, env=environment)
        self.starts += 1

    def start(self):
        """Starts it until it is up: a hub needs its database, and a full disk may have room again."""
        deadline = time.monotonic() + UP_WITHIN
        while True:
            self.launch()
            line = self.process.stdout.readline()
            if line:
                return json.loads(line)
            self.process.wait()
            if time.monotonic() > deadline:
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise AssertionError(f"{self.name} does not start: {tail}")
            time.sleep(0.3)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.channel.close()


def token(name):
    return f"link-token-of-{name}"


class World:
    """Everything together, in a folder."""

    def __init__(self, folder, seed, disk_mib=0, power=False):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.nodes, self.lines, self.mounts = {}, {}, []
        self.database = Database(self.folder / "postgres", power)
        key, url = self.folder / "hub.key", self.folder / "url"
        key.write_bytes(hashlib.sha256(str(seed).encode()).digest())
        url.write_text(self.database.url, encoding="ascii")
        members = "".join(
            f'[[link.nodes]]\nname = "{name}"\narea = "{area}"\n'
            f'token_sha256 = "{hashlib.sha256(token(name).encode()).hexdigest()}"\n'
            for name, area in [(HOSPITAL, "361104"), *((n, a) for n, (a, _) in CLINICS.items())])
        ports = [free_port() for _ in HUBS]
        for name, port in zip(HUBS, ports, strict=True):
            self.nodes[name] = Node(
                self.folder / name, name, "hub",
                f'[link]\nlisten = "127.0.0.1:{port}"\n{members}'
                f'[exchange]\npostgres_url_file = "{url}"\nkey_file = "{key}"\n'
                # Hours of a clinic's work pass within minutes here.
                'registered_persons_per_hour_max = 1000000\n')
        for name in (HOSPITAL, *CLINICS):
            line = self.lines[name] = Line(name, ports, seed)
            line.at = len(self.lines) % len(ports)
            secret = self.folder / f"{name}.token"
            secret.write_text(token(name), encoding="ascii")
            node = self.nodes[name] = Node(
                self.folder / name, name, "hospital" if name == HOSPITAL else "clinic",
                f'[link]\nhub = "http://127.0.0.1:{line.port}"\ntoken_file = "{secret}"\n')
            # A disk of its own, which can be filled.
            if disk_mib and name != "clinic-2" and os.geteuid() == 0:
                mount = ["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "tmpfs", node.data]
                if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
                    self.mounts.append(node)
            if power:
                node.disk = Disk(node.data, self.folder / f"{name}.disk")

    def start(self):
        threads = [threading.Thread(target=node.start) for node in self.nodes.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, node in self.nodes.items():
            assert node.process and alive(node.process.pid), f"{name} does not start"

    def disks(self):
        """Those that can lose power, by name."""
        found = {name: node.disk for name, node in self.nodes.items() if node.disk}
        return found | ({"postgres": self.database.disk} if self.database.disk else {})

    def close(self, keep=False):
        for line in self.lines.values():
            line.close()
        for node in self.nodes.values():
            node.close()
        if keep:
            return
        for node in self.mounts:
            subprocess.run(["umount", "--lazy", node.data], check=False)
        with contextlib.suppress(OSError):
            self.database.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
