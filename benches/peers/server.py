"""The peer: the same ONNX model behind grpcio and onnxruntime, as a Python team would serve it.

It answers xiangyi.diagnosis.v1.DiagnosisService/Diagnose with less work than the node does: a
dictionary reader with plain negation, one `session.run`, the eight most probable conditions. No
red flags, no reasons, no limits, no record on disk, no audit.

usage: server.py --models DIR --proto DIR [--workers N]
Prints the port it listens on as the first line.
"""

import argparse
import csv
import pathlib
import re
import sys
import tempfile
import tomllib
from concurrent import futures

import grpc
import numpy
import onnxruntime

NEGATIONS = ("没有", "否认", "未见", "无", "不", "未")
CLAUSE_END = re.compile("[，。；,;.！!？?\n]")


def compile_stubs(proto):
    """Generates the contract's Python modules into a temporary directory on sys.path."""
    from grpc_tools import protoc

    out = tempfile.mkdtemp(prefix="xiangyi-peer-")
    files = sorted(str(p.relative_to(proto)) for p in proto.rglob("*.proto"))
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    status = protoc.main(["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={out}",
                          f"--grpc_python_out={out}", *files])
    if status != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)


class Model:
    """The model, its features and labels, and a reader for complaints."""

    def __init__(self, models):
        manifest = tomllib.loads((models / "manifest.toml").read_text(encoding="utf-8"))
        entry = next(m for m in manifest["model"] if m["id"] == "gp-differential")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(models / entry["file"]), options, providers=["CPUExecutionProvider"])
        self.features = {name: i for i, name in enumerate(entry["features"])}
        self.labels = entry["labels"]
        self.conditions = {r["id"]: r for r in rows(models / "diagnosis/conditions.csv")}
        self.names = {}
        for row in rows(models / "diagnosis/findings.csv"):
            for name in [row["name_zh"], *row["synonyms"].split("|")]:
                if name:
                    self.names[name] = (row["id"], row["name_zh"])
        longest_first = sorted(self.names, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)))

    def read(self, text):
        """Yields (finding id, Chinese name, present) in the order of the text."""
        for match in self.pattern.finditer(text):
            finding, name = self.names[match.group()]
            before = CLAUSE_END.split(text[:match.start()])[-1]
            yield finding, name, not any(n in before for n in NEGATIONS)

    def run(self, mentions, age, sex):
        """Probabilities, one per label."""
        findings = numpy.zeros((1, len(self.features)), numpy.float32)
        for finding, _, present in mentions:
            column = self.features.get(finding)
            if column is not None:
                findings[0, column] = 1.0 if present else -1.0
        patient = numpy.array([[age, sex]], numpy.float32)
        return self.session.run(["probabilities"], {"findings": findings, "patient": patient})[0][0]


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def serve(arguments):
    from xiangyi.diagnosis.v1 import diagnosis_pb2 as pb
    from xiangyi.diagnosis.v1 import diagnosis_pb2_grpc as rpc

    model = Model(arguments.models)

    class Diagnosis(rpc.DiagnosisServiceServicer):
        def Diagnose(self, request, context):
            mentions = list(model.read(request.text))
            patient = request.patient
            age = patient.age_years if patient.HasField("age_years") else -1.0
            probabilities = model.run(mentions, age, {1: 1.0, 2: -1.0}.get(patient.sex, 0.0))
            consultation = pb.Consultation()
            for finding, name, present in mentions:
                state = pb.FINDING_STATE_PRESENT if present else pb.FINDING_STATE_ABSENT
                consultation.mentions.add(finding_id=finding, name=name, state=state)
            for i in numpy.argsort(-probabilities[:-1])[:8]:
                row = model.conditions[model.labels[i]]
                consultation.conditions.add(
                    condition_id=row["id"], name=row["name_zh"], name_en=row["name_en"],
                    icd10=row["icd10"], probability=float(probabilities[i]))
            return pb.DiagnoseResponse(consultation=consultation)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=arguments.workers))
    rpc.add_DiagnosisServiceServicer_to_server(Diagnosis(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--proto", type=pathlib.Path, required=True)
    parser.add_argument("--workers", type=int, default=8)
    arguments = parser.parse_args()
    compile_stubs(arguments.proto)
    serve(arguments)
