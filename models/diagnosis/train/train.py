"""Train the diagnosis model from the tables and the dialogue sets, and write it as ONNX.

    python models/diagnosis/train/train.py --data ../shared/data --out models/diagnosis

Run from the repository root. Writes gp-differential.onnx into the output folder and
rewrites this model's entry in ../manifest.toml beside that folder. The same seed,
tables and library versions give the same file. Then run evaluate.py for the figures, and int8.py
for the file with 8-bit weights.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import argparse  # noqa: E402
import copy  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import tomllib  # noqa: E402
from dataclasses import asdict, fields, replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

import ddxplus  # noqa: E402
import dialogue  # noqa: E402
import export  # noqa: E402
import fit  # noqa: E402
import manifest  # noqa: E402
import measure  # noqa: E402
import network as net  # noqa: E402
import tables as tb  # noqa: E402
from simulate import Cases, Simulator  # noqa: E402

MODEL_ID, VERSION = "gp-differential", "2026.11.3"
#: The file with 8-bit weights, and how far its known answers may be off those of the other.
INT8, INT8_TOLERANCE = f"{MODEL_ID}.int8.onnx", 0.02
REPOSITORY = Path(__file__).resolve().parents[3]
#: Largest difference allowed between the numpy network and the ONNX graph.
PARITY_MAX = 1e-4
#: Findings, age and sex of the known answers. No finding present entails another and no
#: finding absent is entailed by one, so a caller that applies implications gets the same.
SELF_TESTS = (
    {"present": ["diarrhea", "vomiting"], "absent": ["constipation"], "age_years": 4.0, "sex": "male"},
    {"present": ["chest_pain", "sweating"], "absent": ["heartburn"], "age_years": 62.0, "sex": "male"},
    {"present": ["urinary_frequency", "dysuria"], "absent": ["chills"], "age_years": 34.0, "sex": "female"},
)


def simulated(tables, arrays, settings, n: int, seed: int, even: bool = False, exponent=None) -> Cases:
    """n simulated patients with the model's priors, or (even) every condition equally often.

    exponent: prevalence to this power in place of the model's; 1 is the tables' own.
    """
    prior = fit.flattened(arrays.prior, settings.prior_exponent)
    rng = np.random.default_rng([settings.seed, seed])
    simulator = Simulator(tables, arrays, prior)
    weights = np.ones_like(prior) if even else fit.flattened(arrays.prior, exponent or settings.prior_exponent)
    blocks = []
    for start in range(0, n, fit.CHUNK):
        size = min(fit.CHUNK, n - start)
        blocks.append(simulator.draw(size, rng, weights, 0.0 if even else settings.outside))
    return Cases(
        np.concatenate([b.findings for b in blocks]),
        np.concatenate([b.patient for b in blocks]),
        np.concatenate([b.label for b in blocks]),
    )


def session(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread, as the clinic node runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(model: onnxruntime.InferenceSession, cases: Cases) -> np.ndarray:
    """Probabilities [n, K+1] from the ONNX file."""
    inputs = {"findings": cases.findings.astype(np.float32), "patient": cases.patient}
    return model.run(["probabilities"], inputs)[0]


def self_test_case(test: dict, features: list[str]) -> Cases:
    findings = np.zeros((1, len(features)), np.int8)
    for name, value in (("present", 1), ("absent", -1)):
        for finding in test[name]:
            findings[0, features.index(finding)] = value
    sex = {"male": 1.0, "female": -1.0}.get(test["sex"], 0.0)
    patient = np.array([[test["age_years"], sex]], np.float32)
    return Cases(findings, patient, np.zeros(1, int))


def self_tests(tables: tb.Tables, model) -> list[dict]:
    """The known answers of SELF_TESTS whose findings the tables have."""
    done = []
    for test in SELF_TESTS:
        if not set(test["present"] + test["absent"]) <= set(tables.features):
            continue
        p = run(model, self_test_case(test, tables.features))[0]
        first = int(p.argmax())
        done.append(test | {"expect_top": tables.labels[first], "expect_probability": float(p[first])})
    if not done:
        raise ValueError("no self-test applies: none has all its findings in findings.csv")
    return done


def recount(tables: tb.Tables, dialogues: dialogue.Dialogues, say) -> int:
    """Take the held-out consultations out of the likelihood rows counted on the dialogues.

    Such rows (source dialogue-*) were counted on the whole sets. Each is moved by the
    log-odds between the presence rate on the training split and on the whole set, so
    that nothing of the other splits remains in it. Returns the number of rows moved.
    """
    columns = {f: i for i, f in enumerate(tables.features)}
    labels = {c: i for i, c in enumerate(tables.labels)}
    present = dialogues.findings > 0
    moved = 0
    for row in tables.likelihoods:
        source = row["source"].split("#")[0]
        if not source.startswith("dialogue-") or row["finding"] not in columns:
            continue
        which = (dialogues.label == labels[row["condition"]]) & (
            dialogues.set_name == source.removeprefix("dialogue-")
        )
        train = which & (dialogues.split == "train")
        column = present[:, columns[row["finding"]]]

        def odds(rows):
            return np.log((column[rows].sum() + 0.5) / ((~column[rows]).sum() + 0.5))

        shift = odds(train) - odds(which)
        for name in ("p", "p_low", "p_high"):
            p = min(max(float(row[name]), 1e-4), 1 - 1e-4)
            row[name] = str(1 / (1 + np.exp(-(np.log(p / (1 - p)) + shift))))
        moved += 1
    say(f"rows counted on dialogues and moved to the training split: {moved}")
    return moved


def prepare(tables_folder: Path, data: Path, say):
    """Tables, arrays and dialogues, with the dialogue rows recounted."""
    tables = tb.load_tables(tables_folder)
    dialogues = dialogue.load(data, tables)
    recount(tables, dialogues, say)
    say(f"{len(tables.features)} features, {len(tables.labels)} labels")
    for name, counter in (("findings", dialogues.unresolved_names), ("labels", dialogues.unresolved_labels)):
        say(f"dialogue {name} not in the tables: {sum(counter.values())} mentions, {counter.most_common(12)}")
    return tables, tb.probability_arrays(tables), dialogues


def validation_groups(tables, arrays, dialogues, settings) -> list[tuple[Cases, float]]:
    """What the model is calibrated on: simulated patients and real consultations."""
    real = dialogues.cases(dialogues.select("validation"))
    rng = np.random.default_rng([settings.seed, 3])
    simulator = Simulator(tables, arrays, fit.flattened(arrays.prior, settings.prior_exponent))
    part = dialogue.augment(real, simulator, rng)
    sim = simulated(tables, arrays, settings, 20_000, seed=2)
    return [(sim, 1.0), (real, 0.5), (part, 0.5)]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPOSITORY / "../shared/data", help="shared data folder")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "models/diagnosis", help="where the model goes")
    parser.add_argument("--tables", type=Path, help="folder of the tables (default: --out)")
    parser.add_argument("--manifest-only", action="store_true", help="train nothing; rewrite the entry of the model there")
    for field in fields(fit.Settings):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default, help=f"default {field.default}")
    return parser.parse_args(arguments)


def written_entry(out: Path) -> dict:
    """This model's entry as manifest.toml has it, empty when there is none."""
    path = out.parent / "manifest.toml"
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("model", []) if path.exists() else []
    return next((e for e in entries if e["id"] == MODEL_ID), {})


