"""A node whose index lies in PostgreSQL, asked by DCMTK and pynetdicom as any other."""

import json
import os
import subprocess

import pytest
from conftest import BINARY, ROOT, TITLE, Node
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

FILE = "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"


@pytest.fixture(scope="session")
def postgres():
    """URL of a server: the one that the environment names, or one of our own."""
    named = os.environ.get("XIANGYI_TEST_POSTGRES")
    if named:
        yield named
        return
    script = ROOT / "scripts/postgres"
    started = subprocess.run([script, "start"], capture_output=True, text=True, check=True)
    yield started.stdout.strip()
    subprocess.run([script, "stop"], check=True)


@pytest.fixture
def backed(tmp_path, postgres):
    """A node on a schema of its own; the URL is in a file."""
    secret = tmp_path / "postgres-url"
    secret.write_text(postgres + "\n", encoding="utf-8")
    schema = f"python_{os.getpid()}"
    running = Node(tmp_path, imaging=f'index = "postgres"\npostgres_url_file = "{secret}"\n'
                                     f'postgres_schema = "{schema}"\n')
    yield running
    if running.process.poll() is None:
        running.stop()
    subprocess.run(["psql", "--quiet", "--dbname", postgres, "--command",
                    f"SET client_min_messages = error; DROP SCHEMA {schema} CASCADE"], check=True)


def find(node, **keys):
    """Answers to C-FIND at the level of studies."""
    ae = AE()
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = ae.associate(node.host, node.port, ae_title=TITLE)
    assert association.is_established
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = ""
    asked.PatientName = ""
    for key, value in keys.items():
        setattr(asked, key, value)
    answers = association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind)
    found = [(status.Status, identifier) for status, identifier in answers]
    association.release()
    return found


def matches(found):
    assert found[-1][0] == 0x0000, found
    return [identifier for status, identifier in found[:-1] if status == 0xFF00]


def test_what_storescu_sends_c_find_finds_also_after_kill_and_reindex(
        backed, dcmtk, files, postgres):
    dcmtk("storescu", "-aec", TITLE, backed.host, backed.port, files(FILE))
    first, = matches(find(backed))
    name = str(first.PatientName)
    assert name
    for asked in (name, f"*{name[1:4]}*", name.lower()):
        found = matches(find(backed, PatientName=asked))
        assert [f.StudyInstanceUID for f in found] == [first.StudyInstanceUID], asked
    assert matches(find(backed, PatientName="*nobody*")) == []
    assert matches(find(backed, StudyDate="19000101-19000131")) == []

    backed.kill()
    backed.start()
    assert [f.StudyInstanceUID for f in matches(find(backed))] == [first.StudyInstanceUID]

    backed.stop()
    run = [BINARY, "archive", "--json", "--config", backed.config]
    made = subprocess.run([*run, "reindex"], capture_output=True, text=True, check=True)
    assert json.loads(made.stdout) == {"added": 1, "unreadable": 0}
    info = subprocess.run([*run, "info"], capture_output=True, text=True, check=True)
    assert json.loads(info.stdout)["studies"] == 1
    shown = subprocess.run([BINARY, "config", "--config", backed.config],
                           capture_output=True, text=True, check=True)
    log = backed.log.read_text(encoding="utf-8")
    password = postgres.split("@")[0].split(":")[-1]
    for text in (made.stdout, made.stderr, info.stdout, info.stderr, shown.stdout, log):
        assert password not in text
    backed.start()
    assert len(matches(find(backed))) == 1


def test_a_server_that_is_not_there_is_named_and_the_node_does_not_start(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\n'
                      f'[store]\ndir = "{tmp_path / "data"}"\n[models]\nengine = "rten"\n'
                      '[imaging]\nindex = "postgres"\n'
                      'postgres_url = "postgres://clinic:hush@127.0.0.1:9/records"\n',
                      encoding="utf-8")
    done = subprocess.run([BINARY, "serve", "--config", config], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "127.0.0.1:9/records" in told and "PostgreSQL" in told
    assert "hush" not in told
