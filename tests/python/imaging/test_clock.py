"""A wall clock that jumps, as clocks do on boxes whose battery is empty until the network sets them:
`libfaketime` moves it for the node alone, forwards and backwards, while it works."""

import datetime
import glob

import pydicom
from conftest import FILES, TITLE, Node
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

CT = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/test installs faketime"
    return found[0]


def associate(node, image):
    ae = AE(ae_title="CT01")
    ae.add_requested_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_requested_context(Verification)
    association = ae.associate(node.host, node.port, ae_title=TITLE)
    assert association.is_established
    return association


def store(association, image):
    image.SOPInstanceUID = generate_uid()
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    assert association.send_c_store(image).Status == 0x0000
    return str(image.SOPInstanceUID)


def found(association, image):
    query = pydicom.Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = image.StudyInstanceUID
    query.SeriesInstanceUID = image.SeriesInstanceUID
    query.SOPInstanceUID = ""
    answers = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
    return {str(a.SOPInstanceUID) for status, a in answers if status.Status in (0xFF00, 0xFF01)}


def test_a_clock_that_jumps_loses_nothing_and_cuts_nobody_off(tmp_path, monkeypatch):
    jump = tmp_path / "clock"
    jump.write_text("+0d\n", encoding="ascii")
    monkeypatch.setenv("LD_PRELOAD", library())
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(jump))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    # The steady clock, by which the node waits, does not jump anywhere.
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    folder = tmp_path / "node"
    folder.mkdir()
    node = Node(folder)
    image = pydicom.dcmread(CT)
    stored = set()
    association = associate(node, image)
    for days in ("+0d", "-3d", "+400d", "-4000d", "+1d"):
        jump.write_text(days + "\n", encoding="ascii")
        # The association from before the jump goes on, and a new one is taken.
        assert association.send_c_echo().Status == 0x0000, days
        stored.add(store(association, image))
        another = associate(node, image)
        stored.add(store(another, image))
        assert found(another, image) == stored, days
        another.release()
    association.release()
    # The clock did jump: the log has lines of a year that is over.
    year = (datetime.datetime.now() - datetime.timedelta(days=4000)).year
    assert f'"timestamp":"{year}-' in node.log.read_text(encoding="utf-8")
    # Cut off with the clock in the future, started with it in the past.
    node.kill()
    jump.write_text("-30d\n", encoding="ascii")
    node.start()
    association = associate(node, image)
    assert found(association, image) == stored
    stored.add(store(association, image))
    assert found(association, image) == stored
    association.release()
    node.stop()
