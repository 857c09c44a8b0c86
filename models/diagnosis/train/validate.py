"""Check the diagnosis tables before anything is trained or shipped on them.

    python validate.py ../                      tables in the parent folder
    python validate.py ../ --icd opendrg_ZD_INFO.dat

Prints one line per problem, `file:line: message`. Exit code 0: sound; 1: problems;
2: a file is missing or unreadable.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import tables as tb

COLUMNS = {
    "sources": "id,citation,url,licence,note",
    "findings": "id,name_zh,name_en,kind,body_part,synonyms,synonyms_en,source,status",
    "conditions": "id,name_zh,name_en,synonyms,synonyms_en,icd10,icd10_more,severity,must_not_miss,age_min_years,"
    "age_max_years,sex,department,referral,confusion_group,source,status",
    "likelihoods": "condition,finding,age_band,sex,p,p_low,p_high,source,status",
    "background": "finding,p,source,status",
    "prevalence": "condition,age_band,sex,per_1000,source,status",
    "implications": "finding,implies,source,status",
    "measurements": "finding,measure,op,value,unit,age_min_years,age_max_years,source,status",
    "durations": "finding,of,min_days,max_days,source,status",
    "seasons": "condition,spring,summer,autumn,winter,source,status",
    "red_flags": "id,name_zh,when,meaning_zh,act_now_zh,refer_to,urgency,source,status",
    "wider": "name,conditions,source,status",
    "tests": "id,name_zh,name_en,level,findings,source,status",
}
BANDS, SEXES = {"any", *tb.BANDS}, {"any", *tb.SEXES}
ENUMS = {
    ("findings", "kind"): {"symptom", "sign", "vital", "test", "history", "exposure", "medicine", "diagnosis", "course"},
    ("conditions", "severity"): {"mild", "moderate", "severe", "critical"},
    ("conditions", "must_not_miss"): {"yes", "no"},
    ("conditions", "sex"): SEXES,
    ("conditions", "referral"): {"village", "township", "county", "city"},
    ("likelihoods", "age_band"): BANDS,
    ("likelihoods", "sex"): SEXES,
    ("prevalence", "age_band"): BANDS,
    ("prevalence", "sex"): SEXES,
    ("measurements", "op"): {">=", ">", "<=", "<"},
    ("tests", "level"): {"village", "township", "county", "city"},
    ("red_flags", "refer_to"): {"township", "county", "ambulance"},
    ("red_flags", "urgency"): {"emergency", "urgent"},
}
MEASURES = {"temperature_c", "systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm",
            "respiratory_rate_bpm", "spo2_percent", "glucose_mmol_l",
            "white_cells_10e9_l", "neutrophils_percent", "hemoglobin_g_l", "platelets_10e9_l",
            "crp_mg_l", "creatinine_umol_l"}
STATUSES = {"draft", "reviewed", "retired"}
SLUG = re.compile(r"[a-z][a-z0-9_]*")
#: A finding distinguishes a condition when its odds there are this many times the background's.
DISTINGUISHING_ODDS = 5.0
#: How far courses may be from adding up to 1, and seasons from averaging 1.
COURSES_SLACK = 0.04
#: Two conditions are told apart when some finding's odds differ at least by this factor.
APART_ODDS = 2.0


@dataclass
class Report:
    """Problems found; a file is named by its table, a line by its number in the file."""

    problems: list[str] = field(default_factory=list)

    def add(self, table: str, line: int, message: str) -> None:
        self.problems.append(f"{table}.csv:{line}: {message}")


def read(folder: Path, name: str, report: Report) -> list[dict[str, str]]:
    """Rows with their line number under `_line`."""
    raw = (folder / f"{name}.csv").read_bytes()
    if raw.startswith(b"\xef\xbb\xbf"):
        report.add(name, 1, "starts with a byte order mark")
    if b"\r" in raw:
        report.add(name, raw[: raw.index(b"\r")].count(b"\n") + 1, "carriage return; lines end with LF")
    reader = csv.reader(io.StringIO(raw.decode("utf-8"), newline=""))
    rows: list[dict[str, str]] = []
    header = next(reader, [])
    if ",".join(header) != COLUMNS[name]:
        report.add(name, 1, f"header is {','.join(header)!r}, expected {COLUMNS[name]!r}")
        return rows
    for cells in reader:
        if len(cells) != len(header):
            report.add(name, reader.line_num, f"{len(cells)} cells, expected {len(header)}")
            continue
        rows.append(dict(zip(header, (c.strip() for c in cells))) | {"_line": reader.line_num})
    return rows


def check_common(name: str, rows, source_ids: set[str], report: Report) -> None:
    """Source, status and enumerations of every row."""
    for row in rows:
        if name != "sources":
            source = row["source"]
            if not source:
                report.add(name, row["_line"], "row has no source")
            elif source.split("#")[0] not in source_ids:
                report.add(name, row["_line"], f"source {source.split('#')[0]!r} is not in sources.csv")
            if row["status"] not in STATUSES:
                report.add(name, row["_line"], f"status {row['status']!r} is not one of {sorted(STATUSES)}")
        for (table, column), allowed in ENUMS.items():
            if table == name and row[column] not in allowed:
                report.add(name, row["_line"], f"{column} {row[column]!r} is not one of {sorted(allowed)}")


def check_ids(name: str, rows, report: Report, slug: bool = True) -> set[str]:
    seen: dict[str, int] = {}
    for row in rows:
        if slug and not SLUG.fullmatch(row["id"]):
            report.add(name, row["_line"], f"id {row['id']!r} is not a snake_case slug")
        if row["id"] in seen:
            report.add(name, row["_line"], f"id {row['id']!r} is already on line {seen[row['id']]}")
        seen.setdefault(row["id"], row["_line"])
    return set(seen)


def check_wordings(name: str, rows, report: Report) -> None:
    """A wording belongs to one row only."""
    owner: dict[str, tuple[str, int]] = {}
    for row in rows:
        for word in {w.strip().lower() for w in "|".join((row["name_zh"], row["synonyms"], row["synonyms_en"])).split("|")} - {""}:
            other = owner.setdefault(word, (row["id"], row["_line"]))
            if other[0] != row["id"]:
                report.add(name, row["_line"], f"wording {word!r} of {row['id']} also belongs to {other[0]} (line {other[1]})")


def number(name, row, column, report, required=True) -> float | None:
    """A cell as a number; reports what is not one."""
    if not row[column]:
        if required:
            report.add(name, row["_line"], f"{column} is empty")
        return None
    try:
        return float(row[column])
    except ValueError:
        report.add(name, row["_line"], f"{column} {row[column]!r} is not a number")
        return None


def check_probabilities(t: dict[str, list], report: Report) -> None:
    for row in t["likelihoods"]:
        p, low, high = (number("likelihoods", row, c, report) for c in ("p", "p_low", "p_high"))
        if None in (p, low, high):
            continue
        if not 0 < p < 1:
            report.add("likelihoods", row["_line"], f"p {p} is not between 0 and 1")
        if not 0 <= low <= p <= high <= 1:
            report.add("likelihoods", row["_line"], f"limits {low}..{high} do not enclose p {p}")
    for row in t["background"]:
        p = number("background", row, "p", report)
        if p is not None and not 0 < p < 1:
            report.add("background", row["_line"], f"p {p} is not between 0 and 1")
    for row in t["prevalence"]:
        p = number("prevalence", row, "per_1000", report)
        if p is not None and not 0 <= p <= 1000:
            report.add("prevalence", row["_line"], f"per_1000 {p} is not between 0 and 1000")


def check_references(t: dict[str, list], findings: set[str], conditions: set[str], report: Report) -> None:
    """Every name points somewhere, no row is there twice, nothing is left unused."""
    for name, column, known, what in (
        ("likelihoods", "condition", conditions, "condition"),
        ("likelihoods", "finding", findings, "finding"),
        ("background", "finding", findings, "finding"),
        ("prevalence", "condition", conditions, "condition"),
        ("implications", "finding", findings, "finding"),
        ("implications", "implies", findings, "finding"),
        ("measurements", "finding", findings, "finding"),
        ("durations", "finding", findings, "finding"),
        ("seasons", "condition", conditions, "condition"),
    ):
        for row in t[name]:
            if row[column] not in known:
                report.add(name, row["_line"], f"{what} {row[column]!r} is not in {what}s.csv")
    for name, keys in (
        ("likelihoods", ("condition", "finding", "age_band", "sex")),
        ("background", ("finding",)),
        ("prevalence", ("condition", "age_band", "sex")),
        ("implications", ("finding", "implies")),
        ("durations", ("finding",)),
        ("seasons", ("condition",)),
    ):
        seen: dict[tuple, int] = {}
        for row in t[name]:
            key = tuple(row[k] for k in keys)
            if key in seen:
                report.add(name, row["_line"], f"row {' '.join(key)} is already on line {seen[key]}")
            seen.setdefault(key, row["_line"])
    for row in t["measurements"]:
        if row["measure"] not in MEASURES:
            report.add("measurements", row["_line"], f"measure {row['measure']!r} is unknown")
        number("measurements", row, "value", report)
    for column, name in (("condition", "likelihoods"), ("condition", "prevalence")):
        used = {row[column] for row in t[name]}
        for row in t["conditions"]:
            if row["id"] not in used:
                report.add("conditions", row["_line"], f"condition {row['id']} has no row in {name}.csv")
    for row in t["wider"]:
        for condition in row["conditions"].split("|"):
            if condition not in conditions:
                report.add("wider", row["_line"], f"condition {condition!r} is not in conditions.csv")
    for row in t["tests"]:
        for finding in row["findings"].split("|"):
            if finding not in findings:
                report.add("tests", row["_line"], f"finding {finding!r} is not in findings.csv")
    used = {r["finding"] for n in ("likelihoods", "background", "implications", "measurements", "durations") for r in t[n]}
    used |= {r["implies"] for r in t["implications"]}
    used |= {a.lstrip("!") for r in t["red_flags"] for a in re.split(r"[;|]", r["when"])}
    for row in t["findings"]:
        # Names of diseases and of tests are kept for reading text; they need no row.
        if row["id"] not in used and row["kind"] not in ("diagnosis", "test"):
            report.add("findings", row["_line"], f"orphan finding {row['id']}: no other table uses it")


def check_time(t: dict[str, list], report: Report) -> None:
    """Courses of one condition add up to 1, seasons average 1, and times are in order."""
    courses = {r["id"] for r in t["findings"] if r["kind"] == "course"}
    totals: dict[str, float] = defaultdict(float)
    for row in t["likelihoods"]:
        if row["finding"] in courses:
            totals[row["condition"]] += number("likelihoods", row, "p", report) or 0.0
    for row in t["conditions"]:
        if courses and abs(totals[row["id"]] - 1) > COURSES_SLACK:
            report.add("conditions", row["_line"], f"courses of {row['id']} add up to {totals[row['id']]:.2f}, not 1")
    for row in t["seasons"]:
        factors = [number("seasons", row, name, report) or 0.0 for name in ("spring", "summer", "autumn", "winter")]
        if min(factors) <= 0 or abs(sum(factors) / 4 - 1) > COURSES_SLACK:
            report.add("seasons", row["_line"], f"seasons of {row['condition']} must be above 0 and average 1")
    for row in t["durations"]:
        least, most = (number("durations", row, name, report, required=False) for name in ("min_days", "max_days"))
        if least is None or least < 0 or (most is not None and most <= least):
            report.add("durations", row["_line"], "needs 0 <= min_days < max_days")
        if row["of"] and row["of"] not in {r["id"] for r in t["findings"]}:
            report.add("durations", row["_line"], f"finding {row['of']!r} is not in findings.csv")


def check_implications(rows, report: Report) -> None:
    parents = defaultdict(set)
    for row in rows:
        parents[row["finding"]].add(row["implies"])

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        if start in seen:
            return False
        seen.add(start)
        return any(p == goal or reaches(p, goal, seen) for p in parents.get(start, ()))

    for row in rows:
        if row["finding"] == row["implies"] or reaches(row["implies"], row["finding"], set()):
            report.add("implications", row["_line"], f"{row['finding']} implies itself in a circle")


COMPARISON = re.compile(r"(\w+)\s*(>=|<=|>|<|=)\s*([\w.]+)")


def check_red_flags(rows, findings: set[str], report: Report) -> None:
    for row in rows:
        for atom in re.split(r"[;|]", row["when"]):
            atom = atom.strip()
            match = COMPARISON.fullmatch(atom)
            if match:
                known = match[1] in MEASURES | {"age_years"} or atom.replace(" ", "") in ("sex=male", "sex=female")
            else:
                known = atom == "pregnant" or atom.lstrip("!") in findings
            if not known:
                report.add("red_flags", row["_line"], f"{atom!r} in the condition of {row['id']} is not known")


def check_icd(rows, path: Path | None, report: Report) -> None:
    known = None
    if path is not None:
        known = {line.split(" ", 1)[0] for line in path.read_text(encoding="utf-8").splitlines()}
    for row in rows:
        if not row["icd10"]:
            report.add("conditions", row["_line"], f"condition {row['id']} has no ICD-10 code")
        for code in filter(None, row["icd10"].split("|")):
            if known is not None and code not in known:
                report.add("conditions", row["_line"], f"ICD-10 code {code!r} of {row['id']} is not in {path.name}")


def check_distinguishing(folder: Path, lines: dict[str, int], report: Report) -> None:
    """Every condition has a finding that speaks for it, and no two are the same."""
    tables = tb.load_tables(folder)
    arrays = tb.probability_arrays(tables)
    mean = np.einsum("kbsf,kbs->kf", arrays.p, arrays.group)
    # How long somebody has been ill tells no disease by itself.
    clinical = [f.kind != "course" for f in tables.findings if f.id in set(tables.features)]
    mean, background = mean[:, clinical], arrays.background[clinical]
    logit = np.log(mean / (1 - mean))
    background = np.log(background / (1 - background))
    best = (logit - background).max(1)
    for k, condition in enumerate(tables.conditions):
        if best[k] < np.log(DISTINGUISHING_ODDS):
            report.add("conditions", lines[condition.id], f"condition {condition.id} has no distinguishing finding (best odds ratio {np.exp(best[k]):.1f})")
        for other in range(k):
            if np.abs(logit[k] - logit[other]).max() < np.log(APART_ODDS):
                report.add("conditions", lines[condition.id], f"condition {condition.id} cannot be told from {tables.conditions[other].id}")


def validate(folder: Path, icd: Path | None = None) -> list[str]:
    """All problems of the tables in a folder; raises OSError when a file is missing."""
    report = Report()
    t = {name: read(folder, name, report) for name in COLUMNS}
    if report.problems:
        return report.problems
    source_ids = check_ids("sources", t["sources"], report, slug=False)
    for name, rows in t.items():
        if not rows:
            report.add(name, 1, "table is empty")
        check_common(name, rows, source_ids, report)
    findings = check_ids("findings", t["findings"], report)
    conditions = check_ids("conditions", t["conditions"], report)
    check_ids("red_flags", t["red_flags"], report)
    check_ids("tests", t["tests"], report)
    check_wordings("findings", t["findings"], report)
    check_wordings("conditions", t["conditions"], report)
    check_probabilities(t, report)
    check_references(t, findings, conditions, report)
    check_implications(t["implications"], report)
    check_time(t, report)
    check_red_flags(t["red_flags"], findings, report)
    check_icd(t["conditions"], icd, report)
    if not report.problems:
        check_distinguishing(folder, {r["id"]: r["_line"] for r in t["conditions"]}, report)
    return report.problems


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that holds the tables (models/diagnosis)")
    parser.add_argument("--icd", type=Path, help="file of ICD-10 codes, one `code name` a line")
    options = parser.parse_args(arguments)
    try:
        problems = validate(options.folder, options.icd)
    except (OSError, UnicodeDecodeError) as error:
        print(f"cannot read the tables: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem(s) in {options.folder}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
