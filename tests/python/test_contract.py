"""A foreign client proves the contract: generated stubs, real sockets, both engines."""

import queue
import uuid

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status


def diagnosis(channel):
    from xiangyi.diagnosis.v1 import diagnosis_pb2 as pb
    from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as rpc

    return pb, rpc.DiagnosisServiceStub(channel)


def prescription(channel):
    from xiangyi.prescription.v1 import prescription_pb2 as pb
    from xiangyi.prescription.v1 import prescription_pb2_grpc as rpc

    return pb, rpc.PrescriptionServiceStub(channel)


def patient(**fields):
    from xiangyi.common.v1 import patient_pb2 as common

    return common.Patient(**fields)


def bad_fields(error):
    """Field names of the google.rpc.BadRequest in an error."""
    from google.rpc import error_details_pb2

    for detail in rpc_status.from_call(error).details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return [v.field for v in bad.field_violations]
    return []


def test_a_complaint_in_chinese_gets_a_ranked_differential_with_reasons(channel):
    pb, stub = diagnosis(channel)
    answer = stub.Diagnose(pb.DiagnoseRequest(
        patient=patient(age_years=45, sex=1), text="发热3天，咳嗽咳黄痰，右胸痛，无咯血"), timeout=10)
    consultation = answer.consultation
    probabilities = [c.probability for c in consultation.conditions if not c.listed_for_safety]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1.0001
    names = [m.name for m in consultation.mentions if m.state == pb.FINDING_STATE_PRESENT]
    assert "发热" in names and "咳嗽" in names
    assert any(m.state == pb.FINDING_STATE_ABSENT for m in consultation.mentions)
    top = consultation.conditions[0]
    assert top.icd10 and top.reasons_for and all(r.source for r in top.reasons_for)
    assert consultation.provenance.model_version and consultation.disclaimer


def test_a_duplicate_over_a_patent_medicine_is_found_with_its_source(channel):
    pb, stub = prescription(channel)
    check = stub.CheckPrescription(pb.CheckPrescriptionRequest(
        patient=patient(age_years=56, sex=2),
        lines=[pb.OrderLine(name="维C银翘片"), pb.OrderLine(name="对乙酰氨基酚片")],
        current_medicines=["氨氯地平片"]), timeout=10).check
    (duplicate,) = [f for f in check.findings if f.kind == pb.FINDING_KIND_DUPLICATE]
    assert list(duplicate.line_ids) == ["1", "2"]
    assert duplicate.reason and duplicate.source


def test_an_unknown_medicine_is_unchecked_never_safe(channel):
    pb, stub = prescription(channel)
    check = stub.CheckPrescription(pb.CheckPrescriptionRequest(
        lines=[pb.OrderLine(name="神效止咳丸")]), timeout=10).check
    assert [list(u.subjects) for u in check.unchecked if not u.on_request] == [["神效止咳丸"]]


