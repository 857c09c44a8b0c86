"""Modality worklist and performed procedure steps: DCMTK's findscu and pynetdicom, as modalities
use them."""

import json
import subprocess

import pytest
from conftest import BINARY, TITLE, Node
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)

STUDY = "1.2.826.0.1.3680043.2.1"

ITEMS = [
    {"step_id": "S1", "patient_name": "Zhang^San=张^三", "patient_id": "P1",
     "patient_birth_date": "19700203", "patient_sex": "M", "accession_number": "A1",
     "study_instance_uid": STUDY, "requested_procedure_id": "R1",
     "requested_procedure_description": "头颅平扫", "procedure_code_value": "CT001",
     "procedure_code_scheme": "99LOCAL", "procedure_code_meaning": "头颅平扫",
     "modality": "CT", "station_ae_title": "CT01", "start_date": "20260105",
     "start_time": "103000", "performing_physician": "李^四", "step_description": "头颅"},
    {"step_id": "S2", "patient_name": "王^五", "patient_id": "P2", "accession_number": "A2",
     "requested_procedure_id": "R2", "modality": "MR", "station_ae_title": "MR01",
     "start_date": "20260106", "start_time": "0900"},
]

PEERS = """
[[dicom.peers]]
ae_title = "GB"
services = ["worklist", "mpps"]
character_set = "GB18030"
[[dicom.peers]]
ae_title = "UTF"
services = ["worklist", "mpps"]
[[dicom.peers]]
ae_title = "FINDSCU"
services = ["worklist"]
[[dicom.peers]]
ae_title = "ARCHIVE"
services = ["echo", "store"]
"""


def worklist(node, *arguments, ok=True):
    done = subprocess.run([BINARY, "worklist", arguments[0], "--config", node.config,
                           *map(str, arguments[1:])],
                          capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def states(node):
    return {i["step_id"]: i["state"] for i in json.loads(worklist(node, "list", "--json"))}


@pytest.fixture
def planned(tmp_path):
    running = Node(tmp_path, PEERS)
    items = tmp_path / "items.json"
    items.write_text(json.dumps(ITEMS, ensure_ascii=False), encoding="utf-8")
    assert "2 examinations are planned" in worklist(running, "add", items)
    yield running
    if running.process.poll() is None:
        running.stop()


class Modality:
    def __init__(self, node, title, *classes):
        ae = AE(ae_title=title)
        for sop_class in classes or (ModalityWorklistInformationFind,
                                     ModalityPerformedProcedureStep):
            ae.add_requested_context(sop_class)
        self.association = ae.associate(node.host, node.port, ae_title=TITLE)

    def __enter__(self):
        assert self.association.is_established
        return self.association

    def __exit__(self, *_):
        if self.association.is_established:
            self.association.release()


def question(**step):
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID",
                    "RequestedProcedureID", "RequestedProcedureDescription", "PatientSex"):
        setattr(asked, keyword, "")
    asked.RequestedProcedureCodeSequence = []
    inside = Dataset()
    for keyword in ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate",
                    "ScheduledProcedureStepStartTime", "ScheduledPerformingPhysicianName",
                    "ScheduledProcedureStepDescription", "ScheduledProcedureStepID",
                    "ScheduledProcedureStepStatus"):
        setattr(inside, keyword, step.get(keyword, ""))
    asked.ScheduledProcedureStepSequence = [inside]
    return asked


def ask(association, asked):
    answers = list(association.send_c_find(asked, ModalityWorklistInformationFind))
    assert answers[-1][0].Status == 0x0000, answers[-1]
    return [dataset for status, dataset in answers[:-1]]


