"""The ten-line Python client of the README. Generate the stubs first:

    python -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. \\
        $(cd proto && find . -name '*.proto')
"""

import sys

import grpc
from xiangyi.common.v1 import patient_pb2 as common
from xiangyi.diagnosis.v1 import diagnosis_pb2 as pb, diagnosis_pb2_grpc as rpc

with grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051") as channel:
    answer = rpc.DiagnosisServiceStub(channel).Diagnose(pb.DiagnoseRequest(
        patient=common.Patient(age_years=45, sex=common.SEX_MALE),
        text="发热3天，咳嗽咳黄痰，右胸痛"), timeout=5)
for c in answer.consultation.conditions:
    print(f"{c.probability:6.1%} {c.name} {c.icd10}")
