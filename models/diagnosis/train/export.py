"""Write the network as an ONNX graph, by hand, with plain operators only.

The graph holds everything: thresholds on the findings, the encoding of age and
sex, the two hidden layers, the calibration and the age and sex limits. It has no
control flow and fixed weights, so that any small engine runs it.

There are two of it. One is float32 throughout. In the other the weights of what is present and
absent, nine tenths of all, are 8-bit integers with a scale for each column. Their inputs are 0 or 1
and so exact in 8 bits: only the weights are rounded, nothing depends on the other rows of a batch
(as it would if activations were scaled when it runs), and no processor's 16-bit sums of two
products overflow. What is left (age, sex, hidden layers) stays float32.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import network as net

OPSET = 17
IR_VERSION = 8


class _Graph:
    """Collects nodes and initializers under readable names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value, dtype=np.float32) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def flag(self, operator: str, inputs: list[str], output: str) -> str:
        """A comparison as 0 or 1 in float32."""
        self.add(operator, inputs, output + "_bool")
        return self.add("Cast", [output + "_bool"], output, to=TensorProto.FLOAT)


def _patient(g: _Graph) -> tuple[list[str], str, str, str, str]:
    """Encode `patient`; returns the input pieces and known, age, male, female."""
    zero, half, minus = g.constant("zero", [0.0]), g.constant("half", [0.5]), g.constant("minus_half", [-0.5])
    age_raw = g.add("Gather", ["patient", g.constant("column_age", [0], np.int64)], "age_raw", axis=1)
    sex = g.add("Gather", ["patient", g.constant("column_sex", [1], np.int64)], "sex", axis=1)
    g.add("GreaterOrEqual", [age_raw, zero], "age_known_bool")
    known = g.add("Cast", ["age_known_bool"], "age_known", to=TensorProto.FLOAT)
    g.add("Where", ["age_known_bool", age_raw, zero], "age_or_zero")
    g.constant("age_low", 0.0)
    g.constant("age_high", net.AGE_MAX)
    age = g.add("Clip", ["age_or_zero", "age_low", "age_high"], "age")
    g.add("Add", [age, g.constant("age_shift", [net.AGE_SHIFT])], "age_shifted")
    g.add("Log", ["age_shifted"], "age_log")
    g.add("Sub", ["age_log", g.constant("age_centres", np.log(net.AGE_CENTRES + net.AGE_SHIFT)[None])], "age_off")
    g.add("Div", ["age_off", g.constant("age_width", [net.AGE_WIDTH])], "age_z")
    g.add("Mul", ["age_z", "age_z"], "age_z2")
    g.add("Sub", [zero, "age_z2"], "age_minus_z2")
    g.add("Exp", ["age_minus_z2"], "age_bump")
    bins = g.add("Mul", ["age_bump", known], "age_bins")
    g.flag("GreaterOrEqual", [age, g.constant("age_step_years", net.AGE_STEPS[None])], "age_over")
    steps = g.add("Mul", ["age_over", known], "age_steps")
    male = g.flag("Greater", [sex, half], "male")
    female = g.flag("Less", [sex, minus], "female")
    return [bins, steps, known, male, female], known, age, male, female


def _limits(g: _Graph, limits: net.Limits, known: str, age: str, male: str, female: str) -> str:
    """The penalty on impossible conditions, [batch, K+1]."""
    g.flag("Less", [age, g.constant("limit_age_min", limits.age_min[None])], "too_young")
    g.flag("Greater", [age, g.constant("limit_age_max", limits.age_max[None])], "too_old")
    g.add("Add", ["too_young", "too_old"], "wrong_age_raw")
    g.add("Mul", ["wrong_age_raw", known], "wrong_age")
    g.add("Mul", [male, g.constant("limit_female_only", limits.female_only[None])], "not_female")
    g.add("Mul", [female, g.constant("limit_male_only", limits.male_only[None])], "not_male")
    g.add("Add", ["not_female", "not_male"], "wrong_sex")
    g.add("Add", ["wrong_age", "wrong_sex"], "limits_broken")
    return g.add("Mul", ["limits_broken", g.constant("impossible", [net.IMPOSSIBLE])], "limit_penalty")


