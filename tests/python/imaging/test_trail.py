"""Everything that DICOM and DICOMweb tell, take or change leaves an entry that says whose it is."""

import hashlib
import io
import json
import re
import sqlite3
import subprocess

import pytest
import requests
from conftest import BINARY, ROOT, TITLE, Node
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
DICOM = "application/dicom; transfer-syntax=*"


def image(patient, study, number=1):
    """A slice of 16 x 16."""
    slice_ = Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, f"{study}.1.{number}"
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, f"{study}.1"
    slice_.PatientID, slice_.PatientName = patient, f"Wang^{patient}"
    slice_.StudyDate, slice_.StudyTime, slice_.AccessionNumber = "20261120", "103000", ""
    slice_.ReferringPhysicianName, slice_.StudyID, slice_.Modality = "", "1", "CT"
    slice_.SeriesNumber, slice_.InstanceNumber = 1, number
    slice_.Rows = slice_.Columns = 16
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 12, 11
    slice_.PixelRepresentation = 0
    slice_.PixelData = bytes(range(256)) * 2
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = CTImageStorage
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
    return slice_


def written(slice_):
    out = io.BytesIO()
    slice_.save_as(out, enforce_file_format=True)
    return out.getvalue()


class Trail:
    """The entries of a node's trail since the last look."""

    def __init__(self, node):
        self.path = node.folder / "data" / "xiangyi.db"
        self.seen = 0
        self.new()

    def new(self):
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as database:
            rows = database.execute(
                "SELECT seq, caller, action, outcome, record_id, patient_reference, detail "
                "FROM audit WHERE seq > ? ORDER BY seq", (self.seen,)).fetchall()
        self.seen = rows[-1][0] if rows else self.seen
        return [row[1:] for row in rows]

    def says(self, caller, action, study, patient, count=None):
        """That there are such entries and no others."""
        new = self.new()
        assert new, f"{action}: nothing is in the trail"
        assert {row[:5] for row in new} == {(caller, action, "ok", study, patient)}, new
        assert count is None or len(new) == count, new
        return [row[5] for row in new]


@pytest.fixture
def node(tmp_path):
    storer = AE(ae_title="STORER")
    storer.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    server = storer.start_server(("127.0.0.1", 0), block=False,
                                 evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)])
    port = server.socket.getsockname()[1]
    rights = '"echo", "store", "find", "retrieve", "worklist", "mpps"'
    running = Node(tmp_path, f'''
[[dicom.peers]]
ae_title = "CT01"
services = [{rights}]
[[dicom.peers]]
ae_title = "STORER"
address = "127.0.0.1:{port}"
services = ["echo"]
''')
    yield running
    server.shutdown()
    if running.process.poll() is None:
        running.stop()


class Peer:
    def __init__(self, node, contexts, roles=(), handlers=()):
        ae = AE(ae_title="CT01")
        for sop_class in contexts:
            ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
        self.association = ae.associate(node.host, node.port, ae_title=TITLE,
                                        ext_neg=list(roles), evt_handlers=list(handlers))

    def __enter__(self):
        assert self.association.is_established
        return self.association

    def __exit__(self, *_):
        self.association.release()


def asked(level, **keys):
    question = Dataset()
    question.QueryRetrieveLevel = level
    for keyword, value in {"StudyInstanceUID": "", "PatientID": "", **keys}.items():
        setattr(question, keyword, value)
    return question


def test_what_dicom_peers_store_find_and_fetch_is_in_the_trail(node):
    trail, one, two = Trail(node), "1.2.826.1", "1.2.826.2"
    with Peer(node, [CTImageStorage]) as association:
        for slice_ in [image("P1", one), image("P1", one, 2), image("P2", two)]:
            assert association.send_c_store(slice_).Status == 0
    stored = trail.new()
    assert [row[:5] for row in stored] == [
        ("dicom:CT01", "store_images", "ok", one, "P1"),
        ("dicom:CT01", "store_images", "ok", two, "P2"),
    ], "one entry for each study of the association"

    def find(question, expected):
        with Peer(node, [FIND, PatientRootQueryRetrieveInformationModelFind]) as association:
            answers = list(association.send_c_find(question, FIND))
        assert answers[-1][0].Status == 0 and len(answers) - 1 == expected
    find(asked("STUDY"), 2)
    assert trail.says("dicom:CT01", "find_images", "", "", 1) == ["answers: 2"]
    find(asked("STUDY", PatientName="*P2"), 1)
    trail.says("dicom:CT01", "find_images", two, "P2", 1)
    find(asked("STUDY", PatientID="P9"), 0)
    assert trail.says("dicom:CT01", "find_images", "", "P9", 1) == ["answers: 0"]
    find(asked("IMAGE", StudyInstanceUID=one, SOPInstanceUID=""), 2)
    trail.says("dicom:CT01", "find_images", one, "P1", 1)

    def got(_):
        return 0x0000
    roles = [build_role(CTImageStorage, scp_role=True)]
    with Peer(node, [GET, CTImageStorage], roles, [(evt.EVT_C_STORE, got)]) as association:
        answers = list(association.send_c_get(asked("STUDY", StudyInstanceUID=one), GET))
    assert answers[-1][0].NumberOfCompletedSuboperations == 2
    trail.says("dicom:CT01", "retrieve_images", one, "P1", 1)
    with Peer(node, [MOVE]) as association:
        answers = list(association.send_c_move(asked("STUDY", StudyInstanceUID=two), "STORER", MOVE))
    assert answers[-1][0].NumberOfCompletedSuboperations == 1
    trail.says("dicom:CT01", "retrieve_images", two, "P2", 1)


