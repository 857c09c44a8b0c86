"""Reports of `xiangyi bench`, held to their schema by another program."""

import glob
import json
import os
import pathlib
import subprocess
import time

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def bench(*arguments, **environment):
    binary = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
    return subprocess.run([binary, "bench", *arguments], capture_output=True, text=True,
                          env=os.environ | environment)


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(bench("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def report():
    done = bench("--quick", "--only", "machine,models,check", "--threads", "1", "--batch", "1,8",
                 "--json", XIANGYI_MODELS_ENGINE="rten")
    assert done.returncode in (0, 4), done.stderr
    return json.loads(done.stdout)


def test_a_report_keeps_its_schema(validator, report):
    validator.validate(report)
    names = {metric["name"] for metric in report["metrics"]}
    assert {"disk.fsync_p50_ms", "check.half_knee_p99_ms",
            "model.gp-differential.rten.f32.t1.b8.rows_per_second"} <= names


def test_the_schema_can_fail(validator, report):
    for change in [
        lambda r: r.pop("metrics"),
        lambda r: r.update(schema="xiangyi-bench/2"),
        lambda r: r["metrics"][0].update(value="fast"),
        lambda r: r["curves"][0]["steps"][0].pop("p99_ms"),
        lambda r: r["sections"][0].update(state="odd"),
    ]:
        broken = json.loads(json.dumps(report))
        change(broken)
        assert not validator.is_valid(broken)


def test_onnxruntime_is_measured_too_where_it_is(report):
    there = {engine["name"]: engine for engine in report["machine"]["engines"]}
    measured = {run["engine"] for run in report["models"] if not run.get("error")}
    assert "rten" in measured
    assert ("onnxruntime" in measured) == bool(there["onnxruntime"].get("version"))


def test_the_clock_may_be_set_back_meanwhile(tmp_path):
    """The wall clock goes back by an hour while the second of two parts is measured."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/test installs faketime"
    jump, data = tmp_path / "clock", tmp_path / "data"
    jump.write_text("+0d\n", encoding="ascii")
    data.mkdir()
    environment = {"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": str(jump),
                   "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    binary = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
    process = subprocess.Popen([binary, "bench", "--quick", "--only", "machine,store", "--json",
                                "--data-dir", data], stdout=subprocess.PIPE, text=True,
                               env=os.environ | environment)
    while not list(data.glob("*/*/store.db")):
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.01)
    jump.write_text("-1h\n", encoding="ascii")
    report = json.loads(process.communicate(timeout=120)[0])
    assert process.returncode == 0
    assert any("set back by 3" in note and "monotonic" in note for note in report["notes"]), report
    assert all(0 < section["seconds"] < 60 for section in report["sections"])
