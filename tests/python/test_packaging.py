"""What the Debian package and the tarball hold, without installing them: unit, default configuration and
build. scripts/package-test installs the one, scripts/tarball-test runs the other.
"""

import gzip
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))


@pytest.fixture(scope="module")
def unit():
    """Section -> key -> values, in their order."""
    sections, section = {}, None
    for line in (PACKAGING / "systemd/xiangyi.service").read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


def config(text, folder, **environment):
    path = folder / "node.toml"
    path.write_text(text, "utf-8")
    done = subprocess.run([BINARY, "config", "--config", path, "--json"], capture_output=True,
                          text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def default_text():
    return (PACKAGING / "deb/node.toml").read_text("utf-8")


def test_the_default_configuration_differs_from_none_in_where_things_are_kept(tmp_path):
    shipped, built_in = config(default_text(), tmp_path), config("", tmp_path)
    assert shipped["store"]["dir"] == "/var/lib/xiangyi"
    built_in["store"]["dir"] = "/var/lib/xiangyi"
    assert shipped == built_in
    assert shipped["server"]["listen"].startswith("127.0.0.1:")


def test_what_it_offers_in_comments_is_taken(tmp_path):
    offered = re.sub(r"^# (\[\w+\]|\w+ = )", r"\1", default_text(), flags=re.M)
    taken = config(offered, tmp_path)
    assert taken["encryption"]["key_file"] and taken["metrics"]["listen"]


def test_the_unit_fits_the_package_and_the_configuration(unit, tmp_path):
    service, taken = unit["Service"], config(default_text(), tmp_path)
    assert service["ExecStart"] == ["/usr/bin/xiangyi serve --config /etc/xiangyi/node.toml"]
    (folder,) = service["StateDirectory"]
    assert taken["store"]["dir"] == f"/var/lib/{folder}"
    assert f"u {service['User'][0]} " in (PACKAGING / "systemd/sysusers.conf").read_text("utf-8")
    assert int(service["TimeoutStopSec"][0]) * 1000 > taken["server"]["drain_timeout_ms"]
    # The script and the service alike.
    assert service["Environment"] == ["ORT_DISABLE_TELEMETRY=1"]
    assert "export ORT_DISABLE_TELEMETRY=1" in (PACKAGING / "deb/xiangyi.sh").read_text("utf-8")


def test_the_unit_is_hardened(unit, tmp_path):
    path = PACKAGING / "systemd/xiangyi.service"

    def exposed(path):
        return subprocess.run(["systemd-analyze", "security", "--no-pager", "--offline=true",
                               "--threshold=30", path], capture_output=True, text=True)

    assert exposed(path).returncode == 0, exposed(path).stdout[-200:]
    # The check can fail.
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/usr/bin/xiangyi serve\n", "utf-8")
    assert exposed(bare).returncode != 0
    # What systemd does not know it passes over with a warning.
    known = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True,
                           text=True)
    assert "nknown" not in known.stderr, known.stderr
    assert unit["Service"]["MemoryDenyWriteExecute"] == ["yes"]


def test_the_node_tells_systemd_when_it_serves_and_when_it_stops(tmp_path):
    (tmp_path / "node.toml").write_text(default_text(), "utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        process = subprocess.Popen(
            [BINARY, "serve", "--config", tmp_path / "node.toml"], stdout=subprocess.DEVNULL,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"),
                              "XIANGYI_SERVER_LISTEN": "127.0.0.1:0",
                              "XIANGYI_MODELS_ENGINE": "rten", "XIANGYI_LOG_LEVEL": "warn",
                              "XIANGYI_STORE_DIR": str(tmp_path / "data")})
        try:
            assert b"READY=1" in manager.recv(4096)
            process.send_signal(signal.SIGTERM)
            assert b"STOPPING=1" in manager.recv(4096)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


# ---- the build -----------------------------------------------------------------------------------


