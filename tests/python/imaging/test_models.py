"""An imaging model that is installed: what it says is computed by hand, and its structured report is
read by pydicom, highdicom and DCMTK."""

import io

import grpc
import highdicom
import numpy
import pydicom
import pytest
from PIL import Image

from conftest import FILES, ROOT, Node
from test_grpc import retrieve, store

CT = "pydicom-bundled/test_files/CT_small.dcm"
MODELS = ROOT / "tests" / "fixtures" / "imaging-models"
MARK = "模型提示，不是诊断报告"


@pytest.fixture(scope="module", params=["rten", "onnxruntime"])
def node(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    running = Node(folder, f'[imaging.models]\ndir = "{MODELS}"\n', engine=request.param)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def imaging(node, stubs):
    from xiangyi.imaging.v1 import imaging_pb2 as pb
    from xiangyi.imaging.v1 import imaging_pb2_grpc as rpc

    with grpc.insecure_channel(node.grpc) as channel:
        yield pb, rpc.ImagingServiceStub(channel)


@pytest.fixture(scope="module")
def said(imaging):
    """A CT of the head, what the model says of it, and the report."""
    pb, stub = imaging
    image = pydicom.dcmread(FILES / CT)
    image.SpecificCharacterSet = "GB18030"
    image.StudyDescription = "颅脑CT平扫"
    image.PatientName = "Wang^XiaoDong=王^小东"
    out = io.BytesIO()
    image.save_as(out)
    results, _ = store(imaging, [("ct", out.getvalue())])
    assert results[0].outcome == pb.STORE_OUTCOME_STORED
    request = pb.AnalyseStudyRequest(study_uid=image.StudyInstanceUID)
    answers = list(stub.AnalyseStudy(request))
    assert [a.WhichOneof("part") for a in answers] == ["analysis", "summary"]
    analysis = answers[0].analysis
    header, data = retrieve(imaging, sop_instance_uid=analysis.report_sop_instance_uid)
    return image, analysis, header.file_meta + data


def read(file):
    return pydicom.dcmread(io.BytesIO(file))


def probabilities(image):
    """What the model answers, with pydicom, numpy and Pillow."""
    values = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    grey = numpy.clip((values - 2048.0) / 4096.0 + 0.5, 0, 1).astype(numpy.float32)
    small = Image.fromarray(grey).resize((4, 4), Image.Resampling.BOX)
    mean = float(numpy.asarray(small).mean())
    sigmoid = lambda x: 1 / (1 + numpy.exp(-x))  # noqa: E731
    return {"bright": sigmoid(4 * mean - 1), "dark": sigmoid(1 - 4 * mean),
            "kind-a": sigmoid(2 * mean), "kind-b": sigmoid(-2 * mean)}


def test_the_model_is_listed_with_its_certificate_statement(imaging):
    pb, stub = imaging
    listed = stub.ListImagingModels(pb.ListImagingModelsRequest())
    model, = listed.models
    assert (model.model_id, model.certificate, model.automatic) == ("mean", "", False)
    assert [label.label_id for label in model.labels] == ["bright", "dark", "kind-a", "kind-b"]
    assert not listed.refused


def test_probabilities_are_those_of_a_plain_python_pipeline(said):
    image, analysis, _ = said
    expected = probabilities(image)
    assert len(analysis.suggestions) == len(expected)
    for suggestion in analysis.suggestions:
        assert abs(suggestion.probability - expected[suggestion.label_id]) < 1e-5
        assert suggestion.passes == (suggestion.probability >= suggestion.threshold)


def test_pydicom_reads_a_report_that_says_it_is_none(said):
    image, analysis, file = said
    report = read(file)
    assert report.SOPClassUID == pydicom.uid.ComprehensiveSRStorage
    assert report.SOPInstanceUID == analysis.report_sop_instance_uid
    assert report.SOPInstanceUID.is_valid and report.SeriesInstanceUID.is_valid
    assert report.SeriesDescription == report.CompletionFlagDescription == MARK
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "PARTIAL", "UNVERIFIED", "PRELIMINARY")
    assert (report.Manufacturer, report.ManufacturerModelName) == ("Xiangyi tests", "mean")
    assert report.SoftwareVersions[0] == "2026.11.1"
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyInstanceUID", "StudyDate",
                    "StudyDescription", "AccessionNumber", "StudyID"):
        assert str(report.get(keyword, "")) == str(image.get(keyword, "")), keyword
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID


def test_highdicom_reads_the_measurement_report(said):
    image, analysis, file = said
    report = highdicom.sr.srread(io.BytesIO(file))
    assert isinstance(report, highdicom.sr.ComprehensiveSR)
    content = report.content
    assert isinstance(content, highdicom.sr.MeasurementReport)
    observer, = [o for o in content.get_observer_contexts()]
    assert observer.observer_type.meaning == "Device"
    groups = content._find_measurement_groups()  # noqa: SLF001
    names = {"bright": "偏亮", "dark": "偏暗", "kind-a": "甲类", "kind-b": "乙类"}
    assert len(groups) == len(names)
    probability = {s.label_id: s.probability for s in analysis.suggestions}
    for group in groups:
        named = {}
        for item in group.ContentSequence:
            if "ConceptNameCodeSequence" in item:
                named.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, item)
        label = named["Tracking Identifier"].TextValue
        assert named["Finding"].ConceptCodeSequence[0].CodeMeaning == names[label]
        value = named["Certainty of Finding"].MeasuredValueSequence[0]
        assert value.MeasurementUnitsCodeSequence[0].CodeValue == "%"
        assert abs(float(value.NumericValue) / 100 - probability[label]) < 1e-4
        assert named["Algorithm Name"].TextValue == "mean"
        assert named["Algorithm Version"].TextValue == "2026.11.1"
        source = named["Source of Measurement"].ReferencedSOPSequence[0]
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID


def test_dcmtk_dumps_it_without_a_complaint(said, dcmtk, tmp_path):
    _, _, file = said
    path = tmp_path / "suggestion.dcm"
    path.write_bytes(file)
    _, output = dcmtk("dsrdump", "+Pc", "+Pl", path)
    complaints = [line for line in output.splitlines() if line.startswith(("W: ", "E: "))]
    # Its checker of value representations knows no UTF-8.
    assert all("does not support this Specific Character Set" in line for line in complaints)
    assert "Comprehensive SR Document" in output
    assert "Certainty of Finding" in output and "Algorithm Name" in output


def test_what_was_said_is_not_said_again(imaging, said):
    pb, stub = imaging
    image, analysis, _ = said
    request = pb.AnalyseStudyRequest(study_uid=image.StudyInstanceUID)
    again = [a for a in stub.AnalyseStudy(request) if a.WhichOneof("part") == "analysis"]
    assert [a.analysis.outcome for a in again] == [pb.ANALYSIS_OUTCOME_SAID_BEFORE]
    assert again[0].analysis.report_sop_instance_uid == analysis.report_sop_instance_uid
    study = stub.GetStudyMetadata(pb.GetStudyMetadataRequest(study_uid=image.StudyInstanceUID))
    assert study.study.report.state == pb.REPORT_STATE_UNSPECIFIED
    assert study.study.instance_count == 2 and study.study.kept_apart_count == 0

