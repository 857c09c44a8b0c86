"""Documents that Xiangyi wrote, judged by two validators that others wrote.

    cargo bench --bench fhir -- --write FOLDER
    pip install fhir.resources==7.1.0 fhirkit-rs==0.1.0
    XIANGYI_FHIR_WRITTEN=FOLDER pytest tests/python/records/judge_fhir.py

Run by hand, on as many documents as one likes; what a node answers is judged in `test_fhir_facade.py`.

`fhir.resources` has R4B, whose types of these resources are R4's; `fhirkit` has R4 itself.
"""

import json
import os
import pathlib

import fhirkit
import pytest
from fhir.resources.R4B import bundle

FILES = sorted(pathlib.Path(os.environ["XIANGYI_FHIR_WRITTEN"]).glob("*.json"))


def test_there_are_documents():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fhir_resources_takes_it(path):
    bundle.Bundle.parse_raw(path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fhirkit_finds_nothing_wrong(path):
    assert [str(issue) for issue in fhirkit.validate(path.read_bytes())] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_a_document_whose_references_all_lead_somewhere(path):
    bundle = json.loads(path.read_bytes())
    assert bundle["type"] == "document" and bundle["timestamp"]
    assert bundle["identifier"]["system"] and bundle["identifier"]["value"]
    composition = bundle["entry"][0]["resource"]
    assert composition["resourceType"] == "Composition"
    assert composition["type"]["coding"][0] == {
        "system": "http://loinc.org", "code": "18842-5", "display": "Discharge summary"}
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for part in value.values():
                yield from references(part)
        elif isinstance(value, list):
            for part in value:
                yield from references(part)

    found = set(references(bundle))
    assert found <= set(urls)
    # Everything in a document must be reached from its composition.
    reached, pending = set(), [urls[0]]
    resources = dict(zip(urls, (entry["resource"] for entry in bundle["entry"])))
    while pending:
        url = pending.pop()
        if url not in reached:
            reached.add(url)
            pending += references(resources[url])
    assert reached == set(urls)
