"""Measure the trained model and write the figures to metrics.json and into CARD.md.

    python models/diagnosis/train/evaluate.py --data ../shared/data --out models/diagnosis

Run from the repository root after train.py. The test split of the dialogue sets is
read here, and by train.py for a twin of the model that was fitted to the training split alone. The
rest is measured on the ONNX file in ONNX Runtime on one thread, beside naive Bayes over the same tables and logistic regression on the
same training stream.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

import card  # noqa: E402
import ddxplus  # noqa: E402
import dialogue  # noqa: E402
import export  # noqa: E402
import fit  # noqa: E402
import measure  # noqa: E402
import network as net  # noqa: E402
import tables as tb  # noqa: E402
import train  # noqa: E402
from simulate import Cases  # noqa: E402

SIMULATED_TEST = 30_000
FACT_BANDS = (("1-3", 1, 3), ("4-7", 4, 7), ("8+", 8, 10_000))
#: Every how-manieth condition is left out of training in the hold-out experiment.
HOLD_OUT_EVERY = 10


def rows_of(cases: Cases, rows: np.ndarray) -> Cases:
    return Cases(cases.findings[rows], cases.patient[rows], cases.label[rows])


def on_simulated(predict, cases: Cases, even: Cases, must_not_miss: np.ndarray, raw: Cases | None = None) -> dict:
    """Simulated patients at the model's priors, by facts; every condition equally often;
    and (raw) as often as prevalence.csv has it."""
    p = predict(cases)
    outside = p.shape[1] - 1
    inside = cases.label != outside
    facts = (cases.findings != 0).sum(1)
    result = {"all": measure.summary(p, cases.label, (1, 3, 5)), "by_facts": {}}
    result["inside"] = measure.summary(p[inside], cases.label[inside], (1, 3, 5))
    for name, low, high in FACT_BANDS:
        rows = inside & (facts >= low) & (facts <= high)
        if rows.any():
            result["by_facts"][name] = measure.summary(p[rows], cases.label[rows], (1, 3, 5))
    result["outside"] = outside_figures(p[:, outside], ~inside)
    if raw is not None:
        rows = raw.label != outside
        result["assumed_prevalence"] = measure.summary(predict(raw)[rows], raw.label[rows], (1, 3, 5))
    q = predict(even)
    result["even"] = measure.summary(q, even.label, (1, 3, 5))
    danger = must_not_miss[even.label]
    if danger.any():
        result["must_not_miss"] = measure.summary(q[danger], even.label[danger], (1, 3, 5))
    return result


def outside_figures(score: np.ndarray, positive: np.ndarray) -> dict:
    """Ranking and rates of `outside` as a detector; score is its probability."""
    figures = {"auc": round(measure.auc(score, positive), 4)}
    for threshold in (0.3, 0.5):
        figures[f"found_at_{threshold}"] = round(float((score[positive] >= threshold).mean()), 4)
        figures[f"false_at_{threshold}"] = round(float((score[~positive] >= threshold).mean()), 4)
    return figures


def latency(session, features: int) -> dict:
    """Median and 99th percentile microseconds per call on one thread, at batch 1 and 16."""
    rng = np.random.default_rng(0)
    result = {}
    for batch in (1, 16):
        inputs = {
            "findings": rng.integers(-1, 2, (batch, features)).astype(np.float32),
            "patient": np.tile(np.array([[40.0, 1.0]], np.float32), (batch, 1)),
        }
        times = []
        for i in range(3500):
            start = time.perf_counter_ns()
            session.run(None, inputs)
            if i >= 500:
                times.append((time.perf_counter_ns() - start) / 1000)
        result[str(batch)] = {
            "call_p50_us": round(float(np.percentile(times, 50)), 1),
            "call_p99_us": round(float(np.percentile(times, 99)), 1),
            "row_p50_us": round(float(np.percentile(times, 50)) / batch, 1),
        }
    return result


def hold_out(folder: Path, tables, arrays, settings, say) -> dict:
    """Train without every tenth condition, then see whether those patients count as outside.

    The only honest look at strangers: real tables, never seen in training.
    """
    left_out = [c.id for c in tables.conditions][HOLD_OUT_EVERY // 2 :: HOLD_OUT_EVERY]
    fewer = tb.load_tables(folder, frozenset(left_out))
    small = replace(settings, patients=min(settings.patients, 1_000_000), real_share=0.0)
    fewer_arrays = tb.probability_arrays(fewer)
    model = fit.fit(fewer, fewer_arrays, None, small)
    limits = net.limits_of(fewer.conditions)
    fit.calibrate(model, [(train.simulated(fewer, fewer_arrays, small, 10_000, seed=2), 1.0)], limits)
    known = train.simulated(fewer, fewer_arrays, small, 10_000, seed=11)
    known = rows_of(known, np.flatnonzero(known.label != len(fewer.conditions)))
    everyone = train.simulated(tables, arrays, settings, 60_000, seed=12, even=True)
    index = [i for i, c in enumerate(tables.conditions) if c.id in left_out]
    strange = rows_of(everyone, np.flatnonzero(np.isin(everyone.label, index)))
    p = [model.probabilities(c.findings, c.patient, limits)[:, -1] for c in (known, strange)]
    facts = np.concatenate([(c.findings != 0).sum(1) for c in (known, strange)])
    score, positive = np.concatenate(p), np.repeat([False, True], [len(p[0]), len(p[1])])
    say(f"hold-out: {len(left_out)} conditions, {positive.sum()} strangers")
    many = facts >= 8
    return {
        "conditions": left_out, "n_strangers": int(positive.sum()), "n_known": int((~positive).sum()),
        "all": outside_figures(score, positive), "8+": outside_figures(score[many], positive[many]),
    }


def measure_all(options, say) -> dict:
    """Every figure of the card."""
    record = json.loads((options.out / "train" / "training.json").read_text(encoding="utf-8"))
    settings = fit.Settings(**record["settings"])
    folder = options.tables or options.out
    tables, arrays, dialogues = train.prepare(folder, options.data, say)
    if not train.trained_on(options.out, tables):
        raise SystemExit("findings or conditions have changed since this model was trained: train again")
    session = train.session(options.out / f"{train.MODEL_ID}.onnx")
    limits = net.limits_of(tables.conditions)
    prior = fit.wanted_prior(arrays, settings)
    predictors = {"network": lambda cases: train.run(session, cases)}
    if not options.no_baselines:
        started = time.monotonic()
        plain = replace(settings, hidden=0, patients=min(settings.patients, 1_000_000), rate=1e-2, decay=0.0)
        linear = fit.fit(tables, arrays, dialogues, plain)
        synthetic = ddxplus.drawn(options.data, folder, tables, fit.TUNE_SYNTHETIC, seed=5)
        fit.tune(linear, tables, arrays, dialogues, synthetic, plain, ("train",), say)
        fit.calibrate(linear, train.validation_groups(tables, arrays, dialogues, settings), limits)
        say(f"logistic regression trained in {time.monotonic() - started:.0f} s")
        bayes = measure.NaiveBayes(arrays, prior, limits)
        predictors["logistic"] = lambda c: linear.probabilities(c.findings, c.patient, limits)
        predictors["naive_bayes"] = lambda c: bayes.probabilities(c.findings, c.patient)
    cases = train.simulated(tables, arrays, settings, SIMULATED_TEST, seed=10)
    even = train.simulated(tables, arrays, settings, SIMULATED_TEST, seed=13, even=True)
    raw = train.simulated(tables, arrays, settings, SIMULATED_TEST, seed=14, exponent=1.0)
    conditions = tb.read_rows(folder / "conditions.csv")
    danger = np.array([r["must_not_miss"] == "yes" for r in conditions] + [False])
    result = {"models": {}}
    for name, predict in predictors.items():
        # The shipped file was fitted to all consultations: train.py measured its twin that was not.
        real = None if name == "network" else measure.on_dialogues(predict, dialogues, tables.named())
        result["models"][name] = {
            "dialogues": real or record["held_out"],
            "simulated": on_simulated(predict, cases, even, danger, raw),
        }
        say(f"measured {name}")
    onnx_path = options.out / f"{train.MODEL_ID}.onnx"
    model, read_limits = export.read_back(str(onnx_path))
    by_numpy = model.probabilities(cases.findings, cases.patient, read_limits)
    result["parity_max_abs"] = float(np.abs(by_numpy - train.run(session, cases)).max())
    result["latency"] = latency(session, len(tables.features))
    result["training"] = record
    result["model"] = {
        "version": train.VERSION, "bytes": onnx_path.stat().st_size, "features": len(tables.features),
        "labels": len(tables.labels), "scale": [round(float(s), 4) for s in model.scale],
    }
    result["dialogue_data"] = describe(dialogues)
    if not options.no_hold_out:
        result["hold_out"] = hold_out(folder, tables, arrays, settings, say)
    return result


def describe(d: dialogue.Dialogues) -> dict:
    """Counts of the dialogue sets by split, and what the tables could not resolve."""
    splits = {s: {k: len(d.select(k, s)) for k in ("train", "validation", "test", "unused")} for s in dialogue.SETS}
    return {
        "splits": splits,
        "label_to_condition": d.label_names,
        "unresolved_finding_mentions": sum(d.unresolved_names.values()),
        "resolved_but_not_input_mentions": sum(d.not_features.values()),
        "unresolved_labels": dict(d.unresolved_labels),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=train.REPOSITORY / "../shared/data", help="shared data folder")
    parser.add_argument("--out", type=Path, default=train.REPOSITORY / "models/diagnosis", help="where the model is")
    parser.add_argument("--tables", type=Path, help="folder of the tables (default: --out)")
    parser.add_argument("--no-baselines", action="store_true", help="leave logistic regression and naive Bayes out")
    parser.add_argument("--no-hold-out", action="store_true", help="leave the held-out conditions experiment out")
    options = parser.parse_args(arguments)
    say = lambda text: print(text, flush=True)  # noqa: E731
    result = measure_all(options, say)
    text = json.dumps(result, ensure_ascii=False, indent=1)
    (options.out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    card.rewrite(options.out / "CARD.md", result)
    say(f"wrote {options.out / 'metrics.json'} and the figures in CARD.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
