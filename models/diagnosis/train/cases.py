"""Write a split of the dialogue sets as case files for `xiangyi eval diagnosis`.

    python models/diagnosis/train/cases.py --data ../shared/data --tables models/diagnosis --out FOLDER

With --simulated N also FOLDER/simulated.jsonl: N patients drawn from the tables, every condition
equally often, `emergency` where a condition is critical and must not be missed, `routine` where it
is mild and may be. They measure the fit to the tables, not medicine.

Writes FOLDER/<set>-<split>.jsonl, and <set>-<split>-unnamed.jsonl without the diagnoses named
among the findings. The files hold published consultations: they stay out of the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import dialogue
import fit
import tables as tb
import train


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="shared data folder")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--out", type=Path, required=True, help="where the files go")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="validation")
    parser.add_argument("--simulated", type=int, default=0, help="patients drawn from the tables")
    options = parser.parse_args(arguments)
    tables = tb.load_tables(options.tables)
    dialogues = dialogue.load(options.data, tables)
    ids = dialogue.name_index(tables.findings)
    kinds = {f.id: f.kind for f in tables.findings}
    known = dialogue.name_index(tables.conditions)
    options.out.mkdir(parents=True, exist_ok=True)
    row = 0
    for set_name in dialogue.SETS:
        path = options.data / "diagnosis" / "dialogue" / set_name / "train_set.json"
        labels = sorted(dialogues.label_names[set_name])
        full, unnamed = [], []
        for case in json.loads(path.read_text(encoding="utf-8")):
            if dialogue.resolve_label(case["label"], known) is None:
                continue
            split, row = dialogues.split[row], row + 1
            if split != options.split:
                continue
            facts = {**case["exp_sxs"], **case["imp_sxs"]}
            for lines, keep in ((full, lambda n: True), (unnamed, lambda n: kinds.get(ids.get(n.lower())) != "diagnosis")):
                lines.append(json.dumps({
                    "id": f"{set_name}-{case['pid']}",
                    "present": [n for n, v in facts.items() if v == "1" and keep(n)],
                    "absent": [n for n, v in facts.items() if v == "0" and keep(n)],
                    "gold": [case["label"]], "candidates": labels, "source": set_name,
                }, ensure_ascii=False))
        for suffix, lines in (("", full), ("-unnamed", unnamed)):
            out = options.out / f"{set_name}-{options.split}{suffix}.jsonl"
            out.write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(f"{out}: {len(lines)} cases")
    if options.simulated:
        lines = list(simulated(tables, options.tables, options.simulated))
        (options.out / "simulated.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{options.out / 'simulated.jsonl'}: {len(lines)} cases")
    return 0


def simulated(tables: tb.Tables, folder: Path, count: int):
    """Lines of simulated patients, each with what its clinic got to know."""
    rows = tb.read_rows(folder / "conditions.csv")
    names = {f.id: f.name_zh for f in tables.findings}
    cases = train.simulated(tables, tb.probability_arrays(tables), fit.Settings(), count, seed=77, even=True)
    for i, (findings, patient, label) in enumerate(zip(cases.findings, cases.patient, cases.label)):
        row, (age, sex) = rows[label], (float(v) for v in patient)
        triage = "urgent"
        if row["severity"] == "critical" and row["must_not_miss"] == "yes":
            triage = "emergency"
        elif row["severity"] == "mild" and row["must_not_miss"] == "no":
            triage = "routine"
        told = lambda state: [names[tables.features[j]] for j in np.flatnonzero(findings == state)]  # noqa: E731
        yield json.dumps({
            "id": f"simulated-{i}", "age_years": None if age < 0 else age,
            "sex": {1.0: "male", -1.0: "female"}.get(sex), "present": told(1), "absent": told(-1),
            "gold": [row["id"]], "triage": triage, "source": "simulated",
        }, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
