"""The list of what the binary is made of, held against what cargo, Cargo.lock, git and the models'
own manifest say."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What is used in tests, benchmarks and at build time alone.
NEVER_LINKED = {"proptest", "criterion", "protox", "tonic-prost-build", "serde_derive", "syn", "cc",
                "dicom-object"}


def sbom(*arguments, **environment):
    env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"} | environment
    done = subprocess.run([ROOT / "scripts/sbom", *arguments], cwd="/", check=True,
                          capture_output=True, text=True, env=env | {"PYTHON": sys.executable})
    return done.stdout


@pytest.fixture(scope="module")
def text():
    return sbom()


@pytest.fixture(scope="module")
def bom(text):
    return json.loads(text)


def crates(bom):
    found = [c for c in bom["components"] if c.get("purl", "").startswith("pkg:cargo/")]
    assert len(found) > 200
    return found


def test_it_is_cyclonedx(text):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    # The check can fail.
    broken = text.replace('"type": "library"', '"type": "librarian"', 1)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_the_same_tree_gives_the_same_bytes(text, tmp_path):
    sbom("--out", str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_text("utf-8") == text
    assert "timestamp" not in text and str(ROOT) not in text
    dated = json.loads(sbom(SOURCE_DATE_EPOCH="86400"))
    assert dated["metadata"]["timestamp"].startswith("1970-01-02T00:00:00")


def test_the_crates_are_those_that_cargo_links(bom):
    metadata = json.loads(subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform",
         bom["metadata"]["component"]["properties"][0]["value"]],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    packages = {p["id"]: p for p in metadata["packages"]}
    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]

    def macro(package):
        return any("proc-macro" in t["kind"] for t in packages[package]["targets"])

    def below(package):
        return [d["pkg"] for d in nodes[package]["deps"]
                if any(k["kind"] is None for k in d["dep_kinds"]) and not macro(d["pkg"])]

    # Everything that could be linked, with the features of tests on top.
    could, stack = set(), [root]
    while stack:
        package = stack.pop()
        if package not in could:
            could.add(package)
            stack += below(package)
    name = lambda p: (packages[p]["name"], packages[p]["version"])
    listed = {(c["name"], c["version"]) for c in crates(bom)}
    assert listed <= {name(p) for p in could}
    # What the node names itself is there, each in its one version.
    direct = {name(p) for p in below(root)}
    assert direct <= listed, direct - listed
    assert not NEVER_LINKED & {n for n, _ in listed}
    # `cargo tree` in its plain form, its macros and what hangs below them taken out by indentation.
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "depth", "--no-dedupe",
         "--depth", "3"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    macro_depth = None
    for line in tree.splitlines():
        depth, package, version = re.match(r"(\d+)(\S+) v(\S+)", line).groups()
        if macro_depth is not None and int(depth) > macro_depth:
            continue
        macro_depth = int(depth) if "(proc-macro)" in line else None
        if macro_depth is None and package != "xiangyi":
            assert (package, version) in listed, line


def test_each_crate_has_the_hash_of_the_lock_and_a_licence(bom):
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    for crate in crates(bom):
        key = (crate["name"], crate["version"])
        assert crate["hashes"] == [{"alg": "SHA-256", "content": checksums[key]}], key
        assert crate["purl"] == f"pkg:cargo/{key[0]}@{key[1]}".replace("+", "%2B"), key
        assert crate["licenses"], key


def test_who_needs_whom_is_whole(bom):
    root = bom["metadata"]["component"]["bom-ref"]
    needs = {d["ref"]: d.get("dependsOn", []) for d in bom["dependencies"]}
    there = {c["bom-ref"] for c in bom["components"]}
    reached, stack = set(), [root]
    while stack:
        ref = stack.pop()
        if ref not in reached:
            reached.add(ref)
            stack += needs[ref]
    assert reached == there | {root}
    tonic = next(ref for ref in needs if ref.startswith("pkg:cargo/tonic@"))
    assert any(ref.startswith("pkg:cargo/hyper@") for ref in needs[tonic])


def test_every_table_and_model_is_there_as_it_is(bom):
    data = {c["name"]: c for c in bom["components"]
            if c["type"] in ("data", "machine-learning-model")}
    tracked = subprocess.run(["git", "ls-files", "models"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout.splitlines()
    shipped = {path for path in tracked if "/train/" not in path}
    assert set(data) == shipped and len(shipped) > 100
    # The models' own manifest was written by other code.
    models = tomllib.loads((ROOT / "models/manifest.toml").read_text("utf-8"))["model"]
    assert models
    for model in models:
        component = data[f"models/{model['file']}"]
        assert component["type"] == "machine-learning-model"
        assert component["hashes"][0]["content"] == model["sha256"]
    table = "models/prescription/dosing.csv"
    digest = hashlib.sha256((ROOT / table).read_bytes()).hexdigest()
    assert data[table]["hashes"][0]["content"] == digest


def test_code_that_is_no_crate_is_there(bom):
    generic = {c["name"]: c for c in bom["components"] if c.get("purl", "").startswith("pkg:generic")}
    assert set(generic) >= {"sqlite", "rust-std"}
    assert re.fullmatch(r"3\.\d+\.\d+", generic["sqlite"]["version"])
    if "onnxruntime" in generic:
        assert generic["onnxruntime"]["scope"] == "optional"


def test_of_a_static_program_the_c_library_is_part_and_onnx_runtime_is_not(bom):
    static = json.loads(sbom("--glibc", "2.36", "--target", "aarch64-unknown-linux-gnu"))
    names = lambda one: {c["name"]: c for c in one["components"]}  # noqa: E731
    assert names(static)["glibc"]["version"] == "2.36"
    assert names(static)["glibc"]["licenses"][0]["license"]["id"] == "LGPL-2.1-or-later"
    assert "onnxruntime" not in names(static) and "onnxruntime" in names(bom) and "glibc" not in names(bom)
    (root,) = [d for d in static["dependencies"] if d["ref"].startswith("xiangyi@")]
    assert any(ref.startswith("pkg:generic/glibc") for ref in root["dependsOn"])