def test_the_worklist_and_what_is_reported_of_it_are_in_the_trail(node, tmp_path):
    trail, study = Trail(node), generate_uid()
    items = [{"step_id": "S1", "patient_id": "P1", "patient_name": "Wang", "modality": "CT",
              "study_instance_uid": study, "start_date": "20260105", "start_time": "1030"},
             {"step_id": "S2", "patient_id": "P2", "patient_name": "Li", "modality": "MR",
              "start_date": "20260106", "start_time": "0900"}]
    path = tmp_path / "items.json"
    path.write_text(json.dumps(items), encoding="utf-8")

    def worklist(*arguments):
        subprocess.run([BINARY, "worklist", arguments[0], "--config", node.config, *arguments[1:]],
                       check=True, timeout=60, capture_output=True)
    worklist("add", path)
    assert [row[1:5] for row in trail.new()] == [
        ("plan_examinations", outcome, step, patient) for outcome in ("asked", "ok")
        for step, patient in (("S1", "P1"), ("S2", "P2"))]
    worklist("list")
    trail.says("command line", "read_worklist", "", "", 1)
    question = Dataset()
    question.PatientID, step = "", Dataset()
    step.Modality, step.ScheduledProcedureStepID = "MR", ""
    question.ScheduledProcedureStepSequence = [step]
    with Peer(node, [ModalityWorklistInformationFind]) as association:
        answers = list(association.send_c_find(question, ModalityWorklistInformationFind))
    assert len(answers) == 2
    trail.says("dicom:CT01", "read_worklist", "S2", "P2", 1)
    worklist("cancel", "S2")
    assert [row[1:5] for row in trail.new()] == [
        ("plan_examinations", "asked", "S2", "P2"), ("plan_examinations", "ok", "S2", "P2")]

    begun, scheduled = Dataset(), Dataset()
    begun.Modality, begun.PatientID, begun.PatientName = "CT", "P1", "Wang"
    begun.PatientBirthDate = begun.PatientSex = ""
    begun.PerformedProcedureStepID, begun.PerformedStationAETitle = "PPS1", "CT01"
    begun.PerformedProcedureStepStartDate = "20260105"
    begun.PerformedProcedureStepStartTime = "103500"
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    begun.PerformedSeriesSequence = []
    scheduled.StudyInstanceUID, scheduled.ScheduledProcedureStepID = study, "S1"
    begun.ScheduledStepAttributesSequence = [scheduled]
    changed = Dataset()
    changed.PerformedProcedureStepDescription = "head"
    uid = generate_uid()
    with Peer(node, [ModalityPerformedProcedureStep]) as association:
        status, _ = association.send_n_create(begun, ModalityPerformedProcedureStep, uid)
        assert status.Status == 0
        trail.says("dicom:CT01", "report_performed_steps", study, "P1", 1)
        status, _ = association.send_n_set(changed, ModalityPerformedProcedureStep, uid)
        assert status.Status == 0
        trail.says("dicom:CT01", "report_performed_steps", study, "P1", 1)


@pytest.fixture
def web(tmp_path):
    """A node with many callers, and each time another of them: what a caller looks on at is entered once
    a minute."""
    names = [f"d{number}" for number in range(100)]
    tokens = "".join(f'[[auth.tokens]]\nname = "{name}"\nrole = "village_doctor"\n'
                     f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n' for name in names)
    running = Node(tmp_path, f'[web]\nlisten = "127.0.0.1:0"\n{tokens}')
    running.base, left = f"http://{running.web}", iter(names)

    def ask(method, address, **headers):
        name = next(left)
        headers["Authorization"] = f"Bearer {name}"
        data = headers.pop("data", None)
        return name, requests.request(method, running.base + address, data=data, headers=headers,
                                      timeout=60)
    running.ask = ask
    yield running
    running.stop()


STOW = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=part',
        "Accept": "application/dicom+json"}


def parts(*slices):
    """The body of a request that stores."""
    begin = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(begin + written(slice_) + b"\r\n" for slice_ in slices) + b"--part--"


