"""pynetdicom: every file of the collection, byte for byte, in its own transfer syntax."""

import io
import struct
import time

import pydicom
import pytest
from conftest import FILES, TITLE, Node
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)



# pynetdicom's reactor, when a second message is sent before it has seen that the first is done,
# takes the answer away from the sender. The node answers faster than it looks.
BETWEEN = 0.003
# A DICOMDIR is no object that is sent; a colour palette belongs to no study.
NO_OBJECTS_OF_STUDIES = ("1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.39.1")


def split(path):
    """Meta information and the data set's bytes of a file, or None if it has no meta group."""
    raw = path.read_bytes()
    if raw[128:132] != b"DICM":
        return None
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except Exception:  # noqa: BLE001 - broken files are among them
        return None
    position = 132
    while position + 8 <= len(raw):
        group, = struct.unpack_from("<H", raw, position)
        if group != 2:
            break
        vr = raw[position + 4:position + 6]
        if vr in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            length, = struct.unpack_from("<I", raw, position + 8)
            position += 12 + length
        else:
            length, = struct.unpack_from("<H", raw, position + 6)
            position += 8 + length
    return meta, raw[position:]


def storable():
    """Files with the UIDs that C-STORE needs, each instance once."""
    seen = {}
    for path in sorted(FILES.rglob("*")):
        if not path.is_file():
            continue
        parts = split(path)
        if parts is None:
            continue
        meta, data = parts
        if not meta.get("MediaStorageSOPClassUID") or not meta.get("TransferSyntaxUID"):
            continue
        if meta.MediaStorageSOPClassUID in NO_OBJECTS_OF_STUDIES:
            continue
        instance = str(meta.get("MediaStorageSOPInstanceUID", ""))
        if instance:
            seen.setdefault(instance, []).append((path, meta, data))
    return seen


class Association:
    """Sends and gets data sets as bytes."""

    def __init__(self, node, contexts, roles=(), handlers=()):
        self.ae = AE(ae_title="PYNETDICOM")
        self.ae.maximum_pdu_size = 0
        for abstract, syntaxes in contexts:
            self.ae.add_requested_context(abstract, syntaxes)
        self.association = self.ae.associate(
            node.host, node.port, ae_title=TITLE, ext_neg=list(roles), evt_handlers=list(handlers))
        assert self.association.is_established, contexts

    def __enter__(self):
        return self.association

    def __exit__(self, *_):
        if self.association.is_established:
            self.association.release()


def store_bytes(association, meta, data):
    """C-STORE of raw bytes: pynetdicom's own request, with the data set left as it is."""
    from pynetdicom.dimse_primitives import C_STORE
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(str(meta.MediaStorageSOPClassUID))
    request.AffectedSOPInstanceUID = UID(str(meta.MediaStorageSOPInstanceUID))
    request.Priority = 2
    request.DataSet = io.BytesIO(data)
    context = next(c for c in association.accepted_contexts
                   if c.abstract_syntax == request.AffectedSOPClassUID
                   and c.transfer_syntax[0] == meta.TransferSyntaxUID)
    # As its own senders do: its reactor must not take the answer.
    time.sleep(BETWEEN)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, context.context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert response is not None, "no answer"
    return response.Status, response.ErrorComment


def test_every_file_comes_back_byte_for_byte(node):
    kept, refused = {}, []
    candidates = storable()
    assert len(candidates) >= 120
    for instance, versions in candidates.items():
        path, meta, data = versions[0]
        with Association(node, [(meta.MediaStorageSOPClassUID, [meta.TransferSyntaxUID])]) as a:
            status, comment = store_bytes(a, meta, data)
        if status == 0x0000:
            kept[instance] = (meta, data)
        else:
            assert status in (0xA900, 0xC000), (path, hex(status))
            assert comment, "a refusal says why"
            refused.append((path.name, comment))
    assert len(kept) >= 110, refused
    for instance, (meta, data) in kept.items():
        got = []

        def take(event):
            got.append(event.request.DataSet.getvalue())
            return 0x0000

        contexts = [(PatientRootQueryRetrieveInformationModelGet, ["1.2.840.10008.1.2"]),
                    (meta.MediaStorageSOPClassUID, [meta.TransferSyntaxUID])]
        role = build_role(meta.MediaStorageSOPClassUID, scp_role=True)
        with Association(node, contexts, [role], [(evt.EVT_C_STORE, take)]) as association:
            identifier = pydicom.Dataset()
            identifier.QueryRetrieveLevel = "IMAGE"
            identifier.SOPInstanceUID = instance
            answers = list(association.send_c_get(
                identifier, PatientRootQueryRetrieveInformationModelGet))
        assert answers[-1][0].Status == 0x0000, (instance, answers[-1])
        assert got == [data], instance


