"""The FHIR door of a real node, through clients and models that others wrote.

`fhirpy` asks, `fhir.resources` (R4B, whose types of these resources are R4's) and `fhirkit` (R4 itself)
judge every answer.
"""

import copy
import hashlib
import json
import os
import pathlib
import subprocess

import fhirkit
import fhirpy
import pytest
import requests
from fhir.resources.R4B import get_fhir_model_class

ROOT = pathlib.Path(__file__).resolve().parents[3]
TOKENS = {"doctor": "village_doctor", "administrator": "administrator"}
RESIDENT = "urn:oid:2.16.156.10011.1.3"


def resident_id(born, number):
    """A resident ID of somebody from 信州区, who is made up."""
    digits = f"361102{born}{number:03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights)) % 11]


def bundle(number, name="饶建国", born="1957-03-17", identifier=None):
    """A discharge summary as a hospital's own software would write it."""
    identifier = identifier or resident_id(born.replace("-", ""), 51)
    resources = [
        {"resourceType": "Composition", "id": "c", "status": "final",
         "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
         "subject": {"reference": "Patient/p"}, "encounter": {"reference": "Encounter/e"},
         "date": "2026-11-20T10:00:00+08:00", "author": [{"reference": "Practitioner/d"}],
         "title": "出院小结",
         "section": [{"title": "出院诊断", "code": {"coding": [
             {"system": "http://loinc.org", "code": "11535-2"}]},
             "entry": [{"reference": "Condition/i63"}]}]},
        {"resourceType": "Patient", "id": "p", "name": [{"text": name}], "gender": "male",
         "birthDate": born, "identifier": [{"system": RESIDENT, "value": identifier}]},
        {"resourceType": "Practitioner", "id": "d", "name": [{"text": "周医生"}]},
        {"resourceType": "Encounter", "id": "e", "status": "finished",
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
         "subject": {"reference": "Patient/p"},
         "period": {"start": "2026-11-10T08:00:00+08:00", "end": "2026-11-20T09:00:00+08:00"}},
        {"resourceType": "Condition", "id": "i63", "subject": {"reference": "Patient/p"},
         "encounter": {"reference": "Encounter/e"},
         "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I63.9"}],
                  "text": "脑梗死"}},
    ]
    base = "https://his.example/fhir"
    return {"resourceType": "Bundle", "type": "document", "timestamp": "2026-11-20T10:00:00+08:00",
            "identifier": {"system": "urn:oid:1.2.156.99", "value": number},
            "entry": [{"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r}
                      for r in resources]}


def judged(resource):
    """What is wrong with a resource, by two opinions: nothing."""
    text = json.dumps(resource)
    get_fhir_model_class(resource["resourceType"]).parse_raw(text)
    assert [str(issue) for issue in fhirkit.validate(text.encode())] == []
    return resource


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """`xiangyi serve` with the door open and a token for each role; yields its base URL."""
    binary = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
    folder = tmp_path_factory.mktemp("fhir")
    tokens = "".join(
        f'[[auth.tokens]]\nname = "{name}"\nrole = "{role}"\n'
        f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n' for name, role in TOKENS.items())
    config = folder / "node.toml"
    config.write_text(
        '[server]\nlisten = "127.0.0.1:0"\n[fhir]\nlisten = "127.0.0.1:0"\n'
        f'[store]\ndir = "{folder / "data"}"\n[models]\nengine = "rten"\n'
        f'[log]\nlevel = "warn"\n{tokens}', encoding="utf-8")
    process = subprocess.Popen([binary, "serve", "--json", "--config", config],
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line, "the node did not start"
    yield f"http://{json.loads(line)['fhir']}/fhir"
    process.terminate()
    assert process.wait(timeout=20) == 0, "the node did not drain cleanly"


@pytest.fixture(scope="module")
def client(base):
    return fhirpy.SyncFHIRClient(base, authorization="Bearer doctor",
                                 extra_headers={"X-Purpose-Of-Use": "TREAT"})


@pytest.fixture(scope="module")
def http():
    session = requests.Session()
    session.headers.update({"Authorization": "Bearer doctor", "X-Purpose-Of-Use": "TREAT",
                            "Content-Type": "application/fhir+json"})
    return session


@pytest.fixture(scope="module")
def records(base, http):
    """Twelve records of one person and one of another; yields what was sent, by id."""
    sent = {}
    for number in range(13):
        other = {"name": "徐小兰", "born": "1980-01-02"} if number == 12 else {}
        body = json.dumps(bundle(f"A-{number}", **other), ensure_ascii=False).encode()
        answer = http.post(f"{base}/Bundle", data=body)
        assert answer.status_code == 201, answer.text
        judged(answer.json())
        assert answer.headers["etag"] == 'W/"1"'
        location = answer.headers["location"].removeprefix(f"{base}/Bundle/")
        sent[location.split("/")[0]] = body
    return sent


def test_the_statement_of_capabilities(base, client):
    statement = judged(requests.get(f"{base}/metadata", timeout=10).json())
    assert statement["fhirVersion"] == "4.0.1" and statement["implementation"]["url"] == base
    assert dict(client.execute("metadata", method="get")) == statement


def test_every_record_is_found_page_by_page(client, records, base, http):
    search = client.resources("DocumentReference").search(status="current").limit(5)
    found = search.fetch_all()
    assert [r["id"] for r in found] == list(reversed(records))
    for reference in found:
        judged(dict(reference.serialize()))
    first = judged(http.get(f"{base}/DocumentReference?_count=5&patient.identifier="
                            f"{RESIDENT}|{resident_id('19570317', 51)}").json())
    assert first["total"] == 12 and len(first["entry"]) == 5


def test_a_record_is_a_document_and_its_original_what_was_sent(client, records, base, http):
    for reference in client.resources("DocumentReference").fetch_all():
        attachment = reference["content"][0]["attachment"]
        original = http.get(attachment["url"])
        assert original.content == records[reference["id"]]
        assert len(original.content) == attachment["size"]
        sha256 = next(e["valueString"] for e in attachment["extension"] if "sha256" in e["url"])
        assert hashlib.sha256(original.content).hexdigest() == sha256
        tag = original.headers["etag"]
        again = http.get(attachment["url"], headers={"If-None-Match": tag})
        assert again.status_code == 304 and not again.content
        document = client.execute(f"Composition/{reference['id']}/$document", method="get")
        assert document["type"] == "document"
        judged(json.loads(json.dumps(document)))


def test_persons_are_matched(client, records):
    patient = {"resourceType": "Patient", "name": [{"text": "饶建国"}], "birthDate": "1957-03-17",
               "identifier": [{"system": RESIDENT, "value": resident_id("19570317", 51)}]}
    ask = {"resourceType": "Parameters", "parameter": [
        {"name": "resource", "resource": patient}, {"name": "onlyCertainMatches", "valueBoolean": True}]}
    answer = json.loads(json.dumps(client.execute("Patient/$match", method="post", data=ask)))
    judged(answer)
    assert answer["total"] == 1
    search = answer["entry"][0]["search"]
    assert search["extension"][0]["valueCode"] == "certain" and search["score"] > 0.99
    person = answer["entry"][0]["resource"]["id"]
    of_person = client.resources("DocumentReference").search(patient=f"Patient/{person}")
    assert len(of_person.fetch_all()) == 12


def test_refusals_are_outcomes(base, client, http, records):
    with pytest.raises(fhirpy.base.exceptions.ResourceNotFound):
        client.reference("DocumentReference", "nothing").to_resource()
    broken = copy.deepcopy(bundle("B-1"))
    del broken["entry"][0]["resource"]["status"]
    for answer, status in [
        (http.post(f"{base}/Bundle", json=broken), 422),
        (http.post(f"{base}/Bundle", data=b"{"), 400),
        (http.post(f"{base}/Bundle", data=b"{}", headers={"Content-Type": "text/xml"}), 415),
        (http.get(f"{base}/DocumentReference?date=2026-02-30"), 400),
        (http.get(f"{base}/DocumentReference?x=1", headers={"Prefer": "handling=strict"}), 400),
        (http.get(f"{base}/DocumentReference", headers={"X-Purpose-Of-Use": "?"}), 400),
        (http.get(f"{base}/DocumentReference", headers={"Accept": "application/fhir+xml"}), 406),
        (http.get(f"{base}/DocumentReference", headers={"Authorization": "Bearer x"}), 401),
        (http.get(f"{base}/DocumentReference", headers={"Authorization": "Bearer administrator"}), 403),
        (http.get(f"{base}/Observation"), 404),
        (http.delete(f"{base}/DocumentReference/1"), 405),
        (http.post(base, json=bundle("B-2")), 404),
    ]:
        assert answer.status_code == status, answer.text
        assert judged(answer.json())["resourceType"] == "OperationOutcome"
