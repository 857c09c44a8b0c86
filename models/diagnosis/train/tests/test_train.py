"""The network, its ONNX graph, the simulator and the whole of train.py, on a small fixture."""

import copy
import hashlib
import json
import tomllib

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import cases as case_files
import dialogue
import export
import fit
import int8
import measure
import network as net
import tables as tb
import train
import twins
from simulate import Simulator

SMALL = fit.Settings(patients=3 * fit.CHUNK, hidden=32)


def load(folder):
    tables = tb.load_tables(folder)
    return tables, tb.probability_arrays(tables)


def random_network(tables):
    rng = np.random.default_rng(1)
    model = net.Network(len(tables.features), len(tables.labels), 16)
    normal = rng.standard_normal
    model.initialise(rng, 0.05 * normal((model.features, model.rank)), normal((model.inner, model.labels)), normal(model.labels))
    model.scale = np.array([0.9, 0.05], np.float32)
    return model, net.limits_of(tables.conditions)


def awkward_inputs(features, n=64):
    rng = np.random.default_rng(2)
    findings = rng.integers(-1, 2, (n, features)).astype(np.float32)
    findings[0] = np.nan
    findings[1] *= 1e9
    patient = np.stack([rng.uniform(-1, 99, n), rng.integers(-1, 2, n)], 1).astype(np.float32)
    patient[2:7, 0] = [np.nan, -np.inf, np.inf, 1e9, 0]
    patient[7, 1] = np.nan
    return findings, patient


def test_tests_done_are_no_features_and_named_diseases_are_known_as_such(folder):
    tables, _ = load(folder)
    assert "blood_test" not in tables.features
    assert [tables.features[i] for i in tables.named()] == ["bronchitis_named"]
    assert tables.labels[-1] == "outside"


def test_onnx_runtime_and_the_reference_agree_with_numpy_on_awkward_input(folder, tmp_path):
    tables, _ = load(folder)
    model, limits = random_network(tables)
    proto = export.build(model, limits, "test", "0")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    findings, patient = awkward_inputs(model.features)
    expected = model.probabilities(findings, patient, limits)
    inputs = {"findings": findings, "patient": patient}
    for got in (train.session(path).run(None, inputs)[0], ReferenceEvaluator(proto).run(None, inputs)[0]):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, expected, atol=2e-5)
        np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)
    again, limits_again = export.read_back(str(path))
    np.testing.assert_allclose(again.probabilities(findings, patient, limits_again), expected, atol=1e-6)


def test_a_row_does_not_depend_on_its_neighbours(folder, tmp_path):
    tables, _ = load(folder)
    model, limits = random_network(tables)
    path = tmp_path / "m.onnx"
    path.write_bytes(export.build(model, limits, "test", "0").SerializeToString())
    findings, patient = awkward_inputs(model.features)
    session = train.session(path)
    together = session.run(None, {"findings": findings, "patient": patient})[0]
    for i in range(len(findings)):
        alone = session.run(None, {"findings": findings[i : i + 1], "patient": patient[i : i + 1]})[0]
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)


def test_the_graph_uses_plain_operators_only(folder):
    tables, _ = load(folder)
    proto = export.build(*random_network(tables), "test", "0")
    allowed = {"Gather", "GreaterOrEqual", "Greater", "Less", "Cast", "Where", "Clip", "Add", "Log", "Sub",
               "Div", "Mul", "Exp", "Concat", "Gemm", "Relu", "MatMul", "Softmax"}
    assert {node.op_type for node in proto.graph.node} <= allowed
    assert proto.ir_version <= 10 and proto.opset_import[0].version == 17
    assert onnx.TensorProto.FLOAT == proto.graph.output[0].type.tensor_type.elem_type


def rounded_network(model):
    """The network with the weights that the 8-bit file has, in float32."""
    again = copy.deepcopy(model)
    as_float = lambda w: (lambda whole, scale: whole.astype(np.float32) * scale)(*export.rounded(w))  # noqa: E731
    n = model.features
    again.weights["absent"] = as_float(model.weights["absent"])
    again.weights["w1"][:n] = as_float(model.weights["w1"][:n])
    again.weights["direct"][:n] = as_float(model.weights["direct"][:n])
    return again


def test_8_bit_weights_are_off_by_half_a_step_at_most():
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 3, (50, 7)).astype(np.float32)
    weights[:, 2] = 0
    whole, scale = export.rounded(weights)
    assert whole.dtype == np.int8 and (np.abs(whole).max(0)[[0, 1, 3, 4, 5, 6]] == 127).all()
    assert (np.abs(whole * scale - weights) <= scale / 2 * 1.0001).all()
    assert (whole[:, 2] == 0).all()


