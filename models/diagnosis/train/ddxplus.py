"""Synthetic DDXPlus-like patients as case files for `xiangyi eval diagnosis`.

    python models/diagnosis/train/ddxplus.py --data ../shared/data --tables models/diagnosis --out ddxplus.jsonl

Every patient has one of the 49 conditions (in turn over a shuffled list, so all are equally frequent; --weight count
takes them as often as the DDXPlus set has them). Evidences are drawn independently with the marginals of
p_evidence_given_condition.json: binary ones, and the five most frequent values of the pain questions (site, character,
radiation; sites and characters only when the patient has pain, P(pain) = 1 - P(no site)). Onset and intensity of pain
are drawn around the mean (normal, sd 1.5, rounded, 0 to 10). The json has no age or sex: AGES below is our own table.
Evidences of one sex are divided by the share of that sex, and adult habits are left out under 15 years.

Evidences become findings through ddxplus/map.csv and the combinations of ddxplus/combos.csv. Left out: E_209 (coded
the wrong way round); the false side of E_150; travel E_204 (not in the json). E_133 (site of a skin lesion) is
used as rash only for the conditions in RASH, elsewhere it stands for colour of skin or a bulge.
Absent terms: evidences of the patient's condition that were not drawn (--absent own, default), of all 49 conditions
(--absent all), or none; never something that a present finding entails.
Data: DDXPlus (mila-iqia), CC-BY.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import tables as tb
from simulate import Cases

MAPS = Path(__file__).resolve().parent / "ddxplus"
#: Evidences of women, and habits and illnesses that children are not asked about.
FEMALE = {"E_167", "E_163", "E_145", "E_100", "E_141", "E_11"}
ADULT = {"E_78", "E_79", "E_191", "E_115", "E_189", "E_27", "E_61", "E_62", "E_105", "E_153", "E_95", "E_107",
         "E_31", "E_123", "E_72", "E_200", "E_199", "E_225", "E_106", "E_126", "E_100", "E_167", "E_71", "E_104", "E_163", "E_145"}
RASH = {"HIV (initial infection)", "Anaphylaxis", "Scombroid food poisoning", "SLE"}
#: findings that qualify a complaint and are none by themselves
MODIFIERS = {"worse_at_night", "worse_after_eating", "worse_with_straining", "pain_worse_movement", "symptoms_worse_lying",
             "worse_over_weeks", "sudden_onset", "pain_lean_forward", "no_stool_or_gas", "after_recent_cold", "fluctuating_weakness",
             "radiating_arm_pain", "upper_abdominal_pain_to_back"}
#: what such patients come with, where the arithmetic would choose something beside it
CHIEF = {"Possible NSTEMI / STEMI": ("crushing_chest_pain", "chest_pain"), "Acute pulmonary edema": ("dyspnea", "nocturnal_dyspnea"),
         "Pulmonary embolism": ("dyspnea", "pleuritic_pain", "chest_pain"), "Anaphylaxis": ("rash", "dyspnea", "syncope"),
         "Bronchiolitis": ("dyspnea", "wheeze"), "Anemia": ("fatigue", "dizziness", "pallor"), "Inguinal hernia": ("worse_with_straining", "hip_pain"),
         "Unstable angina": ("rest_chest_pain", "chest_pain"), "Epiglottitis": ("sore_throat", "dysphagia"), "Ebola": ("fever", "easy_bruising")}
#: youngest, usual, oldest age; share of men
AGES = {"Spontaneous pneumothorax": (15, 26, 75, .78), "Cluster headache": (18, 36, 65, .72), "Boerhaave": (25, 55, 80, .75),
 "Spontaneous rib fracture": (40, 68, 90, .42), "GERD": (18, 48, 85, .48), "HIV (initial infection)": (17, 30, 65, .75),
 "Anemia": (2, 38, 85, .35), "Viral pharyngitis": (3, 22, 65, .48), "Inguinal hernia": (1, 58, 85, .87),
 "Myasthenia gravis": (16, 48, 82, .45), "Whooping cough": (0.2, 2, 25, .48), "Anaphylaxis": (2, 32, 75, .48),
 "Epiglottitis": (3, 40, 75, .6), "Guillain-Barré syndrome": (5, 46, 80, .57), "Acute laryngitis": (6, 32, 70, .45),
 "Croup": (0.5, 2, 5, .6), "PSVT": (14, 40, 75, .4), "Atrial fibrillation": (42, 70, 92, .54), "Bronchiectasis": (18, 58, 85, .42),
 "Allergic sinusitis": (5, 24, 60, .5), "Chagas": (10, 38, 75, .5), "Scombroid food poisoning": (6, 34, 75, .5),
 "Myocarditis": (14, 28, 60, .65), "Larygospasm": (2, 35, 75, .47), "Acute dystonic reactions": (8, 24, 60, .57),
 "Localized edema": (25, 62, 90, .42), "SLE": (15, 30, 65, .1), "Tuberculosis": (15, 45, 85, .64), "Unstable angina": (40, 66, 90, .62),
 "Stable angina": (40, 64, 88, .6), "Ebola": (10, 34, 65, .5), "Acute otitis media": (0.5, 3, 14, .52), "Panic attack": (16, 31, 62, .34),
 "Bronchospasm / acute asthma exacerbation": (3, 24, 75, .48), "Bronchitis": (5, 46, 85, .48),
 "Acute COPD exacerbation / infection": (45, 70, 90, .72), "Pulmonary embolism": (22, 60, 88, .47), "URTI": (1, 24, 75, .48),
 "Influenza": (3, 30, 78, .49), "Pneumonia": (3, 60, 90, .54), "Acute rhinosinusitis": (8, 36, 70, .45),
 "Chronic rhinosinusitis": (12, 42, 75, .5), "Bronchiolitis": (0.1, 0.5, 2, .58), "Pulmonary neoplasm": (42, 66, 88, .66),
 "Possible NSTEMI / STEMI": (38, 64, 92, .68), "Sarcoidosis": (22, 42, 70, .42), "Pancreatic neoplasm": (42, 66, 88, .55),
 "Acute pulmonary edema": (42, 72, 93, .5), "Pericarditis": (16, 38, 75, .65)}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


class Model:
    """DDXPlus' marginals in the words of the tables. fit: `all` mappings or the `exact` ones."""

    def __init__(self, data: Path, tables: Path, fit: str):
        read = lambda name: json.loads((data / name).read_text(encoding="utf-8"))  # noqa: E731
        self.ev, self.p = read("release_evidences.json"), read("p_evidence_given_condition.json")
        self.condition = {r["ddxplus_condition"]: r["condition"] for r in rows(MAPS / "conditions.csv")}
        fits = lambda row: fit == "all" or row["fit"] == "exact"  # noqa: E731
        self.map = {(r["evidence"], r["value"]): r for r in rows(MAPS / "map.csv") if fits(r)}
        self.combos = [r for r in rows(MAPS / "combos.csv") if fits(r)]
        self.kind = {r["id"]: r["kind"] for r in rows(tables / "findings.csv")}
        known = {r["id"] for r in rows(tables / "conditions.csv")}
        assert set(self.condition) == set(self.p) == set(AGES) and set(self.condition.values()) <= known
        assert {r["finding"] for r in self.map.values()} <= set(self.kind)
        up = defaultdict(set)
        for r in rows(tables / "implications.csv"):
            up[r["finding"]].add(r["implies"])
        self.up = up
        self.values = {e: {self.norm(self.ev[e]["value_meaning"][v]["fr"]): v for v in self.ev[e]["possible-values"]} for e in ("E_54", "E_55", "E_57")}
        self.cat = {c: {e: [(self.value(e, n), p) for n, p in l] for e, l in self.p[c]["cat_top5"].items()} for c in self.p}
        self.mean = defaultdict(float)       # mean P of a finding over the 49 conditions
        self.best = {c: defaultdict(float) for c in self.p}
        for c in self.p:
            for e, v, p in self.items(c):
                r = self.map.get((e, v))
                if r and r["state"] == "present":
                    self.best[c][r["finding"]] = max(self.best[c][r["finding"]], p)
            for f, p in self.best[c].items():
                self.mean[f] += p / len(self.p)

    @staticmethod
    def norm(s):
        return re.sub(r"[^a-zà-ÿ0-9()]", "", s.lower())

    def value(self, e, name):
        n = name.replace("_D_", "(D)").replace("_G_", "(G)")
        m = re.match(r"doigt_([a-z]+)_", name)
        if m:
            n = f"doigt({m[1]})({'D' if '_D_' in name else 'G'})"
        n = self.norm(n)
        if n in self.values[e]:
            return self.values[e][n]
        for k, v in self.values[e].items():
            if len(k) > 5 and n.startswith(k):
                return v
        raise KeyError((e, name))

    def items(self, c):
        for e, p in self.p[c]["binary"].items():
            yield e, "", p
        for e, l in self.cat[c].items():
            for v, p in l:
                yield e, v, p

    def closure(self, found):
        seen, todo = set(found), list(found)
        while todo:
            for g in self.up.get(todo.pop(), ()):
                if g not in seen:
                    seen.add(g)
                    todo.append(g)
        return seen


