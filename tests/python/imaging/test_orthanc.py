"""Orthanc and the node, each as client and as server of the other."""

import io
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pydicom
import pytest
from conftest import FILES, TITLE, Node, free_port

CT = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
US = FILES / "pydicom-data/US1_J2KR.dcm"


class Orthanc:
    """Debian's Orthanc with an empty database, that knows the node as a modality."""

    def __init__(self, folder, node_port, title=TITLE):
        self.http, self.dicom = free_port(), free_port()
        config = folder / "orthanc.json"
        config.write_text(json.dumps({
            "Name": "peer", "StorageDirectory": str(folder / "orthanc"),
            "IndexDirectory": str(folder / "orthanc"), "Plugins": [],
            "HttpPort": self.http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomAet": "ORTHANC", "DicomPort": self.dicom, "DicomCheckCalledAet": True,
            "DicomModalities": {"node": [title, "127.0.0.1", node_port]},
            "SynchronousCMove": True, "DicomAlwaysAllowMove": True, "DefaultEncoding": "Utf8",
        }), encoding="utf-8")
        path = shutil.which("Orthanc")
        assert path, "Orthanc is missing: scripts/test installs it"
        self.process = subprocess.Popen([path, config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.ask("/system")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError("Orthanc does not start")

    def ask(self, path, body=None, raw=False):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return content if raw else json.loads(content)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture
def pair(tmp_path):
    """A node and an Orthanc that know each other."""
    node_port = free_port()
    folder = tmp_path / "node"
    folder.mkdir()
    orthanc = Orthanc(tmp_path, node_port)
    node = Node(folder, f"""
[[dicom.peers]]
ae_title = "ORTHANC"
address = "127.0.0.1:{orthanc.dicom}"
services = ["echo", "store", "find", "retrieve"]
[[dicom.peers]]
ae_title = "STORESCU"
services = ["store"]
[[dicom.peers]]
ae_title = "MOVESCU"
services = ["find", "retrieve"]
""", dicom=f'listen = "127.0.0.1:{node_port}"\n')
    yield node, orthanc
    node.stop()
    orthanc.stop()


def test_orthanc_stores_into_the_node_and_gets_back_by_move(pair, dcmtk):
    node, orthanc = pair
    assert orthanc.ask("/modalities/node/echo", {}) == {}
    sent = [orthanc.ask("/instances", path.read_bytes())["ID"] for path in (CT, US)]
    result = orthanc.ask("/modalities/node/store", {"Resources": sent, "Synchronous": True})
    assert result["FailedInstancesCount"] == 0 and result["InstancesCount"] == 2
    for path in (CT, US):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        study = orthanc.ask("/tools/lookup", str(header.StudyInstanceUID).encode())[0]["ID"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{orthanc.http}/studies/{study}", method="DELETE")
        urllib.request.urlopen(request, timeout=60).close()
    assert orthanc.ask("/instances") == []
    query = orthanc.ask("/modalities/node/query", {
        "Level": "Study", "Query": {"PatientID": "*", "StudyInstanceUID": ""}})["ID"]
    assert len(orthanc.ask(f"/queries/{query}/answers")) == 2
    done = orthanc.ask(f"/queries/{query}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    assert done is not None
    assert len(orthanc.ask("/instances")) == 2
    for path in (CT, US):
        image = pydicom.dcmread(path)
        instance = orthanc.ask("/tools/lookup", str(image.SOPInstanceUID).encode())[0]["ID"]
        back = orthanc.ask(f"/instances/{instance}/file", raw=True)
        got = pydicom.dcmread(io.BytesIO(back))
        assert got.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID
        assert got.PixelData == image.PixelData


def test_the_node_takes_what_orthanc_moves_to_it(pair, dcmtk):
    node, orthanc = pair
    orthanc.ask("/instances", CT.read_bytes())
    header = pydicom.dcmread(CT, stop_before_pixels=True)
    dcmtk("movescu", "-S", "-aec", "ORTHANC", "-aet", "MOVESCU", "-aem", TITLE,
          "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={header.StudyInstanceUID}",
          "127.0.0.1", orthanc.dicom)
    _, output = dcmtk("findscu", "-S", "-aet", "MOVESCU", "-aec", TITLE,
                      "-k", "QueryRetrieveLevel=STUDY",
                      "-k", f"StudyInstanceUID={header.StudyInstanceUID}", "-k", "PatientID",
                      node.host, node.port)
    assert str(header.PatientID) in output