def test_bad_input_names_the_field_in_rich_details(channel):
    pb, stub = diagnosis(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Diagnose(pb.DiagnoseRequest(patient=patient(age_years=-1), text="发热"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert bad_fields(caught.value) == ["patient.age_years"]


def test_an_unknown_enum_number_is_refused(channel):
    pb, stub = diagnosis(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Diagnose(pb.DiagnoseRequest(patient=patient(sex=77), text="发热"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert bad_fields(caught.value) == ["patient.sex"]


def test_bytes_that_are_not_utf8_are_the_callers_fault(channel):
    call = channel.unary_unary("/xiangyi.diagnosis.v1.DiagnosisService/Diagnose")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\x1a\x02\xff\xfe", timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_repeated_request_id_gives_the_same_answer_and_refuses_other_content(channel):
    pb, stub = diagnosis(channel)
    request = pb.DiagnoseRequest(request_id=str(uuid.uuid4()), text="头痛2天，恶心")
    first = stub.Diagnose(request, timeout=10)
    again = stub.Diagnose(request, timeout=10)
    assert again.replayed and not first.replayed
    assert again.consultation == first.consultation
    request.text = "腹痛"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Diagnose(request, timeout=10)
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_medicines_are_found_by_pinyin_initials_english_and_code(channel):
    pb, stub = prescription(channel)
    for query in ["阿莫西林", "amoxilin", "amxl", "Amoxicillin"]:
        found = stub.SearchMedicines(pb.SearchMedicinesRequest(query=query), timeout=10).matches
        assert any("阿莫西林" in m.medicine.name for m in found[:5]), query
    code = found[0].medicine.code
    assert stub.GetMedicine(pb.GetMedicineRequest(code=code), timeout=10).medicine.code == code


def test_health_serves_and_reflection_lists_every_service(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "xiangyi.diagnosis.v1.DiagnosisService"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"xiangyi.diagnosis.v1.DiagnosisService", "xiangyi.node.v1.NodeService",
            "xiangyi.prescription.v1.PrescriptionService", "xiangyi.treatment.v1.TreatmentService",
            "xiangyi.model.v1.ModelService",
            "grpc.health.v1.Health"} <= services


def test_models_and_node_tell_what_they_are(channel, request):
    from xiangyi.model.v1 import model_pb2, model_pb2_grpc
    from xiangyi.node.v1 import node_pb2, node_pb2_grpc

    (model,) = model_pb2_grpc.ModelServiceStub(channel).ListModels(
        model_pb2.ListModelsRequest(), timeout=10).models
    engine = request.node.callspec.params["node"]
    assert model.model_id == "gp-differential" and model.engine.startswith(engine)
    info = node_pb2_grpc.NodeServiceStub(channel).GetNodeInfo(
        node_pb2.GetNodeInfoRequest(), timeout=10)
    assert {k.area for k in info.knowledge} == {"diagnosis", "prescription", "treatment",
                                               "imaging", "records"}
    assert info.store.startswith("sqlite")


def test_the_client_of_the_readme_runs(node, stubs):
    import os
    import pathlib
    import subprocess
    import sys

    root = pathlib.Path(__file__).resolve().parents[2]
    shown = subprocess.run(
        [sys.executable, root / "examples/client.py", node], check=True, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(stubs)}).stdout
    assert "%" in shown and len(shown.splitlines()) >= 3


def test_an_interview_runs_over_one_stream_and_ends_with_a_consultation(channel):
    pb, stub = diagnosis(channel)
    steps = queue.SimpleQueue()
    steps.put(pb.InterviewRequest(start=pb.InterviewStart(
        consultation=pb.DiagnoseRequest(patient=patient(age_years=30, sex=1), text="腹痛"),
        question_count_max=4)))
    asked = []
    for reply in stub.Interview(iter(steps.get, None), timeout=20):
        if reply.HasField("consultation"):
            steps.put(None)
            consultation = reply.consultation
            continue
        asked.append(reply.question.finding_id)
        steps.put(pb.InterviewRequest(answer=pb.InterviewAnswer(
            finding_id=asked[-1], state=pb.FINDING_STATE_ABSENT)))
    assert 1 <= len(asked) <= 4
    assert set(asked) <= {f.finding_id for f in consultation.findings}
    assert consultation.triage.place != pb.CARE_PLACE_UNSPECIFIED


def treatment(channel):
    from xiangyi.treatment.v1 import treatment_pb2 as pb
    from xiangyi.treatment.v1 import treatment_pb2_grpc as rpc

    return pb, rpc.TreatmentServiceStub(channel)


def test_free_text_orders_are_read_and_doses_checked(channel):
    pb, stub = prescription(channel)
    request = pb.CheckPrescriptionRequest(
        diagnoses=["双相情感障碍"], order_texts=["碳酸锂片 5g tid po ×7天"], egfr=90.0
    )
    request.patient.age_years = 40
    check = stub.CheckPrescription(request, timeout=10).check
    assert check.lines[0].medicine_name == "碳酸锂" and check.lines[0].dose == "5g"
    dose = [f for f in check.findings if f.kind == pb.FINDING_KIND_SINGLE_DOSE]
    assert len(dose) == 1 and dose[0].action == pb.ACTION_STOP, check.findings
    assert "小数点" in dose[0].reason or "倍" in dose[0].reason
    assert dose[0].review_code == "2-5" and dose[0].source


def test_a_review_streams_answers_and_ends_with_statistics(channel):
    pb, stub = prescription(channel)

    def prescriptions():
        for n in range(300):
            yield pb.ReviewPrescriptionsRequest(
                prescription_id=str(n),
                prescription=pb.CheckPrescriptionRequest(
                    diagnoses=["高血压"],
                    lines=[pb.OrderLine(name="氨氯地平片", days=28.0)],
                ),
            )

    replies = list(stub.ReviewPrescriptions(prescriptions(), timeout=60))
    assert [r.reviewed.prescription_id for r in replies[:-1]] == [str(n) for n in range(300)]
    statistics = replies[-1].statistics
    assert statistics.prescription_count == 300 and statistics.rational_share == 1.0, statistics


def test_an_override_is_remembered_and_explained(channel):
    pb, stub = prescription(channel)
    request = pb.CheckPrescriptionRequest(
        diagnoses=["扁桃体炎"],
        lines=[pb.OrderLine(name="阿莫西林胶囊", days=3.0)],
        allergies=[pb.Allergy(name="青霉素")],
    )
    request.patient.reference = "python-override"
    check = stub.CheckPrescription(request, timeout=10).check
    finding = next(f for f in check.findings if f.kind == pb.FINDING_KIND_ALLERGY)
    stub.RecordOverride(
        pb.RecordOverrideRequest(
            check_id=check.check_id, finding_id=finding.finding_id, reason="曾多次使用无反应"
        ),
        timeout=10,
    )
    again = stub.CheckPrescription(request, timeout=10).check
    same = next(f for f in again.findings if f.finding_id == finding.finding_id)
    assert same.overridden_before.reason == "曾多次使用无反应"
    told = stub.ExplainFinding(
        pb.ExplainFindingRequest(check_id=again.check_id, finding_id=finding.finding_id), timeout=10
    )
    assert told.table.endswith(".csv") and told.citation and told.status == "draft"
    assert len(told.overrides) == 1


def test_a_plan_has_checked_medicines_and_a_calculator_its_paper(channel):
    pb, stub = treatment(channel)
    request = pb.RecommendPlanRequest(diagnoses=["2型糖尿病"], egfr=85.0)
    request.patient.age_years = 55
    request.patient.sex = 1
    request.numbers["hba1c"] = 8.4
    answer = stub.RecommendPlan(request, timeout=10).recommendation
    assert answer.plans and answer.plans[0].medicines, answer
    assert any("二甲双胍" in m.name for p in answer.plans for m in p.medicines)
    assert all(m.source for p in answer.plans for m in p.medicines)
    score = stub.Calculate(
        pb.CalculateRequest(
            name="ckd_epi_2021",
            inputs={"creatinine_umol_l": 88.4, "age_years": 60, "female": 1},
        ),
        timeout=10,
    )
    assert 60 < score.value < 70 and "Inker" in score.source


def test_a_plan_without_a_question_names_the_field(channel):
    pb, stub = treatment(channel)
    with pytest.raises(grpc.RpcError) as failed:
        stub.RecommendPlan(pb.RecommendPlanRequest(), timeout=10)
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
