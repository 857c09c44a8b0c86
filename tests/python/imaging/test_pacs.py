"""A PACS behind a hospital's node: Orthanc and DCMTK's dcmqrscp, asked by C-FIND and brought from
by C-GET and by C-MOVE; and a PACS by pynetdicom that misbehaves."""

import contextlib
import datetime
import hashlib
import json
import shutil
import subprocess
import threading
import time

import pydicom
import pytest
import requests
from conftest import BINARY, FILES, Node, free_port
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)
from test_orthanc import Orthanc

CT = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
US = FILES / "pydicom-data/US1_J2KR.dcm"
TOKEN = "link-token-of-county"
PATIENT, NAME, BORN = "P77", "王^小东", "19600131"


def today():
    """In Beijing, where the node counts its days."""
    return (datetime.datetime.now(datetime.timezone.utc)
            + datetime.timedelta(hours=8)).strftime("%Y%m%d")


def study(folder, sources):
    """Files of one new study of today, of a patient with a Chinese name."""
    uid, paths = generate_uid(), []
    for number, source in enumerate(sources):
        image = pydicom.dcmread(source)
        image.SpecificCharacterSet = "ISO_IR 192"
        image.PatientName, image.PatientID, image.PatientBirthDate = NAME, PATIENT, BORN
        image.StudyDate, image.StudyInstanceUID = today(), uid
        image.StudyDescription = "颅脑CT平扫"
        image.SeriesInstanceUID, image.SOPInstanceUID = generate_uid(), generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        path = folder / f"{number}.dcm"
        image.save_as(path)
        paths.append(path)
    return uid, paths


