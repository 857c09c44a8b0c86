"""Storage commitment: what is safe, and what is not."""

import queue
import time

import pydicom
import pytest
from conftest import FILES, TITLE, Node, free_port
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel

CT = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
# See test_pynetdicom.py.
BETWEEN = 0.003


def action(image, extra):
    request = pydicom.Dataset()
    request.TransactionUID = pydicom.uid.generate_uid()
    request.ReferencedSOPSequence = []
    for sop_class, instance in [(image.SOPClassUID, image.SOPInstanceUID), *extra]:
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = instance
        request.ReferencedSOPSequence.append(item)
    return request


@pytest.mark.parametrize("has_address", [True, False])
def test_a_sender_hears_what_is_safe(tmp_path, has_address):
    reports = queue.Queue()

    def report(event):
        reports.put((event.event_type, event.event_information))
        return 0x0000, None

    port = free_port()
    listener = AE(ae_title="CT01")
    listener.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = listener.start_server(("127.0.0.1", port), block=False,
                                   evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    address = f'address = "127.0.0.1:{port}"' if has_address else ""
    node = Node(tmp_path, f"""
[[dicom.peers]]
ae_title = "CT01"
{address}
services = ["store"]
""")
    try:
        image = pydicom.dcmread(CT)
        ae = AE(ae_title="CT01")
        ae.add_requested_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate(node.host, node.port, ae_title=TITLE,
                                   evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
        assert association.send_c_store(image).Status == 0x0000
        time.sleep(BETWEEN)
        missing, wrong = "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.4"
        request = action(image, [(CTImageStorage, missing), (wrong, image.SOPInstanceUID)])
        status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, WELL_KNOWN)
        assert status.Status == 0x0000
        kind, information = reports.get(timeout=20)
        assert kind == 2
        assert information.TransactionUID == request.TransactionUID
        assert [i.ReferencedSOPInstanceUID for i in information.ReferencedSOPSequence] == [
            image.SOPInstanceUID]
        assert [(i.ReferencedSOPInstanceUID, i.FailureReason)
                for i in information.FailedSOPSequence] == [
            (missing, 0x0112), (image.SOPInstanceUID, 0x0119)]
        time.sleep(BETWEEN)
        request = action(image, [])
        status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, WELL_KNOWN)
        assert status.Status == 0x0000
        assert reports.get(timeout=20)[0] == 1
        time.sleep(BETWEEN)
        nothing = pydicom.Dataset()
        nothing.TransactionUID = pydicom.uid.generate_uid()
        for bad, kind in [(nothing, 1), (request, 9)]:
            status, _ = association.send_n_action(bad, kind, StorageCommitmentPushModel,
                                                  WELL_KNOWN)
            time.sleep(BETWEEN)
            assert status.Status in (0x0115, 0x0123)
        association.release()
    finally:
        server.shutdown()
        node.stop()