def patient(m, c, rng, absent_mode, initial):
    lo, mode, hi, men = AGES[c]
    age = rng.triangular(lo, hi, mode)
    age = round(age, 1) if age < 3 else int(age)
    sex = "male" if rng.random() < men else "female"
    present, absent = [], []

    def add(e, v, yes):
        r = m.map.get((e, v))
        if not r:
            return
        f, positive = r["finding"], r["state"] == "present"
        if e == "E_150":                    # able to pass stools or gas
            if yes:
                absent.append(f)
            return
        (present if yes == positive else absent).append(f)

    for e, p in sorted(m.p[c]["binary"].items()):
        if e == "E_133":
            if c in RASH and rng.random() < p:
                present.append("rash")
            continue
        u = rng.random()
        if e in FEMALE:
            if sex == "male" or not 13 <= age <= 52:
                continue
            p = min(.95, p / max(1 - men, .05))
        if e in ADULT and age < 15:
            continue
        add(e, "", u < p)
    cat = m.cat[c]
    got = defaultdict(set)
    if "E_55" in cat:
        none = sum(p for v, p in cat["E_55"] if v == "V_123")
        pain = rng.random() >= none
        for e in ("E_55", "E_57", "E_54"):
            share = 1 - none if e != "E_57" else 1
            for v, p in cat.get(e, ()):
                u = rng.random()
                if v in ("V_123", "V_11"):
                    continue
                p = min(.98, p / max(share, .05))
                testis = e == "E_55" and v in ("V_158", "V_168", "V_169", "V_155", "V_94")
                if testis:
                    if sex == "female":
                        continue
                    p = min(.95, p / max(men, .05))
                yes = pain and u < p
                if yes:
                    got[e].add(v)
                if e == "E_55" or (e == "E_57" and yes):
                    add(e, v, yes)
        number = {e: min(10, max(0, round(rng.gauss(x, 1.5)))) for e, x in sorted(m.p[c]["numeric_mean"].items()) if e in ("E_56", "E_59")}
        if pain:
            for e, x in number.items():
                got[e].add(str(x))
            if "E_59" in number and ("E_59", str(number["E_59"])) in m.map:
                add("E_59", str(number["E_59"]), True)
            for r in m.combos:
                values = set(r["value"].split("|"))
                sites, *other = r["e55_values"].split(" with ")
                if not values & got[r["evidence"]] or not set(sites.split("|")) & got["E_55"]:
                    continue
                if other:
                    e2, v2 = other[0].split(" ", 1)
                    if not set(v2.split("|")) & got[e2]:
                        continue
                present.append(r["finding"])
    present = list(dict.fromkeys(present))
    if not present:
        return None
    have = m.closure(present)
    if absent_mode == "all":
        absent += [f for f in sorted(m.mean) if m.best[c].get(f, 0) == 0]
    absent = [] if absent_mode == "none" else [f for f in dict.fromkeys(absent) if f not in have]
    # a child of an absent finding cannot be present: taken care of above, as its parents are in `have`
    now = {m.map[k]["finding"] for k in m.map if not m.ev[k[0]]["is_antecedent"]} | {r["finding"] for r in m.combos} | {"rash"}
    said = [f for f in present if f in now and m.kind[f] in ("symptom", "sign") and f not in MODIFIERS]
    said = said or [f for f in present if m.kind[f] in ("symptom", "sign")] or present
    wanted = [f for f in CHIEF.get(c, ()) if f in present]
    if initial == "random":
        first = rng.choice(said)
    elif wanted:
        first = wanted[0]
    else:
        typical = lambda f: m.best[c].get(f, .5) * (m.best[c].get(f, .5) / max(m.mean.get(f, .02), .005)) ** .15
        first = max(said, key=lambda f: (typical(f), f))
    rest = [f for f in present if f != first]
    rng.shuffle(rest)
    rest.sort(key=lambda f: m.kind[f] not in ("symptom", "sign"))
    return age, sex, [first, *rest], absent