def build(out, cargo_home, sbom, umask=0o022, **environment):
    """scripts/package with another small program in the node's place."""
    search = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "scripts/package", "--binary", "/bin/true", "--version", "1.2.3~test", "--fast",
         "--sbom", sbom, "--out", out, "--maintainer", "某县卫健委/信息科 <it@county.example>"],
        cwd="/", capture_output=True, text=True, umask=umask,
        env=os.environ | {"PATH": search, "CARGO_HOME": str(cargo_home)} | environment)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cargo folder with one crate, and the list that names it."""
    home = tmp_path_factory.mktemp("cargo")
    crate = home / "registry/src/index/left-1.0.0"
    crate.mkdir(parents=True)
    (crate / "LICENSE-MIT").write_text("Permission is granted to left.\n", "utf-8")
    (home / "sbom.json").write_text(json.dumps({"components": [
        {"name": "left", "version": "1.0.0", "purl": "pkg:cargo/left@1.0.0",
         "licenses": [{"license": {"id": "MIT"}}]}]}), "utf-8")
    return home


@pytest.fixture(scope="module")
def package(home, tmp_path_factory):
    out = tmp_path_factory.mktemp("package")
    done = build(out, home, home / "sbom.json")
    assert done.returncode == 0, done.stderr
    digest, path = done.stdout.split()
    assert path == str(out / "xiangyi_1.2.3~test_amd64.deb")
    return digest, pathlib.Path(path)


def test_the_same_tree_gives_the_same_package(package, home, tmp_path):
    again = build(tmp_path / "else where", home, home / "sbom.json", umask=0o077,
                  TZ="Asia/Shanghai", LANG="C")
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[0] == package[0]
    other = build(tmp_path, home, home / "sbom.json", SOURCE_DATE_EPOCH="1577836800")
    assert other.returncode == 0, other.stderr
    assert other.stdout.split()[0] != package[0]


def test_it_has_what_it_needs_with_the_modes_it_needs(package, tmp_path):
    subprocess.run(["dpkg-deb", "-R", package[1], tmp_path / "x"], check=True)
    root = tmp_path / "x"
    modes = {str(p.relative_to(root)): p.stat().st_mode & 0o777
             for p in root.rglob("*") if p.is_file() and not p.is_symlink()}
    programs = {"usr/bin/xiangyi", "usr/lib/xiangyi/xiangyi", "DEBIAN/postinst", "DEBIAN/prerm",
                "DEBIAN/postrm"}
    assert {name for name, mode in modes.items() if mode == 0o755} == programs
    assert all(mode == 0o644 for name, mode in modes.items() if name not in programs)
    assert {"usr/lib/systemd/system/xiangyi.service",
            "usr/lib/sysusers.d/xiangyi.conf", "usr/lib/tmpfiles.d/xiangyi.conf",
            "usr/lib/systemd/journald@xiangyi.conf.d/xiangyi.conf",
            "usr/share/doc/xiangyi/copyright", "usr/share/doc/xiangyi/sbom.cdx.json",
            "usr/share/doc/xiangyi/onnxruntime/LICENSE",
            "usr/share/doc/xiangyi/OPERATIONS.md", "usr/share/man/man1/xiangyi.1.gz",
            "usr/share/doc/xiangyi/ops/grafana/xiangyi.json"} <= set(modes)
    assert (root / "DEBIAN/conffiles").read_text("utf-8") == "/etc/xiangyi/node.toml\n"
    # Of all that is packed only the configuration may be changed by hand.
    sums = (root / "DEBIAN/md5sums").read_text("utf-8")
    assert {line.split("  ")[1] for line in sums.splitlines()} == {
        name for name in modes if name.startswith("usr/")}
    version = re.search(r"^version=(\S+)$", (ROOT / "scripts/onnxruntime").read_text("utf-8"), re.M)
    library = root / "usr/lib/xiangyi/libonnxruntime.so"
    assert library.readlink().name == f"libonnxruntime.so.{version.group(1)}"
    control = (root / "DEBIAN/control").read_text("utf-8")
    assert "Maintainer: 某县卫健委/信息科 <it@county.example>\n" in control
    assert re.search(r"^Depends: .*libc6 \(>= 2\.\d+\).*libstdc\+\+6.*systemd", control, re.M)
    assert "@" not in re.sub(r"<.*>", "", control)
    doc = root / "usr/share/doc/xiangyi"
    licences = gzip.decompress((doc / "licences.txt.gz").read_bytes()).decode()
    assert "left 1.0.0: MIT" in licences and "Permission is granted to left." in licences
    assert f"ONNX Runtime {version.group(1)}," in (doc / "copyright").read_text("utf-8")


def test_the_page_of_the_manual_has_the_commands_of_the_program():
    binary = os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi")
    said = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  ([a-z]+)  ", said.split("Commands:")[1].split("Options:")[0], re.M))
    page = (ROOT / "packaging/deb/xiangyi.1").read_text("utf-8")
    part = page.split(".SH COMMANDS")[1].split(".SH")[0]
    assert set(re.findall(r"^\.B (\S+)$", part, re.M)) == commands - {"help"}
    assert len(commands) > 20


def test_a_crate_whose_licence_cannot_be_looked_for_is_an_error(home, tmp_path):
    (tmp_path / "sbom.json").write_text(json.dumps({"components": [
        {"name": "right", "version": "1.0.0", "purl": "pkg:cargo/right@1.0.0", "licenses": []}]}),
        "utf-8")
    done = build(tmp_path, home, tmp_path / "sbom.json")
    assert done.returncode != 0 and "right 1.0.0 is not unpacked" in done.stderr
    assert not list(tmp_path.glob("*.deb"))


# ---- the tarball ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A small static program."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "x.c").write_text('#include <stdio.h>\nint main(void) { puts("xiangyi 0"); return 0; }\n')
    subprocess.run(["cc", "-static", "-o", folder / "x", folder / "x.c"], check=True)
    return folder / "x"


def packed(out, home, binary, *arguments, umask=0o022, **environment):
    return subprocess.run(
        [ROOT / "scripts/tarball", "--binary", binary, "--sbom", home / "sbom.json", "--out", out,
         *arguments],
        cwd="/", capture_output=True, text=True, umask=umask,
        env=os.environ | {"CARGO_HOME": str(home)} | environment)


def test_the_tarball_has_one_static_program_and_is_the_same_for_the_same_tree(home, static, tmp_path):
    done = packed(tmp_path / "one", home, static)
    assert done.returncode == 0, done.stderr
    digest, path = done.stdout.split()
    again = packed(tmp_path / "two", home, static, umask=0o077, TZ="Asia/Shanghai", LANG="C")
    assert again.stdout.split()[0] == digest == hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    with tarfile.open(path) as tar:
        members = {m.name: m for m in tar.getmembers() if m.isfile()}
        (folder,) = {name.split("/")[0] for name in members}
        assert re.fullmatch(r"xiangyi-[\d.]+-x86_64", folder)
        programs = [name for name, m in members.items() if m.mode & 0o111]
        assert programs == [f"{folder}/xiangyi"]
        assert all((m.uid, m.gid, m.mode & 0o022) == (0, 0, 0) for m in members.values())
        read = lambda name: tar.extractfile(f"{folder}/{name}").read().decode()  # noqa: E731
        assert "@" not in read("README.txt") and "x86_64" in read("README.txt")
        assert 'dir = "data"\n' in read("node.toml") and "/usr/share" not in read("node.toml")
        assert "Permission is granted to left." in read("licences.txt")
        assert "Apache License" in read("LICENSE")
        tar.extractall(tmp_path, filter="data")
    shown = subprocess.run([BINARY, "config", "--config", tmp_path / folder / "node.toml"],
                           capture_output=True, text=True)
    assert shown.returncode == 0 and 'dir = "data"' in shown.stdout, shown.stderr


def test_a_program_that_needs_more_or_runs_elsewhere_is_not_packed(home, static, tmp_path):
    dynamic = packed(tmp_path, home, "/bin/true")
    assert dynamic.returncode == 1 and "/bin/true is not static" in dynamic.stderr
    foreign = packed(tmp_path, home, static, "--target", "aarch64-unknown-linux-gnu")
    assert foreign.returncode == 1 and "is not for aarch64" in foreign.stderr
    missing = packed(tmp_path, home, tmp_path / "none")
    assert missing.returncode == 1 and "there is no" in missing.stderr
    assert not list(tmp_path.glob("*.gz"))


@pytest.mark.parametrize(
    "script", ["package", "package-test", "tarball", "tarball-test", "cross-arm64", "release"])
def test_the_scripts_say_how_they_are_used(script):
    shown = subprocess.run([ROOT / "scripts" / script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and f"usage: scripts/{script}" in shown.stdout
    assert "set -euo" not in shown.stdout
    wrong = subprocess.run([ROOT / "scripts" / script, "--nonsense"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "unknown option: --nonsense" in wrong.stderr
