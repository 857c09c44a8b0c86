"""A node with encryption at rest, its backup and what is left of both without the key, by real processes."""

import json
import os
import pathlib
import subprocess
import threading

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
PLANTED = ["被拖拉机碾过的左脚", "REF-ZZ-4417"]


def key(folder, name, byte):
    path = folder / name
    path.write_bytes(bytes([byte]) * 32)
    path.chmod(0o600)
    return path


def write(folder, name, data, master):
    path = folder / name
    path.write_text(
        '[server]\nlisten = "127.0.0.1:0"\n'
        f'[store]\ndir = "{data}"\n[models]\nengine = "rten"\n[imaging]\nfree_bytes_min = 0\n'
        + (f'[encryption]\nkey_file = "{master}"\n' if master else ""), encoding="utf-8")
    return path


def admin(config, *arguments):
    command = [BINARY, "admin", *arguments, "--config", config]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def done(config, *arguments):
    result = admin(config, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class Running:
    def __init__(self, config):
        self.process = subprocess.Popen([BINARY, "serve", "--json", "--config", config],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        assert line, "the node did not start"
        self.channel = grpc.insecure_channel(json.loads(line)["grpc"])

    def diagnose(self, number):
        from xiangyi.common.v1 import patient_pb2 as common
        from xiangyi.diagnosis.v1 import diagnosis_pb2 as dx
        from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as rpc

        request = dx.DiagnoseRequest(
            request_id=f"r-{number}", text=PLANTED[0],
            patient=common.Patient(age_years=45, sex=1, reference=PLANTED[1]))
        answer = rpc.DiagnosisServiceStub(self.channel).Diagnose(request, timeout=60)
        return answer.consultation.consultation_id

    def stop(self):
        self.channel.close()
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0

    def kill(self):
        self.channel.close()
        self.process.kill()
        self.process.wait()


def found(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [(word, path) for path in files for word in PLANTED
            if word.encode() in path.read_bytes()]


def test_a_backup_under_load_comes_back_after_the_box_is_lost(stubs, tmp_path):
    data, backup = tmp_path / "data", tmp_path / "backup"
    master = key(tmp_path, "master", 1)
    config = write(tmp_path, "node.toml", data, master)
    node = Running(config)
    kept = {number: node.diagnose(number) for number in range(20)}
    more, stop = {}, threading.Event()

    def load():
        number = 1000
        while not stop.is_set():
            more[number] = node.diagnose(number)
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    taken = done(config, "backup", backup)
    stop.set()
    thread.join()
    assert taken["files"] >= 3 and more
    node.kill()
    assert found(data) == [] and found(tmp_path) == [], "nothing is in the clear"
    # What was lost with the box comes back elsewhere.
    into = tmp_path / "restored"
    assert done(config, "verify", backup)["files"] == taken["files"]
    done(config, "restore", backup, into)
    again = Running(write(tmp_path, "restored.toml", into, master))
    assert {number: again.diagnose(number) for number in kept} == kept
    again.stop()
    assert found(into) == []
    # Without the key, with another one, and altered: said, and nothing done.
    other = write(tmp_path, "other.toml", tmp_path / "other", key(tmp_path, "other", 2))
    refused = admin(other, "restore", backup, tmp_path / "never")
    assert refused.returncode == 1 and "needs the master key" in refused.stderr
    with backup.open("r+b") as file:
        file.seek(backup.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    altered = admin(config, "verify", backup)
    assert altered.returncode == 1 and "altered or cut" in altered.stderr
    assert not (tmp_path / "never").exists()


def test_a_node_in_the_clear_is_encrypted_and_its_master_key_changed(stubs, tmp_path):
    data = tmp_path / "data"
    plain = write(tmp_path, "plain.toml", data, None)
    node = Running(plain)
    kept = {number: node.diagnose(number) for number in range(5)}
    node.stop()
    assert {word for word, _ in found(data)} == set(PLANTED), "the search can find something"
    one, two = key(tmp_path, "one", 1), key(tmp_path, "two", 2)
    config = write(tmp_path, "one.toml", data, one)
    assert done(config, "encrypt")["databases"] >= 1
    assert found(data) == []
    assert done(config, "keys", "rotate", "--to", two)["changed"]
    config = write(tmp_path, "two.toml", data, two)
    assert len(done(config, "keys", "retire")["master_keys"]) == 1
    checked = done(config, "keys", "check")
    assert checked["encrypted"] and checked["faults"] == []
    gone = admin(write(tmp_path, "gone.toml", data, one), "keys", "check")
    assert gone.returncode == 1 and "needs the master key" in gone.stderr
    node = Running(config)
    assert {number: node.diagnose(number) for number in kept} == kept
    node.stop()
