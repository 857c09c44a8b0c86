"""Train the indication-fit model: how well a medicine and a diagnosis belong together.

A logistic factorisation: the logit of (medicine, ICD-10 category) is a dot product of two sums of feature
vectors plus biases. Features of a medicine: itself, ingredients, classes, subcategory, category, kind.
Features of a category: itself, its decade (J2), its chapter and the character pairs of its names.
Training signal: the grid of `indications.csv`, and pages of a scraped disease site as weak extra pairs.
The score ranks alternatives and feeds a passive hint; it decides nothing.

    python train.py --models MODELS --pages kg_8792_compact.jsonl --icd-names opendrg_ZD_INFO.dat --out .

writes MODELS/prescription/indication-fit.onnx with its entry in MODELS/manifest.toml, and the figures to --out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import precision_recall_curve, roc_auc_score

from data import TABLES, Data, chapter, load

# The writer of manifests of the differential's training, which is in a folder of the same name.
_at = Path(__file__).resolve().parents[2] / "diagnosis" / "train" / "manifest.py"
_spec = importlib.util.spec_from_file_location("manifest", _at)
manifest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(manifest)

SEED, RANK, STEPS, RATE = 20261128, 64, 200, 0.02
DECAY, PAGE_WEIGHT, PAGE_GROUND = 5e-2, 1.0, 0.1  # chosen on the validation diseases
OPSET, IR_VERSION, NOWHERE = 17, 8, -30.0
VERSION = "2026.11.2"
DOUBTED = 0.05  # share of the pairs on validation pages whose score may lie below the cut of the hint
# A medicine, a diagnosis it is for, and one it is not for: hypertension, diabetes, asthma, tonsillitis, gout, roundworm.
KNOWN = [("W185", "I10", "B77"), ("W315", "E11", "J45"), ("W217", "J45", "E11"), ("W006", "J03", "I10"),
         ("W086", "M10", "J06"), ("W059", "B77", "I10")]


def split(codes: list[str], width: int) -> np.ndarray:
    """0 train (60%), 1 validation (20%), 2 test (20%), by the first `width` characters of the code."""
    groups = sorted({code[:width] for code in codes})
    part = dict(zip(groups, np.random.default_rng(SEED).choice(3, len(groups), p=[0.6, 0.2, 0.2])))
    return np.array([part[code[:width]] for code in codes])


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Probability of a logit."""
    return 1 / (1 + np.exp(-np.clip(logit, NOWHERE, -NOWHERE)))