@pytest.mark.parametrize(("title", "term"), [("GB", "GB18030"), ("UTF", "ISO_IR 192")])
def test_a_modality_reads_chinese_in_its_character_set(planned, title, term):
    with Modality(planned, title) as association:
        answers = ask(association, question(Modality="CT"))
        assert len(answers) == 1
        answer = answers[0]
        assert answer.SpecificCharacterSet == term
        assert str(answer.PatientName) == "Zhang^San=张^三"
        assert answer.RequestedProcedureDescription == "头颅平扫"
        assert answer.RequestedProcedureCodeSequence[0].CodeMeaning == "头颅平扫"
        step = answer.ScheduledProcedureStepSequence[0]
        assert str(step.ScheduledPerformingPhysicianName) == "李^四"
        assert step.ScheduledProcedureStepStatus == "SCHEDULED"
        assert step.ScheduledProcedureStepStartTime == "103000"
        by_name = question()
        by_name.PatientName = "张三"
        assert [a.PatientID for a in ask(association, by_name)] == ["P1"]
        assert {a.PatientID for a in ask(association, question())} == {"P1", "P2"}
        dates = question(ScheduledProcedureStepStartDate="20260106-20260107")
        assert [a.PatientID for a in ask(association, dates)] == ["P2"]
        assert ask(association, question(ScheduledStationAETitle="US01")) == []


def test_findscu_reads_the_worklist(planned, dcmtk):
    _, output = dcmtk("findscu", "-W", "-aet", "FINDSCU", "-aec", TITLE, "-k", "PatientName",
                      "-k", "AccessionNumber",
                      "-k", "ScheduledProcedureStepSequence[0].Modality=CT",
                      "-k", "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
                      planned.host, planned.port)
    assert "A1" in output and "A2" not in output
    assert "20260105" in output


def test_a_bad_key_is_refused_with_the_attribute(planned):
    with Modality(planned, "UTF") as association:
        bad = question(ScheduledProcedureStepStartDate="20261301")
        answers = list(association.send_c_find(bad, ModalityWorklistInformationFind))
        assert [s.Status for s, _ in answers] == [0xA900]
        assert "(0040,0002)" in answers[0][0].ErrorComment.upper()
        # Still alive.
        assert len(ask(association, question())) == 2


def test_peers_without_the_service_are_not_served(planned):
    ae = AE(ae_title="ARCHIVE")
    ae.add_requested_context(ModalityWorklistInformationFind)
    ae.add_requested_context(ModalityPerformedProcedureStep)
    association = ae.associate(planned.host, planned.port, ae_title=TITLE)
    assert not association.is_established or association.accepted_contexts == []
    if association.is_established:
        association.release()
    stranger = AE(ae_title="NOBODY")
    stranger.add_requested_context(ModalityWorklistInformationFind)
    association = stranger.associate(planned.host, planned.port, ae_title=TITLE)
    assert association.is_rejected


def begun(**changes):
    step = Dataset()
    step.SpecificCharacterSet = "GB18030"
    step.Modality = "CT"
    step.PatientName, step.PatientID = "张^三", "P1"
    step.PatientBirthDate, step.PatientSex = "", ""
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "CT01"
    step.PerformedProcedureStepStartDate = "20260105"
    step.PerformedProcedureStepStartTime = "103500"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedSeriesSequence = []
    scheduled = Dataset()
    scheduled.StudyInstanceUID = STUDY
    scheduled.ScheduledProcedureStepID = "S1"
    scheduled.AccessionNumber = "A1"
    step.ScheduledStepAttributesSequence = [scheduled]
    for keyword, value in changes.items():
        if value is None:
            delattr(step, keyword)
        else:
            setattr(step, keyword, value)
    return step


def ended(status="COMPLETED", **changes):
    step = Dataset()
    step.PerformedProcedureStepStatus = status
    step.PerformedProcedureStepEndDate = "20260105"
    step.PerformedProcedureStepEndTime = "104500"
    series = Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ProtocolName = "HEAD"
    series.ReferencedImageSequence = []
    step.PerformedSeriesSequence = [series]
    for keyword, value in changes.items():
        if value is None:
            delattr(step, keyword)
        else:
            setattr(step, keyword, value)
    return step


MPPS = ModalityPerformedProcedureStep


