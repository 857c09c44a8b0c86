"""The licence texts of every crate in an SBOM, as whoever passes a binary on must give them along.

Reads the files LICENSE*, LICENCE*, COPYING*, NOTICE* and UNLICENSE* of each crate where cargo has
unpacked it, writes each text once with the crates that have it, and names those that bring no file:
their licence stands in the SBOM, and the texts of the common ones are here anyway.
"""

import argparse
import json
import os
import re
from pathlib import Path

NAMES = re.compile(r"(licen[cs]e|copying|notice|unlicense)", re.I)
# Beyond this it is no licence text.
BYTES_MAX = 256 * 1024


def crates(sbom):
    """Name, version and licence of each crate that is linked in."""
    for component in json.loads(sbom.read_text("utf-8"))["components"]:
        if component.get("purl", "").startswith("pkg:cargo/"):
            said = [entry.get("expression") or entry["license"].get("id")
                    or entry["license"].get("name") for entry in component.get("licenses", [])]
            yield component["name"], component["version"], " AND ".join(said) or "not said"


def folder(name, version, sources):
    for source in sources:
        if (source / f"{name}-{version}").is_dir():
            return source / f"{name}-{version}"
    raise SystemExit(f"{name} {version} is not unpacked under cargo's registry/src: cargo fetch")


def texts(place):
    for path in sorted(place.iterdir()):
        if path.is_file() and NAMES.match(path.name) and path.stat().st_size <= BYTES_MAX:
            text = path.read_text("utf-8", errors="replace").replace("\r\n", "\n").strip()
            if text:
                yield text


def collect(sbom, sources):
    """The document: which crate is under what, then each text once."""
    rows, holders, without = [], {}, []
    for name, version, licence in sorted(crates(sbom)):
        rows.append(f"{name} {version}: {licence}")
        found = list(texts(folder(name, version, sources)))
        for text in found:
            holders.setdefault(text, []).append(f"{name} {version}")
        if not found:
            without.append(f"{name} {version}")
    if not rows:
        raise SystemExit(f"{sbom}: there are no crates in it")
    parts = ["Crates that are linked into xiangyi, and their licences:\n\n" + "\n".join(rows)]
    if without:
        parts.append("These bring no file with their licence:\n\n" + "\n".join(without))
    for text, names in sorted(holders.items(), key=lambda item: item[1]):
        # One name in two files of a crate is one.
        parts.append("Of " + ", ".join(dict.fromkeys(names)) + ":\n\n" + text)
    return ("\n\n" + "-" * 78 + "\n\n").join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sbom", type=Path, metavar="SBOM", help="as scripts/sbom writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    sources = sorted((home / "registry/src").glob("*"))
    args.out.write_text(collect(args.sbom, sources), "utf-8")


if __name__ == "__main__":
    main()
