"""A foreign client stores, finds, retrieves and draws images over gRPC, with generated stubs."""

import hashlib
import io

import grpc
import pydicom
import pytest

CT = "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm"
CHUNK = 100_000


@pytest.fixture
def imaging(node, stubs):
    """The module of messages and a stub of the service."""
    from xiangyi.imaging.v1 import imaging_pb2 as pb
    from xiangyi.imaging.v1 import imaging_pb2_grpc as rpc

    with grpc.insecure_channel(node.grpc) as channel:
        yield pb, rpc.ImagingServiceStub(channel)


@pytest.fixture
def recognition(node, stubs):
    from xiangyi.recognition.v1 import recognition_pb2 as pb
    from xiangyi.recognition.v1 import recognition_pb2_grpc as rpc

    with grpc.insecure_channel(node.grpc) as channel:
        yield pb, rpc.RecognitionServiceStub(channel)


def messages(pb, files):
    for name, content in files:
        yield pb.StoreObjectsRequest(start=pb.ObjectStart(object_id=name,
                                                          size_bytes=len(content)))
        for at in range(0, len(content), CHUNK):
            yield pb.StoreObjectsRequest(chunk=content[at:at + CHUNK])
        yield pb.StoreObjectsRequest(end=pb.ObjectEnd())


def store(imaging, files):
    pb, stub = imaging
    replies = list(stub.StoreObjects(messages(pb, files)))
    assert replies[-1].WhichOneof("part") == "summary"
    return [reply.result for reply in replies[:-1]], replies[-1].summary


def retrieve(imaging, **request):
    pb, stub = imaging
    parts = list(stub.RetrieveObject(pb.RetrieveObjectRequest(**request)))
    assert parts[0].WhichOneof("part") == "header"
    assert parts[-1].WhichOneof("part") == "verified"
    return parts[0].header, b"".join(part.chunk.data for part in parts[1:-1])


def described(path, description, **attributes):
    """The file with another study, written anew."""
    image = pydicom.dcmread(path)
    image.SpecificCharacterSet = "GB18030"
    image.StudyDescription = description
    image.StudyInstanceUID = pydicom.uid.generate_uid()
    image.SeriesInstanceUID = pydicom.uid.generate_uid()
    image.SOPInstanceUID = pydicom.uid.generate_uid()
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    for name, value in attributes.items():
        setattr(image, name, value)
    out = io.BytesIO()
    image.save_as(out)
    return image, out.getvalue()


def test_a_file_comes_back_as_a_file_that_pydicom_reads(imaging, files):
    content = files(CT).read_bytes()
    results, summary = store(imaging, [("ct", content), ("text", b"no image"), ("ct", content)])
    pb, _ = imaging
    assert [r.outcome for r in results] == [pb.STORE_OUTCOME_STORED, pb.STORE_OUTCOME_REFUSED,
                                            pb.STORE_OUTCOME_KNOWN]
    assert results[1].reason and results[1].refusal == pb.REFUSAL_REASON_NOT_DICOM
    assert (summary.stored_count, summary.known_count, summary.refused_count) == (1, 1, 1)
    header, data = retrieve(imaging, sop_instance_uid=results[0].sop_instance_uid)
    assert header.file_meta + data == content
    assert hashlib.sha256(data).hexdigest() == header.sha256
    half = len(data) // 2
    _, rest = retrieve(imaging, sop_instance_uid=results[0].sop_instance_uid, offset=half,
                       chunk_bytes=4096)
    assert rest == data[half:]
    assert pydicom.dcmread(io.BytesIO(header.file_meta + data)).PixelData


