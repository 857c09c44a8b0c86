"""What the shared C-CDA documents say, by XPath in lxml: the other opinion of the Rust reader.

The documents are those of jmandel/sample_ccdas @39aab8a (CC BY 4.0), of persons who do not exist.
`python tests/python/records/test_ccda_facts.py > tests/data/records/ccda_facts.csv` writes the table
that the test `every_document_of_a_vendor_says_what_another_reader_finds` compares with.
"""

import csv
import io
import pathlib
import sys

import pytest
from lxml import etree

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCUMENTS = ROOT / "../shared/data/records/ccda"
TABLE = ROOT / "tests/data/records/ccda_facts.csv"
HL7 = {"h": "urn:hl7-org:v3", "xsi": "http://www.w3.org/2001/XMLSchema-instance"}
COLUMNS = ["file", "name", "birth_date", "medicines", "history", "admission", "discharge",
           "allergies", "vital_signs", "results", "procedures", "follow_ups",
           "allergens"]

SAID = "[not(@negationInd='true')]"
CODED = "[h:value[@code or h:originalText or @displayName or h:translation]]"


def facts(path):
    document = etree.parse(path).getroot()

    def count(section, xpath):
        return len(document.xpath(f"//h:section[h:code/@code='{section}']{xpath}", namespaces=HL7))

    def diagnoses(section):
        return count(section, f"/h:entry//h:observation{SAID}{CODED}[not(ancestor::h:observation)]")

    medication = f"//h:substanceAdministration{SAID}[not(ancestor::h:substanceAdministration)]"
    at_discharge = document.xpath("//h:section[h:code/@code='10183-2']", namespaces=HL7)
    patient = document.xpath("h:recordTarget/h:patientRole/h:patient", namespaces=HL7)[0]
    name = patient.find("h:name", HL7)
    birth = patient.find("h:birthTime", HL7).get("value")
    known = "h:code[not(@nullFlavor)] or h:value[not(@nullFlavor)]"
    measured = f"/h:entry//h:observation[{known}][not(ancestor::h:observation)]"
    planned = "/h:entry/*[h:code[@code] or h:effectiveTime or h:text]"
    def allergen(observation):
        """What the agent is: its own words, its name, or what its code is called."""
        agents = observation.xpath("h:participant/h:participantRole/h:playingEntity", namespaces=HL7)
        if not agents:
            value = observation.find("h:value", HL7)
            said = "" if value is None else value.findtext("h:originalText", "", HL7).strip()
            return said or ("" if value is None else value.get("displayName", ""))
        code = agents[0].find("h:code", HL7)
        own = "" if code is None else (code.findtext("h:originalText", "", HL7) or "").strip()
        names = [" ".join("".join(n.itertext()).split()) for n in agents[0].findall("h:name", HL7)]
        shown = [] if code is None else [
            node.get("displayName", "") for node in [code, *code.findall("h:translation", HL7)]]
        return next((words for words in [own, *names, *shown] if words), "")

    allergies = document.xpath(
        "//h:section[h:code/@code='48765-2']/h:entry//h:observation[not(ancestor::h:observation)]",
        namespaces=HL7)
    return {
        "allergens": "|".join(allergen(observation) for observation in allergies),
        "file": path.name,
        "name": " ".join(" ".join(name.itertext()).split()),
        "birth_date": f"{birth[:4]}-{birth[4:6]}-{birth[6:8]}",
        "medicines": count("10183-2" if at_discharge else "10160-0", medication),
        "history": diagnoses("11450-4") + diagnoses("11348-0"),
        "admission": diagnoses("46241-6"),
        "discharge": diagnoses("11535-2"),
        "allergies": count("48765-2", "/h:entry//h:observation[not(ancestor::h:observation)]"),
        "vital_signs": count("8716-3", measured),
        "results": count("30954-2", measured),
        "procedures": count("47519-4", f"/h:entry/*{SAID}"),
        "follow_ups": count("18776-5", planned),
    }


def table():
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for path in sorted(DOCUMENTS.glob("*.xml")):
        writer.writerow(facts(path))
    return out.getvalue()


@pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="needs the shared data")
def test_the_table_that_the_reader_is_held_against_is_what_lxml_finds():
    assert TABLE.read_text(encoding="utf-8") == table()


if __name__ == "__main__":
    sys.stdout.write(table())