def drawn(data: Path, folder: Path, tables: tb.Tables, n: int, seed: int) -> Cases | None:
    """n patients over all 49 conditions in turn, partly known, for fitting; none where data lacks DDXPlus.

    data: the shared data folder; folder: that of the tables. Of each patient a random share of the
    present facts is told, and a smaller one of the absent ones; what facts entail is closed.
    """
    if not (data / "diagnosis" / "ddxplus").is_dir():
        return None
    m = Model(data / "diagnosis" / "ddxplus", folder, "all")
    dice, rng = random.Random(seed), np.random.default_rng(seed)
    columns = {f: i for i, f in enumerate(tables.features)}
    labels = {c: i for i, c in enumerate(tables.labels)}
    names = sorted(m.p)
    findings, people = np.zeros((n, len(columns)), np.int8), np.zeros((n, 2), np.float32)
    label = np.zeros(n, int)
    for i in range(n):
        condition, got = names[i % len(names)], None
        while got is None:
            got = patient(m, condition, dice, "all", "typical")
        age, sex, present, absent = got
        told = rng.beta(1.2, 1.0)
        denied = told * rng.uniform(0.1, 1)
        for k, finding in enumerate(present):
            if finding in columns and (k == 0 or rng.random() < told):
                findings[i, columns[finding]] = 1
        for finding in absent:
            if finding in columns and findings[i, columns[finding]] == 0 and rng.random() < denied:
                findings[i, columns[finding]] = -1
        people[i] = age, 1 if sex == "male" else -1
        label[i] = labels[m.condition[condition]]
    pairs = tb.implication_pairs(tables)
    tb.close_present(findings, pairs)
    for child, parent in pairs:
        findings[(findings[:, parent] < 0) & (findings[:, child] == 0), child] = -1
    return Cases(findings, people, label)