def rounded(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [in, out] as int8 [in, out] and float32 scales [out]: weights are about int8 * scale."""
    scale = np.maximum(np.abs(weights).max(0), 1e-12) / 127
    return np.round(weights / scale).astype(np.int8), scale.astype(np.float32)


def _of_flags(g: _Graph, flags: str, weights: np.ndarray, output: str) -> str:
    """flags (comparisons, [batch, in]) times weights [in, out] that are rounded to 8 bits."""
    g.add("Cast", [flags], output + "_u8", to=TensorProto.UINT8)
    exact, scale = rounded(weights)
    g.add("MatMulInteger", [output + "_u8", g.constant("w_" + output, exact, np.int8)], output + "_i32")
    g.add("Cast", [output + "_i32"], output + "_f32", to=TensorProto.FLOAT)
    return g.add("Mul", [output + "_f32", g.constant("scale_" + output, scale[None])], output)


def _logits_int8(g: _Graph, w: dict[str, np.ndarray], features: int, pieces: list[str]) -> str:
    """The network of `_logits`, what is present and absent by integers; [batch, K+1]."""
    hidden = w["w2"].shape[0]
    narrow = _of_flags(g, "absent_bool", w["absent"], "absent_narrow")
    both = np.concatenate([w["w1"][:features], w["direct"][:features]], axis=1)
    _of_flags(g, "present_bool", both, "of_present")
    widths = g.constant("widths", [hidden, w["b3"].shape[0]], np.int64)
    g.nodes.append(helper.make_node("Split", ["of_present", widths], ["present_z1", "present_z3"], "of_present_parts", axis=1))
    x = g.add("Concat", [narrow, *pieces], "x", axis=1)
    g.add("Gemm", [x, g.constant("w1", w["w1"][features:]), g.constant("b1", w["b1"])], "rest_z1")
    g.add("Add", ["rest_z1", "present_z1"], "z1")
    g.add("Relu", ["z1"], "h1")
    g.add("Gemm", ["h1", g.constant("w2", w["w2"]), g.constant("b2", w["b2"])], "z2")
    g.add("Relu", ["z2"], "h2")
    g.add("Concat", ["h2", x], "h2_and_x", axis=1)
    final = np.concatenate([w["w3"], w["direct"][features:]])
    g.add("Gemm", ["h2_and_x", g.constant("w3", final), g.constant("b3", w["b3"])], "rest_z3")
    return g.add("Add", ["rest_z3", "present_z3"], "logits_raw")


def _logits(g: _Graph, w: dict[str, np.ndarray], pieces: list[str]) -> str:
    """The network in float32; [batch, K+1]."""
    narrow = g.add("MatMul", ["absent", g.constant("w_absent", w["absent"])], "absent_narrow")
    x = g.add("Concat", ["present", narrow, *pieces], "x", axis=1)
    g.add("Gemm", [x, g.constant("w1", w["w1"]), g.constant("b1", w["b1"])], "z1")
    g.add("Relu", ["z1"], "h1")
    g.add("Gemm", ["h1", g.constant("w2", w["w2"]), g.constant("b2", w["b2"])], "z2")
    g.add("Relu", ["z2"], "h2")
    g.add("Concat", ["h2", x], "h2_and_x", axis=1)
    final = np.concatenate([w["w3"], w["direct"]])
    return g.add("Gemm", ["h2_and_x", g.constant("w3", final), g.constant("b3", w["b3"])], "logits_raw")


def build(model: net.Network, limits: net.Limits, name: str, version: str, int8: bool = False) -> onnx.ModelProto:
    """The ONNX model: findings [batch, F], patient [batch, 2] -> probabilities [batch, K+1].

    int8: with the weights of what is present and absent as 8-bit integers.
    """
    g, w = _Graph(), model.weights
    pieces, known, age, male, female = _patient(g)
    present = g.flag("Greater", ["findings", "half"], "present")
    absent = g.flag("Less", ["findings", "minus_half"], "absent")
    _logits_int8(g, w, model.features, pieces) if int8 else _logits(g, w, pieces)
    g.add("Add", [present, absent], "known")
    g.add("MatMul", ["known", g.constant("ones", np.ones((model.features, 1)))], "facts")
    g.add("Add", ["facts", g.constant("one", [1.0])], "facts_one")
    g.add("Log", ["facts_one"], "facts_log")
    g.add("Mul", ["facts_log", g.constant("scale_facts", [model.scale[1]])], "scale_part")
    g.add("Add", ["scale_part", g.constant("scale_base", [model.scale[0]])], "scale")
    g.add("Mul", ["logits_raw", "scale"], "logits_scaled")
    penalty = _limits(g, limits, known, age, male, female)
    g.add("Add", ["logits_scaled", penalty], "logits")
    g.add("Softmax", ["logits"], "probabilities", axis=1)
    io = lambda n, width: helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", width])  # noqa: E731
    graph = helper.make_graph(
        g.nodes, name, [io("findings", model.features), io("patient", 2)],
        [io("probabilities", model.labels)], g.initializers,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    proto.ir_version = IR_VERSION
    proto.producer_name = "xiangyi"
    proto.producer_version = version
    onnx.checker.check_model(proto, full_check=True)
    return proto


def read_back(path: str) -> tuple[net.Network, net.Limits]:
    """Network and limits from a file that `build` wrote, for the parity check."""
    proto = onnx.load(path)
    a = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    hidden, labels = a["w2"].shape[0], a["w3"].shape[1]
    features, rank = a["w_absent"].shape
    model = net.Network(features, labels, hidden, rank)
    model.weights = {"absent": a["w_absent"]} | {k: a[k] for k in ("w1", "b1", "w2", "b2", "b3")}
    model.weights["w3"], model.weights["direct"] = a["w3"][:hidden], a["w3"][hidden:]
    model.scale = np.array([a["scale_base"][0], a["scale_facts"][0]], np.float32)
    limits = net.Limits(
        a["limit_age_min"][0], a["limit_age_max"][0],
        a["limit_female_only"][0], a["limit_male_only"][0],
    )
    return model, limits
