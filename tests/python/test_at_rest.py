"""A node with encryption at rest, its backup and what is left of both without the key, by real processes."""

import json
import os
import pathlib
import subprocess
import threading

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
PLANTED = ["被拖拉机碾过的左脚", "REF-ZZ-4417"]


def key(folder, name, byte):
    path = folder / name
    path.write_bytes(bytes([byte]) * 32)
    path.chmod(0o600)
    return path


def write(folder, name, data, master, token=None):
    path = folder / name
    path.write_text(
        '[server]\nlisten = "127.0.0.1:0"\n'
        f'[store]\ndir = "{data}"\n[models]\nengine = "rten"\n[imaging]\nfree_bytes_min = 0\n'
        + (f'[encryption]\nkey_file = "{master}"\n' if master else "") + (token or ""),
        encoding="utf-8")
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


MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"]


class Token:
    """A token of SoftHSM with its own store, and the section that names a key in it."""

    def __init__(self, folder):
        self.folder = folder / "token"
        (self.folder / "tokens").mkdir(parents=True)
        conf = self.folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\n"
                        "log.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(conf)
        self.module = next(path for path in MODULES if pathlib.Path(path).exists())
        self.pin = self.secret("pin", "pin-7291-xy\n")
        self.util("--init-token", "--free", "--label", "clinic-0417", "--pin", "pin-7291-xy",
                  "--so-pin", "so-pin-1")

    def secret(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def util(self, *arguments):
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=60)

    def section(self, **changed):
        named = {"module": self.module, "label": "clinic-0417", "pin_file": self.pin, **changed}
        return "[encryption.token]\n" + "".join(f'{name} = "{value}"\n'
                                                for name, value in named.items())


@pytest.fixture
def token(tmp_path):
    yield Token(tmp_path)
    os.environ.pop("SOFTHSM2_CONF")


def test_a_master_key_in_a_token_seals_and_never_leaves_it(stubs, tmp_path, token):
    data, backup = tmp_path / "data", tmp_path / "backup"
    config = write(tmp_path, "token.toml", data, None, token.section())
    without = admin(config, "keys", "check")
    assert without.returncode == 1 and "make-token-key" in without.stderr
    made = done(config, "keys", "make-token-key")
    twice = admin(config, "keys", "make-token-key")
    assert twice.returncode == 1 and "left as it is" in twice.stderr
    node = Running(config)
    kept = {number: node.diagnose(number) for number in range(5)}
    node.stop()
    assert found(data) == []
    assert done(config, "keys", "list")["master_keys"] == [made["master_key"]]
    done(config, "backup", backup)
    done(config, "restore", backup, tmp_path / "restored")
    again = Running(write(tmp_path, "restored.toml", tmp_path / "restored", None, token.section()))
    assert {number: again.diagnose(number) for number in kept} == kept
    again.stop()
    # A key beside it with the same name elsewhere, and no token at all: nothing opens.
    other = write(tmp_path, "other.toml", data, None, token.section(key="another"))
    assert done(other, "keys", "make-token-key")["master_key"] != made["master_key"]
    refused = admin(other, "keys", "check")
    assert refused.returncode == 1 and "needs the master key" in refused.stderr
    (token.folder / "tokens").rename(token.folder / "taken away")
    (token.folder / "tokens").mkdir()
    gone = subprocess.run([BINARY, "serve", "--config", config], capture_output=True, text=True,
                          timeout=120, check=False)
    assert gone.returncode != 0 and "clinic-0417" in gone.stderr + gone.stdout
    said = gone.stderr + gone.stdout + refused.stderr + without.stderr
    assert "pin-7291" not in said


def test_a_file_s_master_key_gives_way_to_one_in_a_token_and_back(stubs, tmp_path, token):
    data, file = tmp_path / "data", key(tmp_path, "one", 1)
    before = write(tmp_path, "file.toml", data, file)
    node = Running(before)
    kept = node.diagnose(1)
    node.stop()
    after = write(tmp_path, "token.toml", data, None, token.section())
    done(after, "keys", "make-token-key")
    assert len(done(before, "keys", "rotate", "--to-config", after)["master_keys"]) == 2
    assert done(before, "keys", "check")["faults"] == []
    assert len(done(after, "keys", "retire")["master_keys"]) == 1
    assert admin(before, "keys", "check").returncode == 1
    node = Running(after)
    assert node.diagnose(1) == kept
    node.stop()
    done(after, "keys", "rotate", "--to", key(tmp_path, "two", 2))
    done(write(tmp_path, "two.toml", data, tmp_path / "two"), "keys", "retire")
    assert admin(after, "keys", "check").returncode == 1


@pytest.mark.parametrize(("changed", "word"), [
    ({"label": "nobody"}, 'there are "clinic-0417"'),
    ({"module": "/nowhere/p11.so"}, "/nowhere/p11.so"),
    ({"module": "p11.so"}, "absolute path"),
    ({"label": "x" * 33}, "1 to 32 bytes"),
    ({"pin_file": "/nowhere/pin"}, "encryption.token.pin_file"),
    ({"wrong": "x"}, "wrong"),
])
def test_a_section_that_does_not_fit_says_what_to_mend(tmp_path, token, changed, word):
    config = write(tmp_path, "bad.toml", tmp_path / "data", None, token.section(**changed))
    refused = admin(config, "keys", "make-token-key")
    assert refused.returncode != 0 and word in refused.stderr, refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("text", "mode", "word"), [
    ("pin-7291-xy", 0o644, "chmod 600"),
    ("", 0o600, "one line"),
    ("two\nlines", 0o600, "one line"),
    ("9" * 256, 0o600, "1 to 255 bytes"),
    ("wrong-pin-88", 0o600, "it is wrong"),
])
def test_a_pin_that_does_not_fit_is_refused_and_not_repeated(tmp_path, token, text, mode, word):
    pin = token.secret("other", text, mode)
    config = write(tmp_path, "bad.toml", tmp_path / "data", None, token.section(pin_file=pin))
    refused = admin(config, "keys", "make-token-key")
    assert refused.returncode == 1 and word in refused.stderr, refused.stderr
    assert not text or text not in refused.stderr


@pytest.mark.parametrize(("made", "word"), [
    (["--key-type", "AES:32", "--id", "01", "--extractable"], "can be taken out"),
    (["--key-type", "AES:32", "--id", "01"], "can be taken out"),
    (["--key-type", "AES:16", "--id", "01", "--sensitive"], "has not 256 bits"),
    (["--key-type", "AES:32", "--sensitive"], "has no CKA_ID"),
])
def test_a_key_that_does_not_stay_in_its_token_is_no_master_key(tmp_path, token, made, word):
    subprocess.run(["pkcs11-tool", "--module", token.module, "--token-label", "clinic-0417", "--login",
                    "--pin", "pin-7291-xy", "--keygen", "--label", "xiangyi-master", *made],
                   check=True, capture_output=True, timeout=60)
    config = write(tmp_path, "loose.toml", tmp_path / "data", None, token.section())
    refused = admin(config, "keys", "check")
    assert refused.returncode == 1 and word in refused.stderr, refused.stderr