def trained_on(out: Path, tables: tb.Tables) -> bool:
    """Whether the model there has the inputs and labels that the tables have now."""
    entry = written_entry(out)
    return (entry.get("features"), entry.get("labels")) == (tables.features, tables.labels)


def write_int8(out: Path) -> None:
    """Write the file with 8-bit weights from the one that is shipped."""
    model, limits = export.read_back(str(out / f"{MODEL_ID}.onnx"))
    proto = export.build(model, limits, MODEL_ID.replace("-", "_"), VERSION, int8=True)
    (out / INT8).write_bytes(proto.SerializeToString(deterministic=True))


def variants(out: Path) -> list[dict]:
    """The files beside the shipped one that int8.py found as good and faster, and where."""
    path = out / "int8.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not report.get("entered"):
        return []
    write_int8(out)
    return [{
        "precision": "int8", "file": f"diagnosis/{INT8}", "path": out / INT8, "engines": ["onnxruntime"],
        "cpu": report["features"], "tolerance": INT8_TOLERANCE,
    }]


def write_entry(out: Path, tables: tb.Tables) -> None:
    """Rewrite this model's manifest entry from the file and the tables it was trained on."""
    path = out / f"{MODEL_ID}.onnx"
    described = {
        "id": MODEL_ID, "version": VERSION, "file": f"diagnosis/{path.name}", "card": "diagnosis/CARD.md",
        "tables": ["diagnosis/findings.csv", "diagnosis/conditions.csv"],
        "features": tables.features, "labels": tables.labels, "self_tests": self_tests(tables, session(path)),
        "variants": variants(out),
    }
    manifest.rewrite(out.parent / "manifest.toml", MODEL_ID, manifest.entry(described, path))


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    say = lambda text: print(text, flush=True)  # noqa: E731
    if options.manifest_only:
        tables = tb.load_tables(options.tables or options.out)
        if not trained_on(options.out, tables):
            say("findings or conditions have changed since this model was trained: train again")
            return 1
        write_entry(options.out, tables)
        return 0
    started = time.monotonic()
    settings = replace(fit.Settings(), **{f.name: getattr(options, f.name) for f in fields(fit.Settings)})
    tables, arrays, dialogues = prepare(options.tables or options.out, options.data, say)
    model = fit.fit(tables, arrays, dialogues, settings, say)
    limits = net.limits_of(tables.conditions)
    twin = copy.deepcopy(model)
    synthetic = ddxplus.drawn(options.data, options.tables or options.out, tables, fit.TUNE_SYNTHETIC, seed=5)
    fit.tune(twin, tables, arrays, dialogues, synthetic, settings, ("train",), say)
    loss = fit.calibrate(twin, validation_groups(tables, arrays, dialogues, settings), limits)
    held_out = measure.on_dialogues(
        lambda c: twin.probabilities(c.findings, c.patient, limits), dialogues, tables.named())
    # What is shipped knows every consultation; its calibration is that of the twin, measured on others.
    fit.tune(model, tables, arrays, dialogues, synthetic, settings, fit.ALL_SPLITS, say)
    model.scale = twin.scale
    say(f"calibration: scale {model.scale[0]:.3f} + {model.scale[1]:.3f} log(1 + facts), loss {loss:.4f}")

    path = options.out / f"{MODEL_ID}.onnx"
    path.write_bytes(export.build(model, limits, MODEL_ID.replace("-", "_"), VERSION).SerializeToString())
    onnx_model = session(path)
    probe = simulated(tables, arrays, settings, 2_000, seed=4)
    by_numpy = model.probabilities(probe.findings, probe.patient, limits)
    difference = float(np.abs(run(onnx_model, probe) - by_numpy).max())
    say(f"{path.name}: {path.stat().st_size} bytes, largest difference from numpy {difference:.2e}")
    if difference > PARITY_MAX:
        say("the ONNX graph does not compute what the network does")
        return 1
    # What was said of the 8-bit weights of the model before does not hold for this one.
    (options.out / "int8.json").unlink(missing_ok=True)
    (options.out / INT8).unlink(missing_ok=True)
    write_entry(options.out, tables)
    seconds = time.monotonic() - started
    record = {"settings": asdict(settings), "seconds": round(seconds, 1), "held_out": held_out}
    (options.out / "train" / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    say(f"done in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
