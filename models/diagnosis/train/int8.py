"""Write the model with 8-bit weights, and say what it costs and what it gains.

    python models/diagnosis/train/int8.py --data ../shared/data --out models/diagnosis

Run from the repository root after train.py, on the processor that it is to be told of. Rounds the
weights of the shipped file (export.py), holds it beside that file on the same cases and in
alternating runs, writes int8.json and the part of CARD.md about it, and the variant in
../manifest.toml. A variant that is less accurate or not faster is not entered.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

import card  # noqa: E402
import dialogue  # noqa: E402
import export  # noqa: E402
import fit  # noqa: E402
import measure  # noqa: E402
import tables as tb  # noqa: E402
import train  # noqa: E402

#: Features of processors with which it may be taken, as Linux writes them, best first; those here are tried.
FEATURES = ("avx512_vnni", "avx_vnni")
#: Equally accurate: with 95 % confidence no rate is lower by this much (half a point).
MARGIN = 0.005
#: Measurably faster: the median of the ratios of alternating runs, in every batch size.
FASTER = 1.1
BATCHES = (1, 4, 16)
ROUNDS = 2_000
SIMULATED = 30_000


def hits(p: np.ndarray, label: np.ndarray, k: int) -> np.ndarray:
    return measure.ranks(p, label) < k


def beside(one: np.ndarray, other: np.ndarray, label: np.ndarray) -> dict:
    """Rates of the first and of the second, their difference and how far below zero it may be."""
    result: dict = {"n": len(label)}
    for k in (1, 3, 5):
        a, b = hits(one, label, k), hits(other, label, k)
        gap = b.astype(float) - a
        half = 1.96 * float(gap.std()) / max(len(gap), 1) ** 0.5
        result[f"top{k}"] = [round(float(a.mean()), 4), round(float(b.mean()), 4)]
        result[f"top{k}_difference"] = round(float(gap.mean()), 4)
        result[f"top{k}_lowest"] = round(float(gap.mean()) - half, 4)
    for name in ("ece", "brier"):
        of = getattr(measure, name)
        result[name] = [round(of(one, label), 4), round(of(other, label), 4)]
    apart = np.abs(one - other).max(1)
    result["same_first"] = round(float((one.argmax(1) == other.argmax(1)).mean()), 4)
    result["apart_p99"] = round(float(np.percentile(apart, 99)), 4)
    result["apart_max"] = round(float(apart.max()), 4)
    return result


def speed(first, second, cases) -> dict:
    """Medians in µs of runs that alternate, and the median of their ratios, by rows in a batch."""
    result = {}
    for batch in BATCHES:
        times = np.zeros((ROUNDS, 2))
        for at in range(-100, ROUNDS):
            start = at * batch % (len(cases.label) - batch)
            rows = slice(start, start + batch)
            inputs = {"findings": cases.findings[rows].astype(np.float32), "patient": cases.patient[rows]}
            for which, model in enumerate((first, second)):
                begun = time.perf_counter_ns()
                model.run(None, inputs)
                if at >= 0:
                    times[at, which] = (time.perf_counter_ns() - begun) / 1000
        ratios = times[:, 0] / times[:, 1]
        medians = np.median(times, axis=0)
        result[str(batch)] = {
            "f32_us": round(float(medians[0]), 1), "int8_us": round(float(medians[1]), 1),
            "ratio": round(float(np.median(ratios)), 2),
            "ratio_quartiles": [round(float(q), 2) for q in np.percentile(ratios, (25, 75))],
        }
    return result


def features_here() -> list[str]:
    """Which of FEATURES this processor has."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text(encoding="utf-8").split()) if info.exists() else set()
    return [name for name in FEATURES if name in flags]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def groups(options, tables, arrays, dialogues, settings):
    """What both are asked about: name and cases."""
    even = train.simulated(tables, arrays, settings, SIMULATED, seed=13, even=True)
    conditions = tb.read_rows((options.tables or options.out) / "conditions.csv")
    danger = np.array([r["must_not_miss"] == "yes" for r in conditions] + [False])[even.label]
    of = lambda cases, rows: type(cases)(cases.findings[rows], cases.patient[rows], cases.label[rows])  # noqa: E731
    yield "simulated, model's priors", train.simulated(tables, arrays, settings, SIMULATED, seed=10)
    yield "simulated, every condition equally often", even
    yield "… of these, must-not-miss conditions", of(even, danger)
    for name in dialogue.SETS:
        rows = dialogues.select("test", name)
        yield f"consultations of {card.SETS[name]}, test split", dialogues.cases(rows)


