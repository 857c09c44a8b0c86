"""Holding and erasing at the command line, and what DICOM peers are told afterwards."""

import json
import subprocess

import pydicom
import requests
from conftest import BINARY, FILES, TITLE, Node
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

CT = FILES / "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"


def imaging(node, *arguments):
    return subprocess.run([BINARY, "imaging", arguments[0], "--server", f"http://{node.grpc}",
                           *arguments[1:]],
                          capture_output=True, text=True, timeout=60, check=False)


def wanted(study, level="STUDY"):
    query = pydicom.Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = study
    return query


def test_a_held_study_stays_and_an_erased_one_is_gone_for_every_peer(tmp_path):
    node = Node(tmp_path, '[web]\nlisten = "127.0.0.1:0"\n')
    try:
        image = pydicom.dcmread(CT)
        syntax = image.file_meta.TransferSyntaxUID
        got = []

        def take(event):
            got.append(event.request.AffectedSOPInstanceUID)
            return 0x0000

        ae = AE(ae_title="CT01")
        ae.add_requested_context(CTImageStorage, syntax)
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        association = ae.associate(node.host, node.port, ae_title=TITLE,
                                   ext_neg=[build_role(CTImageStorage, scp_role=True,
                                                       scu_role=True)],
                                   evt_handlers=[(evt.EVT_C_STORE, take)])
        assert association.is_established
        assert association.send_c_store(image).Status == 0x0000
        study = str(image.StudyInstanceUID)

        held = imaging(node, "hold", "--study", study, "--reason", "医疗纠纷", "--json")
        assert held.returncode == 0, held.stderr
        hold = json.loads(held.stdout)["hold"]["hold_id"]
        refused = imaging(node, "erase", "--study", study, "--reason", "duplicate")
        assert refused.returncode != 0 and hold in refused.stderr, refused.stderr
        assert str(image.PatientID) not in refused.stderr
        assert hold in imaging(node, "holds").stdout
        assert imaging(node, "release", "--hold", hold, "--reason", "over").returncode == 0
        assert "没有保全" in imaging(node, "holds").stdout
        assert hold in imaging(node, "holds", "--all").stdout

        finder = StudyRootQueryRetrieveInformationModelFind
        assert len(list(association.send_c_find(wanted(study), finder))) == 2
        web = f"http://{node.web}/dicom-web/studies/{study}"
        assert requests.get(web, timeout=30).status_code == 200
        erased = imaging(node, "erase", "--study", study, "--reason", "duplicate", "--json")
        assert erased.returncode == 0, erased.stderr
        assert int(json.loads(erased.stdout)["erasure"]["object_count"]) == 1

        found = list(association.send_c_find(wanted(study), finder))
        assert [status.Status for status, _ in found] == [0x0000], "no match"
        retrieved = list(association.send_c_get(
            wanted(study), StudyRootQueryRetrieveInformationModelGet))
        assert not got
        assert retrieved[-1][0].Status in (0x0000, 0xA900, 0xC000), retrieved
        assert retrieved[-1][0].get("NumberOfCompletedSuboperations", 0) == 0
        assert requests.get(web, timeout=30).status_code == 404
        # Whoever sends it anew has it kept anew.
        assert association.send_c_store(image).Status == 0x0000
        assert len(list(association.send_c_find(wanted(study), finder))) == 2
        association.release()
    finally:
        node.stop()