class Dcmqrscp:
    """DCMTK's archive, that knows the county's AE title."""

    def __init__(self, folder, county_port):
        self.dicom = free_port()
        store = folder / "dcmqrscp"
        store.mkdir()
        config = folder / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {self.dicom}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\ncounty = (COUNTY, 127.0.0.1, {county_port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nORTHANC {store} RW (200, 1024mb) ANY\nAETable END\n",
            encoding="ascii")
        path = shutil.which("dcmqrscp")
        assert path, "dcmqrscp is missing: scripts/test installs DCMTK"
        self.process = subprocess.Popen([path, "-c", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def region(tmp_path, pacs_port, county_port, retrieve):
    """A hub, and a county hospital with a PACS behind its node."""
    link = free_port()
    folders = [tmp_path / name for name in ("hub", "county")]
    for folder in folders:
        folder.mkdir()
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    hub = Node(folders[0], '[web]\nlisten = "127.0.0.1:0"\n'
               '[node]\nname = "hub"\nrole = "hub"\n'
               f'[link]\nlisten = "127.0.0.1:{link}"\n'
               f'[[link.nodes]]\nname = "county"\ntoken_sha256 = "{digest}"\n')
    token = folders[1] / "token"
    token.write_text(TOKEN + "\n", encoding="ascii")
    county = Node(folders[1], f"""
[[dicom.peers]]
ae_title = "ORTHANC"
address = "127.0.0.1:{pacs_port}"
services = ["store"]
[[imaging.pacs]]
ae_title = "ORTHANC"
retrieve = "{retrieve}"
every_s = 1
whole_every_s = 1
[node]
name = "county"
role = "hospital"
[link]
hub = "http://127.0.0.1:{link}"
token_file = "{token}"
""", dicom=f'listen = "127.0.0.1:{county_port}"\nae_title = "COUNTY"\n')
    return hub, county


@contextlib.contextmanager
def bad_region(tmp_path, behave):
    """A region whose county has a PACS with one study, that does not give it as it should."""
    uid, paths = study(tmp_path, [CT])
    pacs = BadPacs(uid, pydicom.dcmread(paths[0]), behave)
    hub, county = region(tmp_path, pacs.dicom, free_port(), "get")
    try:
        yield uid, pacs, hub, county
    finally:
        county.stop()
        hub.stop()
        pacs.stop()


def imaging(node, *arguments):
    return subprocess.run([BINARY, "imaging", arguments[0], "--server", f"http://{node.grpc}",
                           "--timeout", "60", *arguments[1:]],
                          capture_output=True, text=True, timeout=90, check=False)


def find(node, until=lambda study: True, name="王小东"):
    """The patient's one study in the region, once it is as it should be."""
    for _ in range(300):
        done = imaging(node, "search", "--everywhere", "--name", name, "--born", "1960-01-31",
                       "--json")
        assert done.returncode == 0, done.stderr
        studies = json.loads(done.stdout).get("studies", [])
        if len(studies) == 1 and until(studies[0]):
            return studies[0]
        time.sleep(0.2)
    raise AssertionError(f"not found: {done.stdout}")


def places(found):
    return [(place["node"], place["availability"]) for place in found["places"]]


def fetch(node, uid):
    done = imaging(node, "fetch", uid, "--purpose", "treatment", "--json")
    return done.returncode, (json.loads(done.stdout) if done.returncode == 0 else done.stderr)


def given(node, uid):
    """The objects of a study as the node gives them, by SOP instance UID."""
    answer = requests.get(
        f"http://{node.web}/dicom-web/studies/{uid}", timeout=60,
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    assert answer.status_code == 200, answer.text
    boundary = answer.headers["Content-Type"].split("boundary=")[1].split(";")[0].strip('"')
    objects = {}
    for part in answer.content.split(b"--" + boundary.encode()):
        if b"\r\n\r\n" in part:
            body = part.split(b"\r\n\r\n", 1)[1]
            image = pydicom.dcmread(pydicom.filebase.DicomBytesIO(body[:-2]))
            objects[str(image.SOPInstanceUID)] = image
    return objects


@pytest.mark.parametrize("retrieve", ["get", "move"])
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_a_study_in_the_pacs_is_found_by_the_hub_and_brought_when_it_asks(
        tmp_path, dcmtk, kind, retrieve):
    county_port = free_port()
    # dcmqrscp gives what is compressed only to who asks it so for every association.
    sources = [CT, CT, CT, US] if kind == "orthanc" else [CT, CT, CT]
    uid, paths = study(tmp_path, sources)
    if kind == "orthanc":
        pacs = Orthanc(tmp_path, county_port, title="COUNTY")
        for path in paths:
            pacs.ask("/instances", path.read_bytes())
    else:
        pacs = Dcmqrscp(tmp_path, county_port)
        time.sleep(1)
        dcmtk("storescu", "-aec", "ORTHANC", "127.0.0.1", pacs.dicom, *paths)
    hub, county = region(tmp_path, pacs.dicom, county_port, retrieve)
    try:
        found = find(hub, lambda s: s["instance_count"] == str(len(paths)))
        assert places(found) == [("county", "AVAILABILITY_NEARLINE")]
        assert found["examination"]["types"][0]["examination_id"] == "ct.brain.plain"
        # The name is found by its sound too.
        find(hub, name="wang xiao dong")
        code, fetched = fetch(hub, uid)
        assert code == 0, fetched
        assert fetched["node"] == "county" and fetched["kept_count"] == str(len(paths)), fetched
        objects = given(hub, uid)
        assert len(objects) == len(paths)
        for path in paths:
            image = pydicom.dcmread(path)
            got = objects[str(image.SOPInstanceUID)]
            assert got.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID
            assert got.PixelData == image.PixelData
            assert str(got.PatientName) == NAME
        find(hub, lambda s: ("county", "AVAILABILITY_ONLINE") in places(s))
        for node in (hub, county):
            log = node.log.read_text(encoding="utf-8")
            assert "小东" not in log and PATIENT not in log
    finally:
        county.stop()
        hub.stop()
        pacs.stop()


class BadPacs:
    """Answers C-FIND rightly and C-GET as `behave` says."""

    def __init__(self, uid, image, behave):
        self.uid, self.image, self.behave, self.dicom = uid, image, behave, free_port()
        self.asked = threading.Event()
        ae = AE(ae_title="ORTHANC")
        for context in (Verification, StudyRootQueryRetrieveInformationModelFind,
                        StudyRootQueryRetrieveInformationModelGet):
            ae.add_supported_context(context)
        for context in StoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, ExplicitVRLittleEndian,
                                     scu_role=True, scp_role=True)
        self.server = ae.start_server(
            ("127.0.0.1", self.dicom), block=False,
            evt_handlers=[(evt.EVT_C_FIND, self.find), (evt.EVT_C_GET, self.get)])

    def find(self, event):
        answer, asked = pydicom.Dataset(), event.identifier
        answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
        answer.SpecificCharacterSet = "ISO_IR 192"
        image = self.image
        if asked.QueryRetrieveLevel == "STUDY":
            if asked.StudyDate != image.StudyDate:
                return
            for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate",
                         "StudyInstanceUID", "StudyDescription"):
                setattr(answer, name, getattr(image, name))
            answer.NumberOfStudyRelatedInstances = 2
            answer.ModalitiesInStudy = "CT"
        elif asked.QueryRetrieveLevel == "SERIES":
            answer.SeriesInstanceUID, answer.Modality = image.SeriesInstanceUID, "CT"
        else:
            answer.SOPClassUID, answer.SOPInstanceUID = CTImageStorage, image.SOPInstanceUID
        yield 0xFF00, answer

    def get(self, event):
        self.asked.set()
        yield from self.behave(self, event)

    def stop(self):
        self.server.shutdown()


def abort(pacs, event):
    yield 2
    yield 0xFF00, pacs.image
    event.assoc.abort()


def another_study(pacs, event):
    other = pydicom.dcmread(CT)
    other.SOPInstanceUID = generate_uid()
    yield 2
    yield 0xFF00, other
    yield 0xFF00, pacs.image


def refuse(pacs, event):
    yield 2
    yield 0xA702, None


@pytest.mark.parametrize("behave", [abort, refuse])
def test_a_pacs_that_does_not_give_what_it_told_is_said_to_be_out_of_reach(tmp_path, behave):
    with bad_region(tmp_path, behave) as (uid, pacs, _, county):
        find(county, lambda s: places(s) == [("county", "AVAILABILITY_NEARLINE")])
        code, message = fetch(county, uid)
        assert pacs.asked.is_set()
        assert code != 0 and "PACS" in message, message
        assert PATIENT not in message and "小东" not in message
        find(county)


def test_an_object_of_another_study_is_refused_and_the_rest_is_kept(tmp_path):
    with bad_region(tmp_path, another_study) as (uid, pacs, hub, county):
        find(hub, lambda s: places(s) == [("county", "AVAILABILITY_NEARLINE")])
        code, fetched = fetch(hub, uid)
        assert code == 0, fetched
        assert fetched["object_count"] == "1" and fetched["kept_count"] == "1", fetched
        assert list(given(hub, uid)) == [str(pacs.image.SOPInstanceUID)]
        assert "study instance UID of the data set is not" in county.log.read_text("utf-8")
        # What it cannot give is not asked for again and again.
        pacs.asked.clear()
        assert fetch(hub, uid)[0] == 0
        assert not pacs.asked.is_set()
