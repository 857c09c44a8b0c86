"""Forwarding to DCMTK receivers: one that is well, one that is down for a while, one that refuses;
and a node that is killed in the middle."""

import json
import subprocess
import time

import numpy
import pydicom
from conftest import BINARY, TITLE, Node, free_port
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE


class Sink:
    """DCMTK's storescp."""

    def __init__(self, folder, title, *options, port=None):
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.title, self.port, self.options = title, port or free_port(), options
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["storescp", *self.options, "-aet", self.title, "-od", str(self.folder),
             str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)

    def uids(self):
        """Of objects that came whole: the receiver may be writing another."""
        found = set()
        for path in self.folder.iterdir():
            try:
                found.add(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID))
            except Exception:  # noqa: BLE001 - half a file
                continue
        return found

    def peer(self):
        return (f'[[dicom.peers]]\nae_title = "{self.title}"\n'
                f'address = "127.0.0.1:{self.port}"\nservices = ["echo"]\n')


def objects(folder, count, sop_class=CTImageStorage, modality="CT", description="", bytes_=20_000):
    """Files of one study."""
    folder.mkdir(exist_ok=True)
    study, series = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        side = int((bytes_ / 2) ** 0.5)
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SOPClassUID = sop_class
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.StudyDescription = description
        dataset.PatientID, dataset.PatientName = "P1", "Zhang^San=张^三"
        dataset.Modality, dataset.InstanceNumber = modality, number
        dataset.Rows = dataset.Columns = side
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelData = numpy.full((side, side), number, dtype=numpy.uint16).tobytes()
        path = folder / f"{modality}{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def uids(paths):
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths}


def status(node):
    done = subprocess.run([BINARY, "forwarding", "status", "--json", "--config", node.config],
                          capture_output=True, text=True, check=True, timeout=30)
    read = json.loads(done.stdout)
    return {d["ae_title"]: d for d in read["destinations"]}, read["parked"]


def wait_for(condition, seconds=60, what=""):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


SENDER = '[[dicom.peers]]\nae_title = "STORESCU"\nservices = ["echo", "store"]\n'


def test_a_dead_and_a_refusing_destination_do_not_delay_a_healthy_one(tmp_path, dcmtk):
    well = Sink(tmp_path / "well", "WELL").start()
    down = Sink(tmp_path / "down", "DOWN")
    refusing = Sink(tmp_path / "refusing", "REFUSING", "--refuse").start()
    node = Node(tmp_path, SENDER + well.peer() + down.peer() + refusing.peer() + """
[forwarding]
[[forwarding.rules]]
name = "ct"
modalities = ["CT"]
from = ["STORESCU"]
to = ["WELL", "DOWN", "REFUSING"]
""")
    try:
        sent = objects(tmp_path / "ct", 20)
        other = objects(tmp_path / "mr", 3, MRImageStorage, "MR")
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *sent, *other)
        wait_for(lambda: well.uids() == uids(sent), 15, "the healthy destination has all")
        wait_for(lambda: status(node)[0]["WELL"]["sent"] == 20, 10, "and that is written down")
        now, parked = status(node)
        assert now["DOWN"]["waiting"] + now["DOWN"]["sending"] == 20
        assert now["DOWN"]["oldest_ms"] > 0
        assert now["REFUSING"]["waiting"] + now["REFUSING"]["sending"] == 20
        assert now["WELL"]["waiting"] == 0 and parked == []
        down.start()
        wait_for(lambda: down.uids() == uids(sent), 60, "the destination that came up has all")
        assert well.uids() == uids(sent), "no MR"
    finally:
        for sink in (well, down, refusing):
            sink.stop()
        node.stop()


def test_a_killed_node_forwards_everything_after_it_comes_back(tmp_path, dcmtk):
    sink = Sink(tmp_path / "sink", "SINK").start()
    node = Node(tmp_path, SENDER + sink.peer() + """
[forwarding]
[[forwarding.rules]]
name = "all"
to = ["SINK"]
bytes_per_second_max = 1000000
""")
    try:
        sent = objects(tmp_path / "ct", 60, bytes_=100_000)
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *sent)
        # At one megabyte a second all of it takes six seconds.
        wait_for(lambda: len(sink.uids()) >= 5, 20, "some have come")
        node.kill()
        assert len(sink.uids()) < 60, "killed in the middle"
        node.start()
        wait_for(lambda: sink.uids() == uids(sent), 60, "all have come")
        # Killed right after the sender was told, before anything was queued.
        more = objects(tmp_path / "more", 5)
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *more)
        node.kill()
        node.start()
        wait_for(lambda: uids(more) <= sink.uids(), 60, "what was acknowledged has come")
    finally:
        sink.stop()
        if node.process.poll() is None:
            node.stop()


def test_what_a_destination_cannot_take_is_parked_and_can_be_tried_again(tmp_path, dcmtk):
    sink = Sink(tmp_path / "sink", "SINK")
    other = AE(ae_title="SINK")
    other.add_supported_context(MRImageStorage)
    server = other.start_server(("127.0.0.1", sink.port), block=False)
    node = Node(tmp_path, SENDER + sink.peer() + """
[forwarding]
[[forwarding.rules]]
name = "all"
to = ["SINK"]
""")
    try:
        sent = objects(tmp_path / "ct", 2)
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *sent)
        wait_for(lambda: len(status(node)[1]) == 2, 20, "both are parked")
        assert "does not take class" in status(node)[1][0]["reason"]
        server.shutdown()
        server = None
        sink.start()
        done = subprocess.run([BINARY, "forwarding", "retry", "--config", node.config],
                              capture_output=True, text=True, check=True, timeout=30)
        assert "2 objects" in done.stdout
        wait_for(lambda: sink.uids() == uids(sent), 20, "both have come")
        wait_for(lambda: status(node)[1] == [], 10, "none is parked")
    finally:
        if server is not None:
            server.shutdown()
        sink.stop()
        node.stop()


def test_objects_are_converted_for_a_destination_that_takes_implicit_vr_only(tmp_path, dcmtk):
    sink = Sink(tmp_path / "sink", "SINK", "+xi").start()
    node = Node(tmp_path, SENDER + sink.peer() + """
[forwarding]
[[forwarding.rules]]
name = "all"
to = ["SINK"]
""")
    try:
        sent = objects(tmp_path / "ct", 2)
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *sent)
        wait_for(lambda: sink.uids() == uids(sent), 20, "both have come")
    finally:
        sink.stop()
        node.stop()


def test_a_delay_gathers_a_study_and_drop_forgets(tmp_path, dcmtk):
    sink = Sink(tmp_path / "sink", "SINK").start()
    node = Node(tmp_path, SENDER + sink.peer() + """
[forwarding]
[[forwarding.rules]]
name = "gathered"
description_contains = ["会诊"]
to = ["SINK"]
delay_s = 3600
""")
    try:
        sent = objects(tmp_path / "ct", 3, description="头部会诊")
        plain = objects(tmp_path / "plain", 1, MRImageStorage, "MR", description="头部")
        dcmtk("storescu", "-aec", TITLE, node.host, node.port, *sent, *plain)
        wait_for(lambda: status(node)[0].get("SINK", {}).get("waiting") == 3, 20, "three wait")
        assert sink.uids() == set()
        done = subprocess.run([BINARY, "forwarding", "drop", "--to", "SINK", "--waiting-too",
                               "--config", node.config],
                              capture_output=True, text=True, check=True, timeout=30)
        assert "3 objects" in done.stdout
        assert "SINK" not in status(node)[0]
    finally:
        sink.stop()
        node.stop()