def test_the_graph_with_8_bit_weights_computes_the_rounded_network_and_nothing_else(folder, tmp_path):
    tables, _ = load(folder)
    model, limits = random_network(tables)
    proto = export.build(model, limits, "test", "0", int8=True)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    findings, patient = awkward_inputs(model.features)
    expected = rounded_network(model).probabilities(findings, patient, limits)
    plain = model.probabilities(findings, patient, limits)
    assert 0 < np.abs(expected - plain).max() < 0.05
    session = train.session(path)
    together = session.run(None, {"findings": findings, "patient": patient})[0]
    reference = ReferenceEvaluator(proto).run(None, {"findings": findings, "patient": patient})[0]
    np.testing.assert_allclose(together, expected, atol=2e-5)
    np.testing.assert_allclose(reference, expected, atol=2e-5)
    # No scale is taken from the rows of a batch: a patient's answer is their own.
    for i in range(len(findings)):
        alone = session.run(None, {"findings": findings[i : i + 1], "patient": patient[i : i + 1]})[0]
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)
    kinds = {node.op_type for node in proto.graph.node}
    assert "MatMulInteger" in kinds and not kinds & {"DynamicQuantizeLinear", "QuantizeLinear"}
    integers = [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert {tuple(t.dims) for t in integers} == {
        model.weights["absent"].shape,
        (model.features, model.weights["w1"].shape[1] + model.weights["direct"].shape[1]),
    }


def test_the_shipped_file_with_8_bit_weights_is_made_from_the_shipped_file():
    shipped = train.REPOSITORY / "models/diagnosis"
    model, limits = export.read_back(str(shipped / f"{train.MODEL_ID}.onnx"))
    made = export.build(model, limits, train.MODEL_ID.replace("-", "_"), train.VERSION, int8=True)
    assert onnx.load(str(shipped / train.INT8)) == made


def test_a_file_with_8_bit_weights_that_is_worse_or_no_faster_is_not_entered(folder):
    right = np.eye(4, dtype=np.float32)[np.arange(20_000) % 4]
    label = np.arange(20_000) % 4
    wrong = right.copy()
    wrong[: 300] = np.roll(wrong[: 300], 1, axis=1)
    same, lower = int8.beside(right, right, label), int8.beside(right, wrong, label)
    assert same["top1"] == [1.0, 1.0] and same["apart_max"] == 0 and same["same_first"] == 1
    assert lower["top1_difference"] == -0.015 and lower["top1_lowest"] < -0.015
    fast, slow = {"1": {"ratio": 1.5}}, {"1": {"ratio": 1.05}}
    report = lambda accuracy, speed, features: {  # noqa: E731
        "accuracy": {"x": accuracy}, "speed": speed, "features": features}
    assert int8.worse(report(same, fast, ["avx512_vnni"])) == []
    assert any("top-1" in why for why in int8.worse(report(lower, fast, ["avx512_vnni"])))
    assert int8.worse(report(same, slow, ["avx512_vnni"])) == ["1 rows: 1.05 times as fast"]
    assert int8.worse(report(same, fast, [])) == ["this processor has none of avx512_vnni, avx_vnni"]
    # Some hundred cases say nothing about half a point.
    assert int8.worse(report(lower | {"n": 300}, fast, ["avx512_vnni"])) == []


def test_the_manifest_names_the_variant_and_a_new_training_takes_it_back(folder, data):
    out = folder
    options = ["--out", str(out), "--data", str(data), "--patients", str(3 * fit.CHUNK), "--hidden", "32"]
    assert train.main(options) == 0
    read = lambda: tomllib.loads((out.parent / "manifest.toml").read_text(encoding="utf-8"))["model"][0]  # noqa: E731
    assert "variant" not in read()
    (out / "int8.json").write_text(json.dumps({"entered": True, "features": ["avx512_vnni"]}), encoding="utf-8")
    assert train.main([*options, "--manifest-only"]) == 0
    (variant,) = read()["variant"]
    content = (out / train.INT8).read_bytes()
    assert variant == {
        "precision": "int8", "file": f"diagnosis/{train.INT8}", "bytes": len(content), "tolerance": train.INT8_TOLERANCE,
        "sha256": hashlib.sha256(content).hexdigest(), "engines": ["onnxruntime"], "cpu": ["avx512_vnni"],
    }
    (out / "int8.json").write_text(json.dumps({"entered": False, "features": ["avx512_vnni"]}), encoding="utf-8")
    assert train.main([*options, "--manifest-only"]) == 0 and "variant" not in read()
    assert train.main(options) == 0
    assert not (out / "int8.json").exists() and not (out / train.INT8).exists() and "variant" not in read()


def test_impossible_age_and_sex_are_ruled_out_only_when_known(folder):
    tables, _ = load(folder)
    model, limits = random_network(tables)
    findings = np.zeros((3, model.features), np.float32)
    patient = np.array([[50, 1], [0.01, 0], [-1, 0]], np.float32)
    p = model.probabilities(findings, patient, limits)
    newborn, infarct, pelvic = (tables.labels.index(c) for c in
                                ("neonatal_jaundice", "myocardial_infarction", "pelvic_infection"))
    assert p[0, newborn] < 1e-9 and p[0, pelvic] < 1e-9 and p[0, infarct] > 1e-9
    assert p[1, infarct] < 1e-9 and p[1, newborn] > 1e-9
    assert (p[2] > 1e-9).all()


def test_gradients_are_those_of_the_loss(folder):
    tables, _ = load(folder)
    model, limits = random_network(tables)
    model.weights = {k: v.astype(np.float64) for k, v in model.weights.items()}
    findings, patient = awkward_inputs(model.features, 16)
    x = net.encode(np.nan_to_num(findings), patient).astype(np.float64)
    labels = np.arange(16) % model.labels
    penalty = np.zeros((16, model.labels))
    rng = np.random.default_rng(0)
    _, grads = model.gradients(x, penalty, labels, 1.0, rng)
    for name in grads:
        at = tuple(s // 2 for s in model.weights[name].shape)
        losses = []
        for step in (1e-5, -1e-5):
            model.weights[name][at] += step
            losses.append(model.gradients(x, penalty, labels, 1.0, rng)[0])
            model.weights[name][at] -= step
        assert abs((losses[0] - losses[1]) / 2e-5 - grads[name][at]) < 1e-4, name


def test_simulated_patients_follow_the_tables(folder):
    tables, arrays = load(folder)
    simulator = Simulator(tables, arrays, arrays.prior)
    rng = np.random.default_rng(5)
    cases = simulator.draw(6000, rng, np.ones(len(arrays.prior)), 0.1)
    again = simulator.draw(6000, np.random.default_rng(5), np.ones(len(arrays.prior)), 0.1)
    assert (cases.findings == again.findings).all() and (cases.patient == again.patient).all()
    assert set(np.unique(cases.findings)) == {-1, 0, 1}
    assert ((cases.findings != 0).sum(1) >= 1).all()
    newborn = cases.label == tables.labels.index("neonatal_jaundice")
    assert cases.patient[newborn, 0].max() <= 0.08
    pelvic = cases.label == tables.labels.index("pelvic_infection")
    assert (cases.patient[pelvic, 1] <= 0).all()
    p = simulator.world(rng)[:, 0, 0]
    present = simulator.truth(np.repeat(p[:1], 20000, 0), rng)
    cold = dict(zip(tables.features, present.mean(0)))
    assert abs(cold["runny_nose"] - 0.85) < 0.1 and abs(cold["fever"] - 0.5) < 0.1
    fever, high = tables.features.index("fever"), tables.features.index("high_fever")
    assert not (present[:, high] & ~present[:, fever]).any()


def test_the_split_is_by_patient_and_fixed(folder, data):
    tables, _ = load(folder)
    loaded = dialogue.load(data, tables)
    assert (loaded.split == dialogue.load(data, tables).split).all()
    assert set(loaded.split) == {"train", "validation", "test"}
    case = {"pid": "a", "label": "x", "exp_sxs": {str(i): "1" for i in range(6)}, "imp_sxs": {}}
    assert dialogue.split_key("mz4", case) == dialogue.split_key("mz10", case | {"pid": "b"})
    cough = tables.features.index("cough")
    assert loaded.findings[0, cough] == 1
    fever = tables.features.index("fever")
    assert [loaded.findings[i, fever] for i in range(3)] == [-1, 1, 0]


def test_a_consultation_in_two_sets_stays_on_one_side():
    raw = lambda name, key, order: dialogue.Raw(name, key, "x", order)  # noqa: E731
    held_out = next(str(i) for i in range(99) if dialogue.split_of(str(i)) == "test")
    trained = next(str(i) for i in range(99) if dialogue.split_of(str(i)) == "train")
    cases = [
        raw("mz10", held_out, [1, 2, 3, 4, 5]),
        raw("mz4", trained, [1, 2, 3, 4, 6]),  # the twin: same order, one finding differs
        raw("mz4", trained, [5, 4, 3, 2, 1]),  # the same findings told in another order
        raw("mz10", trained, [1, 2, 3, 4, 6]),
    ]
    assert dialogue.assign_splits(cases, 10) == ["test", "unused", "train", "train"]
    assert dialogue.assign_splits(cases[:3], 10) == ["test", "test", "train"]
    assert twins.in_order([1, 2, 3, 4], [2, 1, 3, 4]) == 3


def test_measures_on_known_answers():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    assert measure.top(p, np.array([0, 1]), 1) == 0.5 and measure.top(p, np.array([0, 1]), 2) == 1.0
    assert abs(measure.brier(p[:1], np.array([0])) - (0.09 + 0.04 + 0.01)) < 1e-9
    assert measure.auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert abs(measure.ece(p[:1], np.array([0])) - 0.3) < 1e-9


def test_tuning_fits_the_consultations_and_touches_only_their_labels(folder, data):
    tables, arrays, dialogues = train.prepare(folder, data, lambda text: None)
    model, limits = random_network(tables)
    before = {k: v.copy() for k, v in model.weights.items()}
    rows = np.concatenate([dialogues.select("train", name) for name in fit.TUNED_SETS])
    cases = dialogues.cases(rows)

    def loss():
        p = model.probabilities(cases.findings, cases.patient, limits)
        return -np.log(p[np.arange(len(rows)), cases.label] + 1e-9).mean()

    first = loss()
    fit.tune(model, tables, arrays, dialogues, None, fit.Settings(), ("train",), lambda text: None)
    assert loss() < first
    others = np.setdiff1d(np.arange(len(tables.labels)), np.unique(cases.label))
    np.testing.assert_array_equal(model.weights["direct"][:, others], before["direct"][:, others])
    np.testing.assert_array_equal(model.weights["w1"], before["w1"])


def test_a_twin_that_never_saw_the_test_split_is_measured_on_it(folder, data):
    options = ["--data", str(data), "--out", str(folder), "--patients", "8192", "--hidden", "8"]
    assert train.main(options) == 0
    record = json.loads((folder / "train" / "training.json").read_text(encoding="utf-8"))
    dialogues = dialogue.load(data, tb.load_tables(folder))
    for name, figures in record["held_out"].items():
        assert figures["all"]["n"] == len(dialogues.select("test", name)) > 0


def test_a_split_is_written_as_case_files_with_and_without_named_diagnoses(folder, data, tmp_path):
    arguments = ["--data", str(data), "--tables", str(folder), "--out", str(tmp_path), "--split", "train"]
    assert case_files.main(arguments) == 0
    full, bare = ([json.loads(line) for line in (tmp_path / f"mz10-train{end}.jsonl").read_text().splitlines() if line]
                  for end in ("", "-unnamed"))
    assert len(full) == len(bare) > 0 and all(case["gold"][0] in case["candidates"] for case in full)
    named = {"支气管炎", "气管炎"}
    assert not any(named & {*case["present"], *case["absent"]} for case in bare)


def test_training_learns_and_writes_a_manifest_entry_with_self_tests(folder, data):
    manifest = folder.parent / "manifest.toml"
    other = 'schema = 1\n\n[[model]]\nid = "other"\nbytes = 1\n'
    manifest.write_text(other, encoding="utf-8")
    for _ in range(2):
        options = ["--data", str(data), "--out", str(folder), "--patients", str(SMALL.patients), "--hidden", "32"]
        assert train.main(options) == 0
    entries = tomllib.loads(manifest.read_text(encoding="utf-8"))["model"]
    assert [e["id"] for e in entries] == ["other", "gp-differential"]
    mine = entries[1]
    tables, arrays = load(folder)
    assert mine["features"] == tables.features and mine["labels"] == tables.labels
    onnx_model = train.session(folder / "gp-differential.onnx")
    for test in mine["self_test"]:
        p = train.run(onnx_model, train.self_test_case(test, tables.features))[0]
        assert tables.labels[int(p.argmax())] == test["expect_top"]
        assert abs(p.max() - test["expect_probability"]) < test["tolerance"]
    fresh = train.simulated(tables, arrays, SMALL, 2000, seed=9, even=True)
    assert measure.top(train.run(onnx_model, fresh), fresh.label, 1) > 0.7
