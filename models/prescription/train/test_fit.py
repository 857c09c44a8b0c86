"""The exported indication-fit model: shapes, known answers, and what holds of any input."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "indication-fit.onnx"
MODELS = tomllib.loads((HERE.parents[1] / "manifest.toml").read_text(encoding="utf-8"))["model"]
ENTRY = next(model for model in MODELS if model["id"] == "indication-fit")
CODES, MEDICINES = ENTRY["features"], ENTRY["labels"]


@pytest.fixture(scope="module")
def session():
    return onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])


def fit(session, pairs):
    """The scores of (medicine code, ICD-10 categories) pairs."""
    diagnosis = np.zeros((len(pairs), len(CODES)), np.float32)
    medicine = np.zeros((len(pairs), len(MEDICINES)), np.float32)
    for at, (drug, codes) in enumerate(pairs):
        if drug:
            medicine[at, MEDICINES.index(drug)] = 1
        for code in codes:
            diagnosis[at, CODES.index(code)] = 1
    return session.run(["fit"], {"diagnosis": diagnosis, "medicine": medicine})[0]


def test_graph_is_small_float32_and_opset_17():
    model = onnx.load(MODEL)
    assert model.opset_import[0].version <= 17
    assert MODEL.stat().st_size < 3_000_000
    assert {i.name: i.type.tensor_type.elem_type for i in model.graph.input} == {"diagnosis": 1, "medicine": 1}


def test_labels_are_unique_and_fit_the_graph(session):
    width = {i.name: i.shape[1] for i in session.get_inputs()}
    assert width == {"diagnosis": len(set(CODES)), "medicine": len(set(MEDICINES))}
    assert len(CODES) == len(set(CODES)) and len(MEDICINES) == len(set(MEDICINES))
    assert set(ENTRY["not_asked"]) <= set(MEDICINES)


@pytest.mark.parametrize("drug, right, wrong", [
    ("W185", "I10", "B77"),  # amlodipine: hypertension, not roundworm
    ("W315", "E11", "J45"),  # metformin: diabetes, not asthma
    ("W217", "J45", "E11"),  # salbutamol
    ("W006", "J03", "I10"),  # amoxicillin
    ("W044", "J10", "K29"),  # oseltamivir
    ("W151", "I20", "B37"),  # glyceryl trinitrate
    ("W086", "M10", "J06"),  # allopurinol
    ("W059", "B77", "I10"),  # albendazole
    ("W331", "E03", "J20"),  # levothyroxine
])
def test_known_answers(session, drug, right, wrong):
    good, bad = fit(session, [(drug, [right]), (drug, [wrong])])[:, 0]
    assert good > 0.5 > 0.1 > bad


def test_one_fitting_diagnosis_is_enough(session):
    both, one, other = fit(session, [("W185", ["I10", "B77"]), ("W185", ["I10"]), ("W185", ["B77"])])[:, 0]
    assert both == pytest.approx(max(one, other), abs=1e-6)


def test_nothing_given_scores_nothing(session):
    assert (fit(session, [("W185", []), (None, ["I10"]), (None, [])]) < 1e-6).all()


def test_shape_range_batch_and_determinism(session):
    rng = np.random.default_rng(1)
    pairs = [(MEDICINES[m], [CODES[c] for c in rng.integers(0, len(CODES), 3)]) for m in rng.integers(0, len(MEDICINES), 200)]
    scores = fit(session, pairs)
    assert scores.shape == (200, 1) and scores.dtype == np.float32
    assert np.isfinite(scores).all() and (0 <= scores).all() and (scores <= 1).all()
    assert np.array_equal(scores, fit(session, pairs))
    assert np.allclose(scores[:5], np.concatenate([fit(session, [p]) for p in pairs[:5]]), atol=1e-6)


def test_card_verdict_and_hint_agree():
    metrics = json.loads((HERE / "metrics.json").read_text(encoding="utf-8"))
    checks = dict(metrics["verdict"])
    assert checks.pop("hint_on_by_default") == all(checks.values())