def test_other_content_under_a_known_uid_is_kept_apart_and_said(node):
    path = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
    meta, data = split(path)
    with Association(node, [(meta.MediaStorageSOPClassUID, [meta.TransferSyntaxUID])]) as a:
        assert store_bytes(a, meta, data)[0] == 0x0000
        assert store_bytes(a, meta, data)[0] == 0x0000, "the same bytes again"
        changed = bytearray(data)
        changed[-1] ^= 1
        status, comment = store_bytes(a, meta, bytes(changed))
        assert status == 0x0111
        assert "kept apart" in comment
        status, comment = store_bytes(a, meta, data[:-10])
        assert status == 0xC000 and comment
        assert store_bytes(a, meta, data)[0] == 0x0000, "the association goes on"


@pytest.mark.parametrize("declared", ["GB18030", "GBK", "ISO_IR 192", "\\ISO 2022 IR 58"])
def test_chinese_names_are_found_by_character_and_pinyin(node, declared):
    path = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
    image = pydicom.dcmread(path)
    image.SpecificCharacterSet = declared.split("\\")
    image.PatientName = "Wang^XiaoDong=王^小东"
    image.StudyInstanceUID = pydicom.uid.generate_uid()
    image.SeriesInstanceUID = pydicom.uid.generate_uid()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    ae = AE()
    ae.add_requested_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate(node.host, node.port, ae_title=TITLE)
    assert association.send_c_store(image).Status == 0x0000
    for asked in ["*小东*", "王*", "*王小东*", "wang*", "WANG^XIAODONG", "*xiaodong*"]:
        identifier = pydicom.Dataset()
        identifier.SpecificCharacterSet = "ISO_IR 192"
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.PatientName = asked
        identifier.StudyInstanceUID = ""
        time.sleep(BETWEEN)
        answers = list(association.send_c_find(
            identifier, StudyRootQueryRetrieveInformationModelFind))
        found = [a.StudyInstanceUID for status, a in answers if status.Status in (0xFF00, 0xFF01)]
        assert found == [image.StudyInstanceUID], asked
        assert "王" in str(answers[0][1].PatientName)
    association.release()


def test_a_cancelled_find_stops(node):
    path = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
    image = pydicom.dcmread(path)
    ae = AE()
    ae.add_requested_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate(node.host, node.port, ae_title=TITLE)
    for _ in range(600):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = \
            pydicom.uid.generate_uid()
        image.StudyInstanceUID = pydicom.uid.generate_uid()
        image.SeriesInstanceUID = pydicom.uid.generate_uid()
        time.sleep(BETWEEN)
        assert association.send_c_store(image).Status == 0x0000
    time.sleep(BETWEEN)
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ""
    count, last = 0, None
    for status, _ in association.send_c_find(identifier,
                                             StudyRootQueryRetrieveInformationModelFind,
                                             msg_id=7):
        count += 1
        last = status.Status
        if count == 1:
            association.send_c_cancel(7, query_model=StudyRootQueryRetrieveInformationModelFind)
    assert last in (0xFE00, 0x0000)
    assert association.is_established
    association.release()


def test_callers_that_are_not_admitted_are_rejected(tmp_path):
    node = Node(tmp_path, """
[[dicom.peers]]
ae_title = "CT01"
services = ["echo", "store"]
[[dicom.peers]]
ae_title = "FAR"
hosts = ["10.1.2.3"]
services = ["echo"]
""")
    try:
        for title, admitted in [("CT01", True), ("FAR", False), ("WHO", False)]:
            ae = AE(ae_title=title)
            ae.add_requested_context(Verification)
            association = ae.associate(node.host, node.port, ae_title=TITLE)
            assert association.is_established is admitted, title
            if admitted:
                assert association.send_c_echo().Status == 0x0000
                association.release()
            else:
                assert association.is_rejected
        ae = AE(ae_title="CT01")
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        ae.add_requested_context(Verification)
        association = ae.associate(node.host, node.port, ae_title=TITLE)
        accepted = [c.abstract_syntax for c in association.accepted_contexts]
        assert accepted == [Verification], "what a peer may not ask is not accepted"
        association.release()
    finally:
        node.stop()


def test_extended_negotiation_window_and_identity_are_answered(node):
    from pynetdicom.pdu_primitives import (
        AsynchronousOperationsWindowNegotiation,
        SOPClassExtendedNegotiation,
    )
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 0
    window.maximum_number_operations_performed = 5
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = StudyRootQueryRetrieveInformationModelFind
    extended.service_class_application_information = b"\x01\x01\x01\x01\x01"
    ae = AE()
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate(node.host, node.port, ae_title=TITLE, ext_neg=[window, extended])
    assert association.is_established
    assert association.acceptor.asynchronous_operations == (16, 1)
    answered = association.acceptor.sop_class_extended
    assert answered[StudyRootQueryRetrieveInformationModelFind] == b"\x01\x01\x01\x00\x00"
    assert association.acceptor.implementation_class_uid.startswith("2.25.")
    association.release()
