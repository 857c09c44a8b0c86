"""DICOM over TLS, both as the side that is called and as the side that calls."""

import json
import shutil
import ssl
import subprocess

import pydicom
import pytest
from conftest import BINARY, TITLE, Node, free_port
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

CT = "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A certificate authority, one that nobody trusts, and a certificate of each for `localhost`."""
    folder = tmp_path_factory.mktemp("certificates")
    openssl = shutil.which("openssl")
    assert openssl, "openssl is missing: scripts/test installs it"

    def run(*arguments):
        subprocess.run([openssl, *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    for name in ("ca", "other"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-addext", "basicConstraints=critical,CA:TRUE")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=localhost", "-keyout", f"{name}-leaf.key", "-out", f"{name}-leaf.csr")
        (folder / "leaf.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                                         "basicConstraints=CA:FALSE\n")
        run("x509", "-req", "-in", f"{name}-leaf.csr", "-CA", f"{name}.pem", "-CAkey",
            f"{name}.key", "-CAcreateserial", "-days", "2", "-extfile", "leaf.cnf", "-out",
            f"{name}-leaf.pem")
    return folder


def secured(folder, certificates, peers=""):
    return Node(folder, peers, dicom=f"""listen = "127.0.0.1:0"
tls_cert = "{certificates / 'ca-leaf.pem'}"
tls_key = "{certificates / 'ca-leaf.key'}"
tls_client_ca = "{certificates / 'ca.pem'}"
tls_ca = "{certificates / 'ca.pem'}"
""")


def test_a_client_with_a_certificate_is_served_and_others_are_not(tmp_path, certificates, dcmtk,
                                                                  files):
    node = secured(tmp_path, certificates)
    try:
        def client(name):
            return ["+tls", certificates / f"{name}-leaf.key", certificates / f"{name}-leaf.pem",
                    "+cf", certificates / "ca.pem"]
        dcmtk("echoscu", *client("ca"), "-aec", TITLE, "localhost", node.port)
        dcmtk("storescu", *client("ca"), "-aec", TITLE, "localhost", node.port, files(CT))
        for arguments in ([], client("other"), ["+tla", "+cf", certificates / "ca.pem"]):
            code, _ = dcmtk("echoscu", "-to", "5", "-ta", "5", *arguments, "-aec", TITLE,
                            "localhost", node.port, ok=False)
            assert code != 0, arguments
        dcmtk("echoscu", *client("ca"), "-aec", TITLE, "localhost", node.port)
    finally:
        node.stop()


def test_objects_are_moved_over_tls(tmp_path, certificates, dcmtk, files):
    port = free_port()
    received = tmp_path / "received"
    received.mkdir()
    receiver = subprocess.Popen([
        "storescp", "+tls", certificates / "ca-leaf.key", certificates / "ca-leaf.pem", "+cf",
        certificates / "ca.pem", "-od", received, "-aet", "SINK", str(port)])
    node = secured(tmp_path, certificates, f"""
[[dicom.peers]]
ae_title = "SINK"
address = "localhost:{port}"
tls = true
services = ["echo"]
[[dicom.peers]]
ae_title = "SCU"
tls = true
services = ["echo", "store", "find", "retrieve"]
""")
    client = ["+tls", certificates / "ca-leaf.key", certificates / "ca-leaf.pem", "+cf",
              certificates / "ca.pem", "-aet", "SCU", "-aec", TITLE]
    try:
        dcmtk("storescu", *client, "localhost", node.port, files(CT))
        study = pydicom.dcmread(files(CT), stop_before_pixels=True).StudyInstanceUID
        # DCMTK's movescu has no TLS.
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        context.load_cert_chain(certificates / "ca-leaf.pem", certificates / "ca-leaf.key")
        ae = AE(ae_title="SCU")
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        association = ae.associate("localhost", node.port, ae_title=TITLE,
                                   tls_args=(context, "localhost"))
        assert association.is_established
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        answers = list(association.send_c_move(identifier, "SINK",
                                               StudyRootQueryRetrieveInformationModelMove))
        assert answers[-1][0].Status == 0x0000
        association.release()
        assert len(list(received.iterdir())) == 1
    finally:
        receiver.terminate()
        receiver.wait(timeout=10)
        node.stop()


def test_a_certificate_is_good_for_the_title_that_it_is_written_for(tmp_path, certificates, dcmtk,
                                                                    files):
    digest = subprocess.run(
        ["openssl", "x509", "-in", certificates / "ca-leaf.pem", "-noout", "-fingerprint", "-sha256"],
        check=True, capture_output=True, text=True).stdout.split("=")[1].strip().replace(":", "")
    peers = "".join(f"""
[[dicom.peers]]
ae_title = "{title}"
tls = true
certificates = ["{certificate}"]
services = ["echo", "store"]
""" for title, certificate in [("BYNAME", "LOCALHOST"), ("BYIP", "127.0.0.1"),
                               ("BYDIGEST", digest), ("ELSE", "ct01.county.example"),
                               ("NEXT", "00" * 32)])
    peers += '[[dicom.peers]]\nae_title = "ANY"\ntls = true\nservices = ["echo"]\n'
    node = secured(tmp_path, certificates, peers)
    client = ["+tls", certificates / "ca-leaf.key", certificates / "ca-leaf.pem", "+cf",
              certificates / "ca.pem", "-aec", TITLE]
    try:
        for title in ("BYNAME", "BYIP", "BYDIGEST"):
            dcmtk("storescu", *client, "-aet", title, "localhost", node.port, files(CT))
        for title in ("ELSE", "NEXT"):
            code, said = dcmtk("storescu", *client, "-aet", title, "localhost", node.port,
                               files(CT), ok=False)
            assert code != 0 and "Calling AE Title Not Recognized" in said, said
    finally:
        node.stop()
    done = subprocess.run([BINARY, "admin", "security-report", "--json", "--config", node.config],
                          check=True, capture_output=True, text=True)
    standing = {line["subject"]: line["standing"]
                for line in map(json.loads, done.stdout.splitlines())}
    assert standing["AE ELSE"] == "ok"
    assert standing["AE ANY"] == "weak"