def main(arguments: list[str] | None = None) -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", type=Path, required=True, help="shared data folder")
    a.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    a.add_argument("--out", type=Path, required=True, help="the file to write")
    a.add_argument("--n", type=int, default=500, help="patients")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--weight", choices=("equal", "count"), default="equal")
    a.add_argument("--absent", choices=("own", "all", "none"), default="own")
    a.add_argument("--initial", choices=("typical", "random"), default="typical")
    a.add_argument("--fit", choices=("all", "exact"), default="all")
    o = a.parse_args(arguments)
    m = Model(o.data / "diagnosis" / "ddxplus", o.tables, o.fit)
    rng = random.Random(o.seed)
    names = sorted(m.p)
    candidates = [m.condition[c] for c in names]
    order = []
    while len(order) < o.n:
        if o.weight == "equal":
            block = names[:]
            rng.shuffle(block)
            order += block
        else:
            order.append(rng.choices(names, [m.p[c]["count"] for c in names])[0])
    with o.out.open("w", encoding="utf-8") as out:
        for i, c in enumerate(order[: o.n]):
            got = None
            while got is None:
                got = patient(m, c, rng, o.absent, o.initial)
            age, sex, present, absent = got
            out.write(json.dumps({"id": f"ddx-{o.seed}-{i + 1:05d}", "age_years": age, "sex": sex, "present": present, "absent": absent,
                                  "gold": [m.condition[c]], "candidates": candidates,
                                  "source": f"ddxplus-marginals#{c}"}, ensure_ascii=False) + "\n")
    print(f"{o.out}: {o.n} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())