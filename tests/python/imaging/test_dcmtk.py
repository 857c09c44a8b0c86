"""DCMTK's tools, unchanged, against the DICOM door."""

import subprocess

import pydicom
from conftest import TITLE, Node, free_port

CT = "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"


def test_echo(node, dcmtk):
    dcmtk("echoscu", "-aec", TITLE, node.host, node.port)


def test_a_wrong_called_title_is_rejected_with_the_reason(node, dcmtk):
    code, output = dcmtk("echoscu", "-aec", "SOMEBODY", node.host, node.port, ok=False)
    assert code != 0 and "Called AE Title Not Recognized" in output


def test_store_and_get_back(node, dcmtk, files, tmp_path):
    dcmtk("storescu", "-aec", TITLE, node.host, node.port, files(CT))
    header = pydicom.dcmread(files(CT))
    dcmtk("getscu", "-S", "-aec", TITLE, "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY",
          "-k", f"StudyInstanceUID={header.StudyInstanceUID}", node.host, node.port)
    got = [pydicom.dcmread(path) for path in tmp_path.glob("CT*")]
    assert len(got) == 1
    assert got[0].PixelData == header.PixelData


def test_find_study_level(node, dcmtk, files):
    dcmtk("storescu", "-aec", TITLE, node.host, node.port, files(CT))
    header = pydicom.dcmread(files(CT), stop_before_pixels=True)
    _, output = dcmtk("findscu", "-S", "-aec", TITLE, "-k", "QueryRetrieveLevel=STUDY",
                      "-k", f"PatientID={header.PatientID}", "-k", "StudyInstanceUID",
                      "-k", "ModalitiesInStudy", "-k", "NumberOfStudyRelatedInstances",
                      node.host, node.port)
    assert header.StudyInstanceUID in output
    assert "[CT]" in output
    assert "[1 ]" in output


def test_move_to_a_dcmtk_receiver(tmp_path, dcmtk, files):
    port = free_port()
    received = tmp_path / "received"
    received.mkdir()
    receiver = subprocess.Popen(["storescp", "-od", str(received), "-aet", "SINK", str(port)])
    node = Node(tmp_path, f"""
[[dicom.peers]]
ae_title = "SINK"
address = "127.0.0.1:{port}"
services = ["echo"]
[[dicom.peers]]
ae_title = "STORESCU"
services = ["echo", "store"]
[[dicom.peers]]
ae_title = "MOVESCU"
services = ["find", "retrieve"]
""")
    try:
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, files(CT))
        header = pydicom.dcmread(files(CT), stop_before_pixels=True)
        _, output = dcmtk("movescu", "-v", "-S", "-aec", TITLE, "-aem", "SINK",
                          "-k", "QueryRetrieveLevel=STUDY",
                          "-k", f"StudyInstanceUID={header.StudyInstanceUID}",
                          node.host, node.port)
        got = list(received.iterdir())
        assert len(got) == 1, output
        code, output = dcmtk("movescu", "-v", "-S", "-aec", TITLE, "-aem", "NOWHERE",
                             "-k", "QueryRetrieveLevel=STUDY",
                             "-k", f"StudyInstanceUID={header.StudyInstanceUID}",
                             node.host, node.port, ok=False)
        assert "Refused: MoveDestinationUnknown" in output.replace(" ", "").replace(
            "Refused:", "Refused: ") or "0xa801" in output.lower()
    finally:
        receiver.terminate()
        receiver.wait(timeout=10)
        node.stop()


def test_every_storage_class_that_dcmtk_proposes_is_accepted(node, dcmtk):
    """storescu proposes all it knows; the answer is printed context by context."""
    _, output = dcmtk("echoscu", "-d", "-ppc", "20", "-pts", "10", "-aec", TITLE, node.host,
                      node.port)
    assert "Accepted" in output
