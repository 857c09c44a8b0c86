"""The cited tables of `models/diagnosis/` as Python objects and probability arrays.

Reading only: judging whether the tables are sound is `validate.py`'s task. Every
array uses the same axes: condition K, age band 4 (infant, child, adult, elder),
sex 2 (male, female), feature F.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

BANDS = ("infant", "child", "adult", "elder")
#: Lower and upper age of each band, in years; the upper end is exclusive.
BAND_YEARS = ((0.0, 1.0), (1.0, 14.0), (14.0, 65.0), (65.0, 100.0))
SEXES = ("male", "female")
OUTSIDE = "outside"
#: P(finding) where neither the condition nor background.csv has a row.
DEFAULT_BACKGROUND = 0.005
#: Kinds that are no inputs: a `test` only says that a test was done (what it showed is a
#: sign of its own). Diagnoses somebody named are inputs; figures are told with and without.
NOT_INPUTS = ("test",)


@dataclass(frozen=True)
class Finding:
    id: str
    name_zh: str
    kind: str
    body_part: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Condition:
    """Age limits in years, `None` when there is none; sex is any, male or female."""

    id: str
    name_zh: str
    synonyms: tuple[str, ...]
    age_min: float | None
    age_max: float | None
    sex: str
    department: str
    severity: str

    def age_limits(self) -> tuple[float, float]:
        """Lowest and highest possible age in years (inclusive).

        A whole number of years as upper limit means "that year of age", so 5
        admits a child of 5.9; a fraction (0.08) is taken as it stands.
        """
        low = 0.0 if self.age_min is None else self.age_min
        if self.age_max is None:
            return low, 150.0
        whole = self.age_max >= 1 and float(self.age_max).is_integer()
        return low, self.age_max + (0.999 if whole else 0.0)


@dataclass
class Tables:
    findings: list[Finding]
    conditions: list[Condition]
    likelihoods: list[dict[str, str]]
    background: dict[str, float]
    prevalence: list[dict[str, str]]
    implications: list[tuple[str, str]]
    features: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Condition ids in table order, then `outside`."""
        return [c.id for c in self.conditions] + [OUTSIDE]

    def named(self) -> list[int]:
        """Columns of the features that name a diagnosis somebody has made."""
        kinds = {f.id: f.kind for f in self.findings}
        return [i for i, f in enumerate(self.features) if kinds[f] == "diagnosis"]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of an RFC 4180 file with a header, cells stripped of outer blanks."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            {k: (v or "").strip() for k, v in row.items() if k is not None}
            for row in csv.DictReader(handle)
        ]


def load_tables(folder: Path, without_conditions: frozenset[str] = frozenset()) -> Tables:
    """Read the tables; `without_conditions` leaves conditions out (for hold-out tests)."""

    def number(cell: str) -> float | None:
        return float(cell) if cell else None

    def words(cell: str) -> tuple[str, ...]:
        return tuple(w.strip() for w in cell.split("|") if w.strip())

    findings = [
        Finding(r["id"], r["name_zh"], r["kind"], r["body_part"], words(r["synonyms"]))
        for r in read_rows(folder / "findings.csv")
    ]
    conditions = [
        Condition(
            r["id"], r["name_zh"], words(r["synonyms"]), number(r["age_min_years"]),
            number(r["age_max_years"]), r["sex"], r["department"], r["severity"],
        )
        for r in read_rows(folder / "conditions.csv")
        if r["id"] not in without_conditions
    ]
    kept = {c.id for c in conditions}
    rows = read_rows(folder / "likelihoods.csv")
    tables = Tables(
        findings=findings,
        conditions=conditions,
        likelihoods=[r for r in rows if r["condition"] in kept],
        background={r["finding"]: float(r["p"]) for r in read_rows(folder / "background.csv")},
        prevalence=[r for r in read_rows(folder / "prevalence.csv") if r["condition"] in kept],
        implications=[
            (r["finding"], r["implies"]) for r in read_rows(folder / "implications.csv")
        ],
    )
    tables.features = [f.id for f in findings if f.kind not in NOT_INPUTS]
    return tables


