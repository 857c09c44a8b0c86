"""A real node and stubs generated from the contract, for the tests beside this file."""

import json
import os
import pathlib
import subprocess
import sys

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """Compiles proto/ with grpcio-tools, as any Python client would, and makes it importable."""
    from grpc_tools import protoc

    out = tmp_path_factory.mktemp("stubs")
    protos = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={out}",
                 f"--grpc_python_out={out}", *protos]
    assert protoc.main(arguments) == 0
    sys.path.insert(0, str(out))
    yield out
    sys.path.remove(str(out))


@pytest.fixture(scope="session", params=["rten", "onnxruntime"])
def node(request, tmp_path_factory):
    """`xiangyi serve` on a free port with each engine; yields its address."""
    binary = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
    folder = tmp_path_factory.mktemp(request.param)
    config = folder / "node.toml"
    config.write_text(
        '[server]\nlisten = "127.0.0.1:0"\n'
        f'[store]\ndir = "{folder / "data"}"\n'
        f'[models]\nengine = "{request.param}"\n'
        '[log]\nlevel = "warn"\n', encoding="utf-8")
    process = subprocess.Popen([binary, "serve", "--json", "--config", config],
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line, "the node did not start"
    yield json.loads(line)["grpc"]
    process.terminate()
    assert process.wait(timeout=20) == 0, "the node did not drain cleanly"


@pytest.fixture
def channel(node, stubs):
    with grpc.insecure_channel(node) as channel:
        yield channel