def test_chinese_studies_are_found_by_what_was_examined(imaging, files):
    pb, stub = imaging
    head, head_file = described(files(CT), "颅脑CT平扫", PatientName="Wang^XiaoDong=王^小东",
                                PatientID="P1", BodyPartExamined="HEAD")
    _, chest_file = described(files(CT), "胸部CT平扫", PatientName="Li^Na=李^娜", PatientID="P2",
                              BodyPartExamined="CHEST")
    _, summary = store(imaging, [("head", head_file), ("chest", chest_file)])
    assert summary.stored_count == 2
    found = stub.SearchStudies(pb.SearchStudiesRequest(programmes=[pb.PROGRAMME_BRAIN])).studies
    assert [s.study_uid for s in found] == [head.StudyInstanceUID]
    assert found[0].examination.types[0].name == "颅脑CT平扫"
    assert found[0].patient.name == "Wang^XiaoDong=王^小东"
    found = stub.SearchStudies(pb.SearchStudiesRequest(patient_name="wxd", fuzzy_name=True)).studies
    assert [s.patient.patient_id for s in found] == ["P1"]
    study = stub.GetStudyMetadata(pb.GetStudyMetadataRequest(study_uid=head.StudyInstanceUID))
    assert study.series[0].instances[0].sop_instance_uid == head.SOPInstanceUID


def test_a_frame_is_drawn(imaging, files):
    pb, stub = imaging
    results, _ = store(imaging, [("ct", files(CT).read_bytes())])
    drawn = stub.RenderFrame(pb.RenderFrameRequest(
        sop_instance_uid=results[0].sop_instance_uid, format=pb.IMAGE_FORMAT_PNG,
        window=pb.Window(explicit=pb.ExplicitWindow(center=40, width=400)), width_max=256))
    assert drawn.media_type == "image/png" and drawn.image.startswith(b"\x89PNG")
    assert 0 < drawn.width <= 256


def test_changes_are_told_to_who_watches(imaging, files):
    pb, stub = imaging
    watched = stub.WatchChanges(pb.WatchChangesRequest())
    assert next(watched).caught_up
    results, _ = store(imaging, [("ct", files(CT).read_bytes())])
    told = next(watched)
    assert [c.sop_instance_uid for c in told.changes] == [results[0].sop_instance_uid]
    watched.cancel()


def test_an_upload_that_was_cancelled_leaves_nothing(imaging, files):
    pb, stub = imaging
    content = files(CT).read_bytes()

    def endless():
        yield pb.StoreObjectsRequest(start=pb.ObjectStart(object_id="ct"))
        yield pb.StoreObjectsRequest(chunk=content[:CHUNK])
        raise RuntimeError("the sender breaks down")

    with pytest.raises(grpc.RpcError):
        list(stub.StoreObjects(endless()))
    assert stub.GetArchiveInfo(pb.GetArchiveInfoRequest()).instance_count == 0
    results, _ = store(imaging, [("ct", content)])
    assert results[0].outcome == pb.STORE_OUTCOME_STORED


def test_a_decision_is_assessed_recorded_and_kept_over_a_kill(node, imaging, recognition, files):
    head, head_file = described(files(CT), "颅脑CT平扫", PatientID="P1", StudyDate="20261120")
    store(imaging, [("head", head_file)])
    pb, stub = recognition
    planned = pb.PlannedExamination(patient_id="P1", text="颅脑CT平扫", date="2026-11-28")
    answer = stub.AssessRecognition(pb.AssessRecognitionRequest(planned=planned)).assessments[0]
    assert answer.examination_id == "ct.brain.plain"
    assert [s.study_uid for s in answer.studies] == [head.StudyInstanceUID]
    assert answer.studies[0].verdict in (pb.VERDICT_CANNOT_SAY, pb.VERDICT_NOT_RECOGNISED)
    assert all(reason.doctor_text for reason in answer.studies[0].reasons)
    request = pb.RecordRecognitionRequest(request_id="r1", planned=planned,
                                          kind=pb.DECISION_KIND_EXAMINED)
    kept = stub.RecordRecognition(request).decision
    node.kill()
    node.start()
    with grpc.insecure_channel(node.grpc) as channel:
        from xiangyi.recognition.v1 import recognition_pb2_grpc as rpc

        again = rpc.RecognitionServiceStub(channel).RecordRecognition(request)
        assert again.replayed and again.decision == kept