def fit(data: Data, table_codes: np.ndarray, page_codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medicine and category vectors (biases as last columns) from the table and page columns allowed."""
    columns = np.flatnonzero(table_codes & (data.table.max(0) > 0) | page_codes & (data.pages.max(0) > 0))
    in_table = (table_codes & (data.table.max(0) > 0))[columns]
    target = np.where(in_table, data.table[:, columns], 0)
    weight = np.where(in_table, 1.0, PAGE_GROUND).astype(np.float32) * np.ones_like(target)
    extra = (data.pages[:, columns] > 0) & page_codes[columns] & (target == 0)
    target, weight = np.where(extra, 1, target).astype(np.float32), np.where(extra, PAGE_WEIGHT, weight)
    weight[data.any_use] = 0
    weight = (weight / weight.sum()).astype(np.float32)
    left, right_all = data.medicine_features, data.code_features
    right, rng = right_all[columns], np.random.default_rng(SEED)
    weights = [rng.normal(0, 0.1, (side.shape[1], RANK + 1)).astype(np.float32) for side in (left, right)]
    weights[0][:, -1] = weights[1][:, -1] = 0
    base = np.float32(np.log((target * weight).sum() / (1 - (target * weight).sum())))
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step in range(1, STEPS + 1):
        a, b = left @ weights[0], right @ weights[1]
        logit = a[:, :-1] @ b[:, :-1].T + a[:, -1:] + b[:, -1] + base
        error = weight * (sigmoid(logit) - target)
        to_a = np.hstack([error @ b[:, :-1], error.sum(1, keepdims=True)])
        to_b = np.hstack([error.T @ a[:, :-1], error.sum(0)[:, None]])
        rate = RATE * min(1.0, 2 * (1 - step / (STEPS + 1)))
        for at, gradient in enumerate((left.T @ to_a, right.T @ to_b)):
            gradient = gradient + DECAY / weights[at].shape[0] * weights[at]
            first[at] = 0.9 * first[at] + 0.1 * gradient
            second[at] = 0.99 * second[at] + 0.01 * gradient**2
            adam = (first[at] / (1 - 0.9**step)) / (np.sqrt(second[at] / (1 - 0.99**step)) + 1e-9)
            weights[at] -= (rate * adam).astype(np.float32)
    a, b = left @ weights[0], right_all @ weights[1]
    b[:, -1] += base
    return a, b


def scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Probability of every pair."""
    return sigmoid(a[:, :-1] @ b[:, :-1].T + a[:, -1:] + b[:, -1])


def back_off(data: Data, known: np.ndarray) -> np.ndarray:
    """The table without a model: the share of known neighbours (same decade, then chapter) it names."""
    result = np.zeros_like(data.table)
    listed = known & (data.table.max(0) > 0)
    for part, share in ((lambda c: c[:2], 1.0), (chapter, 0.1)):
        groups = np.array([part(code) for code in data.codes])
        for group in np.unique(groups):
            here, mine = listed & (groups == group), groups == group
            if here.any():
                result[:, mine] += share * (data.table[:, here] > 0).mean(1, keepdims=True)
    return result


def threshold(truth: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """The cut-off with the best F1."""
    precision, recall, cuts = precision_recall_curve(truth, score, sample_weight=weight)
    return float(cuts[np.argmax((2 * precision * recall / np.maximum(precision + recall, 1e-9))[:-1])])


def judge(truth, score, grid, weight, valid, test) -> dict:
    """AUC, and precision and recall at the cut-off of the validation part; also the mean AUC of a disease."""
    take = lambda m, part: m[grid & part]
    cut = threshold(take(truth, valid), take(score, valid), take(weight, valid))
    t, s, w = take(truth, test), take(score, test), take(weight, test)
    said = s >= cut
    hit = w[said & t].sum()
    each = [roc_auc_score(truth[g, c], score[g, c], sample_weight=weight[g, c]) for c in np.flatnonzero((grid & test).any(0))
            if (g := grid[:, c]).any() and 0 < truth[g, c].sum() < g.sum()]
    p, r = float(hit / max(w[said].sum(), 1e-9)), float(hit / w[t].sum())
    return {"auc": round(roc_auc_score(t, s, sample_weight=w), 4), "auc_per_disease": round(float(np.mean(each)), 4),
            "precision": round(p, 4), "recall": round(r, 4), "f1": round(2 * p * r / max(p + r, 1e-9), 4), "cut": round(cut, 5),
            "diseases": len(each), "positives": int(t.sum())}


def margin(truth, one, two, grid, weight, test, draws=300) -> list[float]:
    """95% interval of AUC(one) − AUC(two) when the test diseases are drawn again."""
    columns, rng, found = np.flatnonzero((truth & grid & test).any(0)), np.random.default_rng(SEED), []
    cut = {c: (truth[grid[:, c], c], one[grid[:, c], c], two[grid[:, c], c], weight[grid[:, c], c]) for c in columns}
    for _ in range(draws):
        t, x, y, w = (np.concatenate(v) for v in zip(*(cut[c] for c in rng.choice(columns, len(columns)))))
        found.append(roc_auc_score(t, x, sample_weight=w) - roc_auc_score(t, y, sample_weight=w))
    return [round(float(v), 4) for v in np.percentile(found, [2.5, 97.5])]


def export(a: np.ndarray, b: np.ndarray, path: Path) -> None:
    """The graph: the best of the diagnoses given; 0 where no diagnosis or no medicine is given."""
    constants = {"medicine_vectors": np.hstack([a[:, :-1], a[:, -1:], np.ones_like(a[:, :1])]),
                 "diagnosis_vectors": np.hstack([b[:, :-1], np.ones_like(b[:, :1]), b[:, -1:]]).T,
                 "half": np.float32([0.5]), "nowhere": np.float32([NOWHERE])}
    node = helper.make_node
    nodes = [node("MatMul", ["medicine", "medicine_vectors"], ["medicine_vector"]),
             node("MatMul", ["medicine_vector", "diagnosis_vectors"], ["logits"]),
             node("Greater", ["diagnosis", "half"], ["given"]),
             node("Where", ["given", "logits", "nowhere"], ["logits_given"]),
             node("ReduceMax", ["logits_given"], ["best"], axes=[1], keepdims=1),
             node("ReduceMax", ["medicine"], ["any_medicine"], axes=[1], keepdims=1),
             node("Greater", ["any_medicine", "half"], ["has_medicine"]),
             node("Where", ["has_medicine", "best", "nowhere"], ["logit"]), node("Sigmoid", ["logit"], ["fit"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "indication-fit",
        [value("diagnosis", TensorProto.FLOAT, ["batch", len(b)]), value("medicine", TensorProto.FLOAT, ["batch", len(a)])],
        [value("fit", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.ascontiguousarray(v, np.float32), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def evaluate_table(data: Data, part: np.ndarray) -> dict:
    """Held-out pairs of the indication table: its rows of the held-out diseases are hidden from all."""
    train, truth = part == 0, data.table > 0
    grid = np.broadcast_to(~data.any_use[:, None] & truth.any(0), truth.shape)
    valid, test, even = (np.broadcast_to(m, truth.shape) for m in (part == 1, part == 2, np.float32(1)))
    model, neighbours = scores(*fit(data, train, train)), back_off(data, train)
    return {"model": judge(truth, model, grid, even, valid, test),
            "table_back_off": judge(truth, neighbours, grid, even, valid, test),
            "auc_margin_over_back_off": margin(truth, model, neighbours, grid, even, test)}


def evaluate_pages(data: Data, part: np.ndarray, model: np.ndarray) -> dict:
    """Pairs of held-out pages; the whole table is known to the model and to the baselines."""
    table, truth = data.table > 0, data.pages > 0
    every = np.ones(len(part), bool)
    plain, neighbours = data.table.astype(np.float64), back_off(data, every)
    valid, test = (np.broadcast_to(part == p, truth.shape) for p in (1, 2))
    grid = np.broadcast_to((truth.any(1) & ~data.any_use)[:, None] & truth.any(0), truth.shape)
    frequency = (truth[:, part == 0].sum(1) + 0.5).astype(np.float32)[:, None]
    weights = {"even": np.ones(truth.shape, np.float32), "by_popularity": np.where(truth, np.float32(1), frequency)}
    rivals = {"model": model, "table": plain, "table_back_off": table + neighbours / 2, "table_then_model": table + model}
    result = {}
    for name, cells in (("all_pairs", grid), ("pairs_not_in_table", grid & ~table)):
        for kind, weight in weights.items():
            one = {rival: judge(truth, score, cells, weight, valid, test) for rival, score in rivals.items()}
            for rival in ("table", "table_back_off"):
                one[f"auc_margin_over_{rival}"] = margin(truth, model, rivals[rival], cells, weight, test)
            result[f"{name}/{kind}"] = one
    return result


def verdict(table: dict, pages: dict) -> dict:
    """Whether the hint may be on: better than the table in rank and at its cut, and than the back-off, everywhere."""
    every = [pages["all_pairs/even"], pages["all_pairs/by_popularity"]]
    checks = {
        "ranks_pages_better_than_table": all(p["auc_margin_over_table"][0] > 0 for p in every),
        "f1_on_pages_better_than_table": all(p["model"]["f1"] > p["table"]["f1"] for p in every),
        "ranks_pages_better_than_back_off": all(p["auc_margin_over_table_back_off"][0] > 0 for p in every),
        "ranks_held_out_table_better_than_back_off": table["auc_margin_over_back_off"][0] > 0,
        "f1_on_held_out_table_better_than_back_off": table["model"]["f1"] > table["table_back_off"]["f1"]}
    return {**checks, "hint_on_by_default": all(checks.values())}


def hint(data: Data, part: np.ndarray, score: np.ndarray) -> dict:
    """The cut below which a score is told, from validation pages, and what it does on test pages."""
    truth = (data.pages > 0) & ~data.any_use[:, None]
    rest = np.broadcast_to((truth.any(1) & ~data.any_use)[:, None] & truth.any(0), truth.shape) & ~truth
    valid, test = (np.broadcast_to(part == p, truth.shape) for p in (1, 2))
    cut = float(np.quantile(score[truth & valid], DOUBTED))
    below = {name: round(float((score[cells & test] < cut).mean()), 4)
             for name, cells in (("attested", truth), ("attested_and_in_table", truth & (data.table > 0)), ("others", rest))}
    return {"below": cut, "share_doubted_on_test_pages": below}


def entry(data: Data, a: np.ndarray, b: np.ndarray, path: Path, cut: float) -> str:
    """The model's block in `manifest.toml`."""
    codes = [row["code"] for row in data.medicines]
    score = scores(a, b)
    content = path.read_bytes()
    any_use = [c for c, any_use in zip(codes, data.any_use) if any_use]
    text = f"""[[model]]
id = "indication-fit"
kind = "indication-fit"
version = "{VERSION}"
file = "prescription/indication-fit.onnx"
sha256 = "{hashlib.sha256(content).hexdigest()}"
bytes = {len(content)}
card = "prescription/indication-fit.md"
tables = ["prescription/indications.csv", "prescription/medicines.csv", "prescription/ingredients.csv"]
# below this the node tells, where the switch is on, that the model sees no fit
hint_below = {cut:.6f}
# ICD-10 categories
features = {manifest.strings(data.codes)}
# medicines
labels = {manifest.strings(codes)}
# indicated for anything
not_asked = {manifest.strings(any_use)}
"""
    for kind, name, width in (("input", "diagnosis", len(data.codes)), ("input", "medicine", len(codes)), ("output", "fit", 1)):
        text += f'[[model.{kind}]]\nname = "{name}"\ndtype = "f32"\nshape = ["batch", {width}]\n'
    for medicine, right, wrong in KNOWN:
        for diagnosis in (right, wrong):
            expect = score[codes.index(medicine), data.codes.index(diagnosis)]
            text += (f'[[model.fit_test]]\ndiagnoses = ["{diagnosis}"]\nmedicine = "{medicine}"\n'
                     f"expect = {expect:.6f}\ntolerance = 1e-4\n")
    return text


def main() -> None:
    """Reads, evaluates, trains the shipped model and writes it with its manifest entry and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the project's models/ folder")
    parser.add_argument("--pages", type=Path, required=True, help="scraped disease pages, JSON lines")
    parser.add_argument("--icd-names", type=Path, help="lines of `code name`, for names the tables lack")
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()
    began = time.monotonic()
    data, used = load(args.models, args.pages, args.icd_names)
    part = split(data.codes, 3)
    a, b = fit(data, np.ones(len(part), bool), part == 0)
    path = args.models / "prescription" / "indication-fit.onnx"
    export(a, b, path)
    told = hint(data, part, scores(a, b))
    manifest.rewrite(args.models / "manifest.toml", "indication-fit", entry(data, a, b, path, told["below"]))
    table, pages = evaluate_table(data, part), evaluate_pages(data, part, scores(a, b))
    codes = [row["code"] for row in data.medicines]
    metrics = {
        "seed": SEED, "data": {**used, "categories": len(data.codes), "medicines": len(codes), "table_pairs": int((data.table > 0).sum()),
                               "left_out_any_use": int(data.any_use.sum()),
                               "test_page_categories": int(((data.pages.max(0) > 0) & (part == 2)).sum())},
        "verdict": verdict(table, pages), "hint": told, "held_out_table": table,
        "held_out_table_by_decade": evaluate_table(data, split(data.codes, 2)), "held_out_pages": pages,
        "sha256": {name: hashlib.sha256((args.models / name).read_bytes()).hexdigest() for name in TABLES}}
    content = json.dumps(metrics, ensure_ascii=False, indent=1) + "\n"
    (args.out / "metrics.json").write_text(content, encoding="utf-8")
    print(json.dumps(metrics["verdict"], indent=1), f"{time.monotonic() - began:.0f} s", sep="\n")


if __name__ == "__main__":
    main()