def test_a_performed_step_moves_its_item_from_scheduled_to_completed(planned):
    uid = generate_uid()
    with Modality(planned, "GB") as association:
        status, _ = association.send_n_create(begun(), MPPS, uid)
        assert status.Status == 0x0000
        assert states(planned) == {"S1": "IN_PROGRESS", "S2": "SCHEDULED"}
        answers = ask(association, question(Modality="CT"))
        step = answers[0].ScheduledProcedureStepSequence[0]
        assert step.ScheduledProcedureStepStatus == "STARTED"
        # What is kept survives the node.
        planned.kill()
        planned.start()
    with Modality(planned, "GB") as association:
        status, _ = association.send_n_set(ended(), MPPS, uid)
        assert status.Status == 0x0000
        assert states(planned)["S1"] == "COMPLETED"
        assert ask(association, question(Modality="CT")) == []
        status, _ = association.send_n_set(ended(), MPPS, uid)
        assert status.Status == 0x0110
        assert status.ErrorID == 0xA710


def test_reports_that_cannot_be_are_refused_with_their_status(planned):
    uid = generate_uid()
    with Modality(planned, "UTF") as association:
        def create(**changes):
            return association.send_n_create(begun(**changes), MPPS, uid)[0].Status

        def change(dataset, of=uid):
            return association.send_n_set(dataset, MPPS, of)[0].Status

        assert create(PerformedProcedureStepStatus="COMPLETED") == 0x0106
        assert create(PerformedProcedureStepID=None) == 0x0120
        assert create(PerformedProcedureStepID="") == 0x0121
        assert create(ScheduledStepAttributesSequence=None) == 0x0120
        assert create() == 0x0000
        assert create() == 0x0111
        assert change(ended(), generate_uid()) == 0x0112
        assert change(ended(status="DONE")) == 0x0106
        assert change(ended(PerformedSeriesSequence=None)) in (0x0120, 0x0121)
        assert change(ended(PerformedProcedureStepEndTime=None)) == 0x0120
        assert states(planned)["S1"] == "IN_PROGRESS"
        assert change(ended(status="DISCONTINUED", PatientID="P9")) == 0x0107
        assert states(planned)["S1"] == "DISCONTINUED"


def test_a_step_without_a_uid_is_given_one(planned):
    with Modality(planned, "UTF") as association:
        # pynetdicom insists on a UID in the request but not in the answer it reads.
        from pynetdicom.dimse_primitives import N_CREATE
        from io import BytesIO
        from pynetdicom.dsutils import encode
        request = N_CREATE()
        request.MessageID = 7
        request.AffectedSOPClassUID = MPPS
        context = next(c for c in association.accepted_contexts if c.abstract_syntax == MPPS)
        implicit = context.transfer_syntax[0].is_implicit_VR
        request.AttributeList = BytesIO(encode(begun(), implicit, True))
        association._reactor_checkpoint.clear()
        while not association._is_paused:
            pass
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert answer.Status == 0x0000
        assert answer.AffectedSOPInstanceUID.startswith("2.25.")


def test_the_command_line_takes_csv_replaces_cancels_and_refuses(planned, tmp_path):
    table = tmp_path / "items.csv"
    table.write_text("step_id,patient_id,patient_name,modality,start_date,start_time\n"
                     "S2,P2,王^五,MR,20260107,1000\nS3,P3,赵^六,US,20260108,1100\n",
                     encoding="utf-8-sig")
    assert "2 examinations are planned" in worklist(planned, "add", table)
    listed = {i["step_id"]: i for i in json.loads(worklist(planned, "list", "--json"))}
    assert listed["S2"]["start_date"] == "20260107"
    assert listed["S3"]["study_instance_uid"].startswith("2.25.")
    assert "1 examinations are cancelled" in worklist(planned, "cancel", "S3", "S9")
    assert states(planned)["S3"] == "CANCELLED"
    with Modality(planned, "UTF") as association:
        assert {a.PatientID for a in ask(association, question())} == {"P1", "P2"}
    table.write_text("step_id,patient_id,modality,start_date,start_time\nS4,P4,CT,never,1000\n",
                     encoding="utf-8")
    output = worklist(planned, "add", table, ok=False)
    assert "items[0].start_date must be a date" in output
    assert "S4" not in states(planned)
    table.write_text("step_id,foot\nS5,x\n", encoding="utf-8")
    assert "foot" in worklist(planned, "add", table, ok=False)
    # A node that is stopped does not matter.
    planned.stop()
    assert "S1" in worklist(planned, "list", "--from", "20260101", "--to", "20260105")
