"""Real Chinese consultations (MZ-4, MZ-10, Dxy) as cases, split before anything is counted.

The files hold explicit and implicit symptoms with 1 present, 0 absent, 2 unsure, and
one label; no age and no sex. They are children's consultations held online.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tables as tb
import twins
from simulate import Cases, Simulator

SETS = ("mz10", "mz4", "dxy")
TEST_SHARE, VALIDATION_SHARE = 0.15, 0.15
#: Two cases with this many equal facts and the same label are one consultation.
SAME_CASE_FACTS = 5
#: Share of a child's age and sex hidden in training: the test split has neither.
AGE_HIDDEN, SEX_HIDDEN = 0.75, 0.75


@dataclass
class Raw:
    """One case before the split. order: findings in order of mention, tests left out."""

    set_name: str
    key: str
    label: str
    order: list[int]


@dataclass
class Dialogues:
    """Cases of all sets. findings int8 [n, F]; label [n]; set_name, split: [n] of str
    (train, validation, test, unused).

    unresolved_names / unresolved_labels count what the tables do not know.
    candidates: for each set the label indices that its labels resolve to.
    """

    findings: np.ndarray
    label: np.ndarray
    set_name: np.ndarray
    split: np.ndarray
    candidates: dict[str, list[int]]
    label_names: dict[str, dict[str, str]]
    unresolved_names: Counter
    unresolved_labels: Counter
    not_features: Counter

    def select(self, split: str, set_name: str | None = None) -> np.ndarray:
        """Row indices of one split, of one set or of all."""
        keep = self.split == split
        if set_name is not None:
            keep &= self.set_name == set_name
        return np.flatnonzero(keep)

    def cases(self, rows: np.ndarray) -> Cases:
        """Rows as cases with age and sex unknown, as the sets give none."""
        patient = np.tile(np.array([-1.0, 0.0], np.float32), (len(rows), 1))
        return Cases(self.findings[rows], patient, self.label[rows])


def split_key(set_name: str, case: dict) -> str:
    """What decides a case's split: its patient, or what it says when that is telling enough."""
    facts = sorted({**case["exp_sxs"], **case["imp_sxs"]}.items())
    if len(facts) >= SAME_CASE_FACTS:
        return json.dumps([facts, case["label"]], ensure_ascii=False)
    return f"{set_name}:{case['pid']}"


def split_of(key: str) -> str:
    """train, validation or test, by a hash of the key."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def assign_splits(cases: list[Raw], width: int) -> list[str]:
    """Split of every case; an MZ-4 case goes with its twin in MZ-10 (see twins.py).

    A training case that is still too like a held-out one of the other set becomes
    `unused`.
    """
    keys = [c.key for c in cases]
    four = [i for i, c in enumerate(cases) if c.set_name == "mz4"]
    ten = [i for i, c in enumerate(cases) if c.set_name == "mz10"]
    pairs = twins.likeness([cases[i].order for i in four], [cases[i].order for i in ten], width)
    pairs = [(four[i], ten[j], value) for i, j, value in pairs]
    same = lambda i, j: cases[i].label == cases[j].label  # noqa: E731
    for i, j in twins.best_twin(pairs, same).items():
        keys[i] = keys[j]
    splits = [split_of(key) for key in keys]
    for i, j, value in pairs:
        if value >= twins.ALIKE and same(i, j):
            for mine, other in ((i, j), (j, i)):
                if splits[mine] == "train" and splits[other] in ("validation", "test"):
                    splits[mine] = "unused"
    return splits


def name_index(items) -> dict[str, str]:
    index: dict[str, str] = {}
    for item in items:
        for name in (item.name_zh, *item.synonyms):
            index.setdefault(name.strip().lower(), item.id)
    return index


def resolve_label(name: str, index: dict[str, str]) -> str | None:
    """Condition id of a label, tried as written and without a leading 小儿 (children's)."""
    return index.get(name.lower()) or index.get(name.removeprefix("小儿").lower())


def load(data: Path, tables: tb.Tables) -> Dialogues:
    """Read the three sets; data is the shared data folder."""
    columns = {f: i for i, f in enumerate(tables.features)}
    numbers = {f.id: i for i, f in enumerate(tables.findings) if f.kind != "test"}
    finding_ids = name_index(tables.findings)
    condition_ids = name_index(tables.conditions)
    labels = {c: i for i, c in enumerate(tables.labels)}
    rows, wanted, raw = [], [], []
    unresolved, bad_labels, unused = Counter(), Counter(), Counter()
    label_names: dict[str, dict[str, str]] = {s: {} for s in SETS}
    for set_name in SETS:
        path = data / "diagnosis" / "dialogue" / set_name / "train_set.json"
        for case in json.loads(path.read_text(encoding="utf-8")):
            condition = resolve_label(case["label"], condition_ids)
            if condition is None:
                bad_labels[case["label"]] += 1
                continue
            label_names[set_name][case["label"]] = condition
            states, order = np.zeros(len(columns), np.int8), []
            for name, value in {**case["exp_sxs"], **case["imp_sxs"]}.items():
                finding = finding_ids.get(name.strip().lower())
                if finding is None:
                    unresolved[name] += 1
                    continue
                if finding in numbers and numbers[finding] not in order:
                    order.append(numbers[finding])
                if finding not in columns:
                    unused[finding] += 1
                elif value == "1":
                    states[columns[finding]] = 1
                elif value == "0" and states[columns[finding]] == 0:
                    states[columns[finding]] = -1
            rows.append(states)
            wanted.append(labels[condition])
            raw.append(Raw(set_name, split_key(set_name, case), case["label"], order))
    findings = tb.close_present(np.array(rows), tb.implication_pairs(tables))
    candidates = {s: sorted({labels[c] for c in label_names[s].values()}) for s in SETS}
    return Dialogues(
        findings, np.array(wanted), np.array([c.set_name for c in raw]),
        np.array(assign_splits(raw, len(tables.findings))), candidates,
        label_names, unresolved, bad_labels, unused,
    )


def augment(cases: Cases, simulator: Simulator, rng: np.random.Generator) -> Cases:
    """Cases as another clinic might have met them: some facts not asked, an age, a sex.

    Half the cases lose a random share of up to 60 % of their facts. Ages come from a
    children's distribution within the condition's limits (newborn conditions: days).
    Half are asked a few more questions, answered from the tables: online doctors ask
    mostly what they already suspect, and the mere asking must not become a clue.
    """
    n = len(cases.label)
    findings = cases.findings.copy()
    drop = rng.uniform(0, 0.6, (n, 1)) * (rng.random((n, 1)) < 0.5)
    findings[rng.random(findings.shape) < drop] = 0
    conditions = simulator.tables.conditions
    limits = np.array([c.age_limits() for c in conditions] + [(0.0, 150.0)])[cases.label]
    age = np.clip(rng.lognormal(np.log(2.2), 0.8, n), 0.1, 13.9)
    age = np.where(limits[:, 1] < 1, rng.uniform(0.005, 0.08, n), age)
    age = np.clip(age, limits[:, 0], limits[:, 1])
    boy = rng.random(n) < 0.55
    asked = np.flatnonzero(rng.random(n) < 0.5)
    group = (age >= 1) * 2 + ~boy
    findings[asked] = simulator.ask_more(findings[asked], cases.label[asked], group[asked], rng)
    age = np.where(rng.random(n) < AGE_HIDDEN, -1, age)
    sex = np.where(boy, 1, -1) * (rng.random(n) >= SEX_HIDDEN)
    return Cases(findings, np.stack([age, sex], 1).astype(np.float32), cases.label)
