"""The audit trail as others read it: FHIR R4 AuditEvent by two judges, and CSV."""

import csv
import io
import json
import os
import pathlib
import subprocess

import fhirkit
import grpc
import pytest
from fhir.resources.R4B import auditevent

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))


def exported(node, *arguments):
    command = [BINARY, "audit", "export", "--server", f"http://{node}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def entries(node, stubs):
    """What a node wrote for a consultation, a repeated one, a check and a read that found nothing."""
    from xiangyi.common.v1 import patient_pb2 as common
    from xiangyi.diagnosis.v1 import diagnosis_pb2 as dx
    from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as dx_rpc

    with grpc.insecure_channel(node) as channel:
        stub = dx_rpc.DiagnosisServiceStub(channel)
        request = dx.DiagnoseRequest(
            request_id="audit-1", text="发热3天，咳嗽",
            patient=common.Patient(age_years=45, sex=1, reference="P-audit"))
        for _ in range(2):
            stub.Diagnose(request, timeout=20)
        stub.ListConsultations(dx.ListConsultationsRequest(patient_reference="P-audit"), timeout=20)
        with pytest.raises(grpc.RpcError):
            stub.GetConsultation(dx.GetConsultationRequest(consultation_id="nobody"), timeout=20)
    return node


def test_every_event_is_taken_by_fhir_resources_and_fhirkit(entries):
    lines = exported(entries, "--format", "fhir").splitlines()
    assert len(lines) >= 4
    for line in lines:
        auditevent.AuditEvent.parse_raw(line)
        assert [str(issue) for issue in fhirkit.validate(line.encode())] == []
    events = [json.loads(line) for line in lines]
    assert {event["subtype"][0]["code"] for event in events} >= {"diagnose", "read_consultations"}
    ours = [event for event in events if any(
        entity["what"]["identifier"]["value"] == "P-audit" for entity in event["entity"])]
    assert ours and all(event["agent"][0]["requestor"] for event in ours)
    missed = [event for event in events if event["outcomeDesc"] == "not_found"]
    assert missed and all(event["outcome"] == "4" for event in missed)


def test_the_csv_has_a_row_for_every_entry(entries):
    rows = list(csv.DictReader(io.StringIO(exported(entries))))
    numbers = [int(row["number"]) for row in rows]
    assert numbers == sorted(numbers, reverse=True) and numbers[-1] == 1
    assert all(len(row["sha256"]) == len(row["sm3"]) == 64 for row in rows)
    assert any(row["patient_reference"] == "P-audit" for row in rows)
