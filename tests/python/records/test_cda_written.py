"""CDA documents that Xiangyi writes, and those its tests read, against the Chinese schema (SDA.xsd).

`cargo test discharge::cda` leaves arbitrary records as documents in `target/cda-written`; this is run
after it. libxml2 validates twice: through lxml, and with xmllint where that is installed.
"""

import pathlib
import shutil
import subprocess

import pytest
from lxml import etree

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "../shared/data/records/wst500/sdschemas/SDA.xsd"
WRITTEN = sorted((ROOT / "target/cda-written").glob("*.xml"))
FIXTURES = sorted((ROOT / "tests/data/records").glob("wst500-*.xml"))
HL7 = {"h": "urn:hl7-org:v3", "xsi": "http://www.w3.org/2001/XMLSchema-instance"}

pytestmark = pytest.mark.skipif(not SCHEMA.is_file(), reason="needs the shared data")


@pytest.fixture(scope="module")
def schema():
    return etree.XMLSchema(etree.parse(SCHEMA))


def test_documents_were_written():
    assert len(WRITTEN) > 100, "run `cargo test discharge::cda` first"
    assert len(FIXTURES) == 4


@pytest.mark.parametrize("path", WRITTEN + FIXTURES, ids=lambda path: path.name)
def test_a_document_is_valid_against_the_schema(schema, path):
    schema.assertValid(etree.parse(path))


def test_xmllint_agrees():
    xmllint = shutil.which("xmllint")
    assert xmllint, "xmllint is not installed (Debian: libxml2-utils)"
    command = [xmllint, "--noout", "--schema", SCHEMA, *WRITTEN, *FIXTURES]
    subprocess.run(command, check=True, capture_output=True)


def test_an_element_of_the_standard_stands_at_its_place_with_its_number_and_code_system():
    """The table that the standard's elements were taken from, against documents with all of them."""
    table = (ROOT / "../shared/data/records/wst500/ws500_53_elements.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")][1:]
    assert len(rows) == 46
    documents = [etree.parse(path) for path in WRITTEN]
    missing = []
    for inner, number, name, place, kind in rows:
        if inner == "(header)":
            oids = [part for part in kind.split() if part.startswith("2.16.")]
            found = all(any(root.xpath("//h:id[@root=$oid]", namespaces=HL7, oid=oid)
                            for root in documents) for oid in oids)
        elif place.startswith("header") or "uthenticator" in place:
            comment = f"//comment()[contains(., '{inner}') and contains(., '{name[:2]}')]"
            found = any(root.xpath(comment) for root in documents)
        else:
            entry = (f"//h:section[h:code/@code='{place}']/h:entry//h:observation"
                     f"[h:code/@code='{number}' and h:code/@codeSystem='2.16.156.10011.2.2.1']"
                     f"[h:value[@xsi:type='{kind.split()[0]}']]")
            if number == "DE06.00.093.00":
                entry = f"//h:section[h:code/@code='{place}']/h:entry/h:procedure/h:code"
            if number == "DE06.00.221.00":
                entry = f"//h:section[h:code/@code='{place}']/h:entry/h:procedure/h:effectiveTime"
            found = any(root.xpath(entry, namespaces=HL7) for root in documents)
            found = found and any(root.xpath(f"//comment()[contains(., '{inner}')]")
                                  for root in documents)
        if not found:
            missing.append(f"{inner} {number} {name} {place}")
    assert not missing