def worse(report: dict) -> list[str]:
    """Why it must not be entered."""
    reasons = [
        f"{name}: top-{k} may be lower by {-group[f'top{k}_lowest']:.4f}"
        for name, group in report["accuracy"].items() for k in (1, 3, 5)
        # Some hundred consultations cannot show half a point; they are told and not judged.
        if group["n"] >= 10_000 and group[f"top{k}_lowest"] < -MARGIN
    ]
    reasons += [f"{b} rows: {s['ratio']} times as fast" for b, s in report["speed"].items() if s["ratio"] < FASTER]
    return reasons + ([] if report["features"] else [f"this processor has none of {', '.join(FEATURES)}"])


def figures(report: dict) -> str:
    """Markdown of int8.json."""
    accuracy = card._table(
        ["cases", "n", "top-1, 32 bits", "8 bits", "top-3, 32 bits", "8 bits", "top-1, difference", "at the lowest (95 %)",
         "ECE, 32 bits", "8 bits", "same first answer", "probabilities apart, p99", "at most"],
        [[name, g["n"], *g["top1"], *g["top3"], f"{g['top1_difference']:+.4f}", f"{g['top1_lowest']:+.4f}", *g["ece"],
          g["same_first"], g["apart_p99"], g["apart_max"]] for name, g in report["accuracy"].items()])
    fast = card._table(
        ["rows", "32 bits, median µs", "8 bits", "times as fast", "quartiles"],
        [[b, s["f32_us"], s["int8_us"], s["ratio"], " to ".join(map(str, s["ratio_quartiles"]))]
         for b, s in report["speed"].items()])
    return f"""{accuracy}
The consultations are those that the shipped file was fitted to: they compare the two files and say nothing about either.
{report['bytes'][1]:,} bytes instead of {report['bytes'][0]:,}. ONNX Runtime {report['onnxruntime']}, one thread, alternating runs
on {report['processor']}:

{fast}"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=train.REPOSITORY / "../shared/data", help="shared data folder")
    parser.add_argument("--out", type=Path, default=train.REPOSITORY / "models/diagnosis", help="where the model is")
    parser.add_argument("--tables", type=Path, help="folder of the tables (default: --out)")
    options = parser.parse_args(arguments)
    say = lambda text: print(text, flush=True)  # noqa: E731
    tables, arrays, dialogues = train.prepare(options.tables or options.out, options.data, say)
    if not train.trained_on(options.out, tables):
        say("findings or conditions have changed since this model was trained: train again")
        return 1
    settings = fit.Settings(**json.loads((options.out / "train" / "training.json").read_text(encoding="utf-8"))["settings"])
    float_path, path = options.out / f"{train.MODEL_ID}.onnx", options.out / train.INT8
    train.write_int8(options.out)
    first, second = train.session(float_path), train.session(path)
    report: dict = {
        "processor": processor(), "features": features_here(), "onnxruntime": onnxruntime.__version__,
        "bytes": [float_path.stat().st_size, path.stat().st_size], "accuracy": {},
    }
    for name, cases in groups(options, tables, arrays, dialogues, settings):
        report["accuracy"][name] = beside(train.run(first, cases), train.run(second, cases), cases.label)
        say(f"measured {name}")
    report["speed"] = speed(first, second, train.simulated(tables, arrays, settings, 2_000, seed=15))
    reasons = worse(report)
    report["entered"] = not reasons
    (options.out / "int8.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    card.replace(options.out / "CARD.md", "int8", "train/int8.py", figures(report))
    train.write_entry(options.out, tables)
    for reason in reasons:
        say(f"not entered: {reason}")
    say(f"wrote {path.name}, int8.json, the figures in CARD.md and the entry in manifest.toml")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