def _general_first(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows ordered so that a more specific one comes later and overwrites."""
    return sorted(rows, key=lambda r: 2 * (r["age_band"] != "any") + (r["sex"] != "any"))


def _cells(row: dict[str, str]) -> tuple[slice, slice]:
    band, sex = row["age_band"], row["sex"]
    bands = slice(None) if band == "any" else slice(BANDS.index(band), BANDS.index(band) + 1)
    sexes = slice(None) if sex == "any" else slice(SEXES.index(sex), SEXES.index(sex) + 1)
    return bands, sexes


@dataclass
class Probabilities:
    """Arrays of the tables; probabilities in (0, 1).

    p, low, high: [K, 4, 2, F]; rowed: [K, F] bool, a row exists; background: [F];
    group: [K, 4, 2], P(band, sex | condition); prior: [K], P(condition), sums to 1.
    """

    p: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rowed: np.ndarray
    background: np.ndarray
    group: np.ndarray
    prior: np.ndarray


#: Assumed share of a village clinic's visits by age band (sexes equal); an assumption.
VISIT_SHARE = np.array([0.03, 0.15, 0.45, 0.37])


def probability_arrays(tables: Tables) -> Probabilities:
    """Lay the tables out as arrays; a specific row wins over a general one."""
    columns = {f: i for i, f in enumerate(tables.features)}
    index = {c.id: i for i, c in enumerate(tables.conditions)}
    count, width = len(index), len(columns)
    background = np.array(
        [tables.background.get(f, DEFAULT_BACKGROUND) for f in tables.features]
    )
    p = np.broadcast_to(background, (count, 4, 2, width)).copy()
    low, high = p.copy(), p.copy()
    rowed = np.zeros((count, width), bool)
    for row in _general_first(tables.likelihoods):
        if row["finding"] not in columns:
            continue
        k, f = index[row["condition"]], columns[row["finding"]]
        bands, sexes = _cells(row)
        rowed[k, f] = True
        for array, name in ((p, "p"), (low, "p_low"), (high, "p_high")):
            array[k, bands, sexes, f] = float(row[name] or row["p"])
    group, prior = _priors(tables, index)
    clip = lambda a: np.clip(a, 1e-4, 1 - 1e-4)  # noqa: E731
    return Probabilities(clip(p), clip(low), clip(high), rowed, clip(background), group, prior)


def _priors(tables: Tables, index: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """P(band, sex | condition) [K, 4, 2] and P(condition) [K] from prevalence.csv."""
    visits = np.zeros((len(index), 4, 2))
    for row in _general_first(tables.prevalence):
        bands, sexes = _cells(row)
        visits[index[row["condition"]], bands, sexes] = float(row["per_1000"])
    for k, condition in enumerate(tables.conditions):
        low, high = condition.age_limits()
        for b, (start, end) in enumerate(BAND_YEARS):
            overlap = max(0.0, min(high, end) - max(low, start))
            # A band that the age limits cut keeps the part that is left of it.
            visits[k, b] *= min(1.0, overlap / (min(end, 95) - start))
            if overlap > 0 and visits[k, b].sum() == 0:
                visits[k, b] = 1e-4
        for s, sex in enumerate(SEXES):
            if condition.sex not in ("any", sex):
                visits[k, :, s] = 0.0
    visits *= VISIT_SHARE[:, None] / 2
    totals = visits.sum((1, 2))
    if (totals <= 0).any():
        worst = tables.conditions[int(np.argmin(totals))].id
        raise ValueError(f"condition {worst} has no visits at any age and sex")
    return visits / totals[:, None, None], totals / totals.sum()


def implication_pairs(tables: Tables) -> list[tuple[int, int]]:
    """(child column, parent column) with every parent's own parents named too."""
    columns = {f: i for i, f in enumerate(tables.features)}
    parents: dict[str, set[str]] = defaultdict(set)
    for child, parent in tables.implications:
        parents[child].add(parent)

    def ancestors(child: str, seen: frozenset[str]) -> set[str]:
        found: set[str] = set()
        for parent in parents.get(child, ()):
            if parent not in seen:
                found |= {parent} | ancestors(parent, seen | {parent})
        return found

    pairs = []
    for child in tables.features:
        for parent in sorted(ancestors(child, frozenset({child}))):
            if parent in columns:
                pairs.append((columns[child], columns[parent]))
    return pairs


def close_present(states: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Mark as present what a present finding entails; states int8 [n, F], in place."""
    for child, parent in pairs:
        states[states[:, child] > 0, parent] = 1
    return states