def resources(study):
    """Each route of the door: what is asked, as what it is given, and what that is in the trail."""
    below = f"/dicom-web/studies/{study}"
    series = f"{below}/series/{study}.1"
    instance = f"{series}/instances/{study}.1.1"
    wado = (f"/wado?requestType=WADO&studyUID={study}&seriesUID={study}.1"
            f"&objectUID={study}.1.1&contentType=")
    find, give = "find_images", "retrieve_images"
    return {
        "/studies": [(find, "/dicom-web/studies", None), (find, "/dicom-web/studies?PatientID=P1", None)],
        "/series": [(find, "/dicom-web/series", None), (find, f"{below}/series", None)],
        "/instances": [(find, "/dicom-web/instances", None), (find, f"{below}/instances", None),
                       (find, f"{series}/instances", None)],
        "/": [(give, below, None), (give, series, None), (give, instance, DICOM)],
        "/metadata": [(give, f"{at}/metadata", None) for at in (below, series, instance)],
        "/rendered": [(give, f"{at}/rendered", None) for at in (below, series, instance)],
        "/thumbnail": [(give, f"{at}/thumbnail", None) for at in (below, series, instance)],
        "/bulkdata/{*bulk}": [(give, f"{instance}/bulkdata/7FE00010", None)],
        "/frames/{frames}": [(give, f"{instance}/frames/1", None)],
        "/frames/{frames}/rendered": [(give, f"{instance}/frames/1/rendered", None)],
        "/frames/{frames}/thumbnail": [(give, f"{instance}/frames/1/thumbnail", None)],
        "/wado": [(give, wado + "application/dicom", None), (give, wado + "image/jpeg", None)],
    }


def test_every_resource_of_dicomweb_leaves_an_entry_also_where_nothing_changed(web):
    study = "1.2.826.1"
    find, give = "find_images", "retrieve_images"
    routes = resources(study)
    door = (ROOT / "src/web/dicomweb/mod.rs").read_text(encoding="utf-8")
    assert set(re.findall(r'\.route\("([^"]+)"', door)) == set(routes), "a route is missing here"
    trail = Trail(web)
    headers = dict(STOW, data=parts(image("P1", study), image("P1", study, 2)))
    name, answer = web.ask("POST", "/dicom-web/studies", **headers)
    assert answer.status_code == 200, answer.text
    trail.says(name, "store_images", study, "P1", 1)
    for action, address, accept in (one for all_ in routes.values() for one in all_):
        headers = {"Accept": accept} if accept else {}
        name, answer = web.ask("GET", address, **headers)
        assert answer.status_code == 200, (address, answer.status_code, answer.text)
        trail.says(name, action, study, "P1", 1)
        if action == give:
            headers["If-None-Match"] = answer.headers["ETag"]
            name, answer = web.ask("GET", address, **headers)
            assert answer.status_code == 304, (address, answer.status_code)
            trail.says(name, give, study, "P1", 1)
    name, answer = web.ask("GET", "/dicom-web/studies?PatientID=P9")
    assert answer.status_code == 204
    assert trail.says(name, find, "", "P9", 1) == ["answers: 0"]


def test_who_works_for_another_village_is_refused_by_every_resource(tmp_path):
    areas = {"township": "", "village": 'area = "361104204202"\n'}
    tokens = "".join(f'[[auth.tokens]]\nname = "{name}"\nrole = "village_doctor"\n{area}'
                     f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
                     for name, area in areas.items())
    place = '[node]\narea = "361104204"\n'
    node = Node(tmp_path, f'[web]\nlisten = "127.0.0.1:0"\n{place}{tokens}')
    try:
        study = "1.2.826.1"

        def ask(method, address, caller, data=None, **headers):
            headers["Authorization"] = f"Bearer {caller}"
            return requests.request(method, f"http://{node.web}{address}", data=data,
                                    headers=headers, timeout=60)
        stored = ask("POST", "/dicom-web/studies", "township",
                     parts(image("P1", study), image("P1", study, 2)), **STOW)
        assert stored.status_code == 200, stored.text
        trail = Trail(node)
        for action, address, accept in (one for all_ in resources(study).values() for one in all_):
            headers = {"Accept": accept} if accept else {}
            seen = ask("GET", address, "township", **headers)
            assert seen.status_code == 200, (address, seen.status_code)
            trail.new()
            if "ETag" in seen.headers:
                headers["If-None-Match"] = seen.headers["ETag"]
            answer = ask("GET", address, "village", **headers)
            if action == "find_images":
                assert (answer.status_code, answer.content) == (204, b""), address
            else:
                assert answer.status_code == 403, (address, answer.status_code)
                entries = [row[:5] for row in trail.new()]
                assert entries == [("village", action, "out_of_place", study, "P1")], address
    finally:
        node.stop()
