"""What the release binary is made of, as CycloneDX 1.6 JSON.

Crates that are linked in (normal dependencies of the default features for one target; procedural
macros and what only they need run in the compiler and are left out), with versions, package URLs,
licences, the hashes of Cargo.lock, and who needs whom; the standard library; SQLite, whose C code a
crate brings along; ONNX Runtime, which is no part of the binary and loaded where it is found; and
every table and model that is embedded, with its SHA-256.

The same tree gives the same bytes: the serial number is made of the content, and there is no time
unless SOURCE_DATE_EPOCH gives one.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType
from cyclonedx.model import Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
# What our serial numbers are made under.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:xiangyi:sbom")


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def host():
    return re.search(r"^host: (\S+)$", run("rustc", "-vV"), re.M).group(1)


def linked(target):
    """Crates that are linked into the binary: package id -> ids of what it needs, and the packages."""
    # Asks cargo for the tree of a build, because `cargo metadata` mixes the features of tests in.
    tree = run(
        "cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--target", target,
        "--prefix", "depth", "--format", "\t{p}\t",
    )
    needs, path = {}, []
    for line in tree.splitlines():
        depth, package = line.split("\t")[:2]
        name, version = package.split(" ")[:2]
        key = (name, version.removeprefix("v"))
        del path[int(depth):]
        if path:
            needs[path[-1]].add(key)
        needs.setdefault(key, set())
        path.append(key)
    metadata = json.loads(
        run("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    )
    packages = {(p["name"], p["version"]): p for p in metadata["packages"]}
    return needs, {key: packages[key] for key in needs}


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))
    return {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}


def sha256(content):
    return HashType(alg=HashAlgorithm.SHA_256, content=content)


def licences(text):
    # Crates from before SPDX expressions wrote `/` for OR.
    return [LicenseFactory().make_from_string(text.replace("/", " OR "))] if text else []


def crate(key, package, checksum):
    name, version = key
    references = []
    if package["repository"]:
        url = XsUri(package["repository"])
        references.append(ExternalReference(type=ExternalReferenceType.VCS, url=url))
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pkg:cargo/{name}@{version}",
        purl=PackageURL("cargo", None, name, version),
        licenses=licences(package["license"]),
        hashes=[sha256(checksum)] if checksum else [],
        external_references=references,
    )


def generic(name, version, licence, **more):
    purl = PackageURL("generic", None, name, version)
    return Component(
        type=ComponentType.LIBRARY, name=name, version=version, purl=purl,
        bom_ref=purl.to_string(), licenses=licences(licence), **more,
    )


def sqlite(packages):
    """SQLite, as the crate has it: it is what advisories are about."""
    (package,) = [p for (name, _), p in packages.items() if name == "libsqlite3-sys"]
    header = Path(package["manifest_path"]).parent / "sqlite3" / "sqlite3.h"
    version = re.search(r'^#define SQLITE_VERSION\s+"([\d.]+)"', header.read_text("utf-8"), re.M)
    return generic("sqlite", version.group(1), "blessing",
                   description="C code within the crate libsqlite3-sys")


def onnxruntime(target):
    """ONNX Runtime as scripts/onnxruntime fetches it for a machine, if it does."""
    script = (ROOT / "scripts/onnxruntime").read_text("utf-8")
    version = re.search(r"^version=(\S+)$", script, re.M).group(1)
    machine = target.split("-")[0]
    part = re.search(rf"^  {machine}\)(.*?);;", script, re.M | re.S)
    if not part:
        return None
    digest = re.search(r"library_sha256=([0-9a-f]{64})", part.group(1)).group(1)
    return generic(
        "onnxruntime", version, "MIT", scope=ComponentScope.OPTIONAL, hashes=[sha256(digest)],
        description="not part of the binary: its library is loaded where one is found; the hash is "
        "that of the library which scripts/onnxruntime fetches",
    )


def embedded():
    """Every table, model and card inside the binary (src/embedded.rs)."""
    models = ROOT / "models"
    for path in sorted(models.rglob("*")):
        name = path.relative_to(models)
        if path.is_file() and "train" not in name.parts[:-1]:
            model = path.suffix == ".onnx"
            yield Component(
                type=ComponentType.MACHINE_LEARNING_MODEL if model else ComponentType.DATA,
                name=f"models/{name.as_posix()}",
                bom_ref=f"file:models/{name.as_posix()}",
                hashes=[sha256(hashlib.sha256(path.read_bytes()).hexdigest())],
                properties=[Property(name="xiangyi:bytes", value=str(path.stat().st_size))],
            )


def describe(target, binary, glibc=None):
    needs, packages = linked(target)
    locked = checksums()
    (root,) = [key for key in needs if key[0] == "xiangyi"]
    refs = {}
    for key, package in packages.items():
        refs[key] = crate(key, package, locked[key])
        if key != root and not locked[key]:
            raise SystemExit(f"Cargo.lock has no checksum of {key[0]} {key[1]}")
    main = refs[root]
    main.type = ComponentType.APPLICATION
    main.purl = None
    main.bom_ref.value = f"xiangyi@{root[1]}"
    main.properties.add(Property(name="xiangyi:target", value=target))
    if binary:
        main.hashes.add(sha256(hashlib.sha256(Path(binary).read_bytes()).hexdigest()))
    rust = re.search(r"^release: (\S+)$", run("rustc", "-vV"), re.M).group(1)
    std = generic("rust-std", rust, "MIT OR Apache-2.0", description="Rust's standard library")
    c = sqlite(packages)
    # A static program has the C library in it and loads none.
    runtime = None if glibc else onnxruntime(target)
    data = list(embedded())
    if glibc:
        data.append(generic("glibc", glibc, "LGPL-2.1-or-later", description="the C library, linked statically"))

    bom = Bom()
    bom.metadata.component = main
    for component in [*(refs[k] for k in refs if k != root), std, c, *data]:
        bom.components.add(component)
    if runtime:
        bom.components.add(runtime)
    for key, below in needs.items():
        children = [refs[child] for child in below]
        if key == root:
            children += [std, *data, *([runtime] if runtime else [])]
        if key[0] == "libsqlite3-sys":
            children.append(c)
        bom.dependencies.add(Dependency(
            ref=refs[key].bom_ref,
            dependencies=[Dependency(ref=child.bom_ref) for child in children],
        ))
    return bom


def written(bom):
    """The document, the same for the same content."""
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    content = json.dumps(document, sort_keys=True, ensure_ascii=False)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        at = datetime.fromtimestamp(int(epoch), timezone.utc)
        document["metadata"]["timestamp"] = at.isoformat()
    document["serialNumber"] = uuid.uuid5(NAMESPACE, content).urn
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        raise SystemExit(f"not CycloneDX 1.6: {wrong}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="FILE", help="write here instead of standard output")
    parser.add_argument("--target", metavar="TRIPLE", help="default: this machine's")
    parser.add_argument("--binary", metavar="FILE", help="the built binary, for its SHA-256")
    parser.add_argument("--glibc", metavar="VERSION", help="of a static program: the C library in it")
    args = parser.parse_args()
    text = written(describe(args.target or host(), args.binary, args.glibc))
    if args.out:
        Path(args.out).write_text(text, "utf-8")
        count = len(json.loads(text)["components"])
        print(f"{args.out}: {count} components", file=sys.stderr)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
