"""Read the tables and the scraped pages for the indication-fit model into arrays."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

TABLES = ["prescription/indications.csv", "prescription/class_members.csv", "prescription/medicines.csv",
          "prescription/extra_products.csv", "prescription/ingredients.csv", "prescription/diagnosis_terms.csv",
          "diagnosis/conditions.csv"]
TARGETS = {"1": 1.0, "2": 0.95, "3": 0.9}  # by rank: first choice, alternative, reserve
CHAPTERS = ("A00 B99 C00 D48 D50 D89 E00 E90 F00 F99 G00 G99 H00 H59 H60 H95 I00 I99 J00 J99 K00 K93 L00 L99 "
            "M00 M99 N00 N99 O00 O99 P00 P96 Q00 Q99 R00 R99 S00 T98 U00 U99 V01 Y98 Z00 Z99").split()
SALTS = re.compile(r"^(注射用|复方(?=$)|外用|医用|小儿(?=..))|^(盐酸|硫酸|乳酸|醋酸|磷酸|马来酸|富马酸|枸橼酸|酒石酸|氢溴酸|甲磺酸|苯磺酸|"
                   r"硝酸|琥珀酸|重组人?|甲苯磺酸|门冬氨酸|双氯芬酸(?=$)|丙酸|糠酸|丁酸|苹果酸)")
FORMS = re.compile(r"([（(].*[)）])|((肠溶|缓释|控释|分散|咀嚼|泡腾|口腔崩解|口崩|软|硬|阴道|口服|薄膜衣|糖衣|干)*"
                   r"(片|胶囊|颗粒剂?|丸|注射液|溶液|混悬液|糖浆|滴丸|散|粉针剂?|胶丸|含片|栓|干混悬剂|液))$")


@dataclass
class Data:
    """Everything read from the tables, indexed by medicine (row) and ICD-10 category (column)."""

    medicines: list[dict]
    codes: list[str]
    table: np.ndarray          # soft target of the indication table, 0 where it names no pair
    any_use: np.ndarray        # medicines indicated for anything ("*"): left out throughout
    pages: np.ndarray          # pages that name the pair
    medicine_features: sp.csr_matrix
    code_features: sp.csr_matrix


def rows(path: Path) -> list[dict]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cells(text: str) -> list[str]:
    """The parts of a `|` list."""
    return [part for part in text.split("|") if part]


def chapter(code: str) -> str:
    """The ICD-10 chapter, named by its first category."""
    return next((low for low, high in zip(CHAPTERS[::2], CHAPTERS[1::2]) if low <= code <= high), "?")


def disease_names(models: Path, icd_names: Path | None) -> dict[str, list[str]]:
    """ICD-10 categories of every disease name, the most trusted source first."""
    names: dict[str, list[str]] = {}
    for row in rows(models / "diagnosis/conditions.csv"):
        for name in [row["name_zh"], *cells(row["synonyms"])]:
            names.setdefault(name, [row["icd10"][:3]])
    for row in rows(models / "prescription/diagnosis_terms.csv"):
        names.setdefault(row["term"], list(dict.fromkeys(code[:3] for code in cells(row["icd"]))))
    if icd_names:
        for line in icd_names.read_text(encoding="utf-8").splitlines():
            code, _, name = line.partition(" ")
            if re.match(r"[A-Z]\d\d", code) and name:
                names.setdefault(name.strip(), [code[:3]])
    return names


def resolver(medicines: list[dict], ingredients: list[dict]):
    """A function from a product name to the index of a listed medicine, or None."""
    known: dict[str, int] = {}
    for at, row in enumerate(medicines):
        for name in [row["name_zh"], *cells(row["aliases"])]:
            known.setdefault(name, at)
    single = {}
    for at, row in enumerate(medicines):
        if row["kind"] == "western" and "|" not in row["ingredients"]:
            single.setdefault(row["ingredients"], at)
    bare = dict(known)
    for row in ingredients:
        for name in [row["name_zh"], *cells(row["aliases"])]:
            if row["id"] in single:
                bare.setdefault(name, single[row["id"]])
    for name, at in known.items():
        bare.setdefault(FORMS.sub("", name) or name, at)

    def resolve(name: str) -> int | None:
        if name in known:
            return known[name]
        short = FORMS.sub("", FORMS.sub("", name))
        for _ in range(3):
            for form in (short, re.sub(r"(钠|钾|钙)$", "", short)):
                if len(form) > 1 and form in bare:
                    return bare[form]
            short = SALTS.sub("", short)
        return None

    return resolve


def one_hot(lists: list[list[str]], rare: int = 1) -> sp.csr_matrix:
    """Rows of features; features of one kind share a total weight of one in each row."""
    count = Counter(name for names in lists for name in set(names))
    index = {name: at for at, name in enumerate(sorted(n for n, c in count.items() if c >= rare))}
    at_row, at_column, value = [], [], []
    for row, names in enumerate(lists):
        kinds = Counter(name.split(":")[0] for name in names if name in index)
        for name in sorted(set(names) & index.keys()):
            at_row.append(row), at_column.append(index[name]), value.append(kinds[name.split(":")[0]] ** -0.5)
    return sp.csr_matrix((np.array(value, np.float32), (at_row, at_column)), (len(lists), len(index)))


def load(models: Path, pages: Path | None, icd_names: Path | None) -> tuple[Data, dict]:
    """Reads the tables and the pages; also how much of the pages could be used."""
    folder = models / "prescription"
    medicines = rows(folder / "medicines.csv") + rows(folder / "extra_products.csv")
    indications, names = rows(folder / "indications.csv"), disease_names(models, icd_names)
    codes = sorted({c for row in indications for p in cells(row["icd"]) if (c := p[:3]) != "*"}
                   | {c for found in names.values() for c in found if re.match(r"[A-Z]\d\d$", c)})
    column = {code: at for at, code in enumerate(codes)}
    by_subject = defaultdict(list)
    for row in indications:
        for subject in cells(row["subject"]):
            by_subject[subject].append(row)
    table, any_use = np.zeros((len(medicines), len(codes)), np.float32), np.zeros(len(medicines), bool)
    for at, medicine in enumerate(medicines):
        for subject in [medicine["code"], *cells(medicine["ingredients"])]:
            for row in by_subject[subject]:
                if row["route"] and not set(cells(row["route"])) & set(cells(medicine["routes"])):
                    continue
                any_use[at] |= "*" in cells(row["icd"])
                for code in {p[:3] for p in cells(row["icd"])} & column.keys():
                    table[at, column[code]] = max(table[at, column[code]], TARGETS[row["rank"] or "2"])
    classes = defaultdict(list)
    for row in rows(folder / "class_members.csv"):
        classes[row["ingredient"]].append(row["class"])
    features = [[f"m:{m['code']}", f"kind:{m['kind']}", f"cat:{m['category']}", f"sub:{m['category']}/{m['subcategory']}",
                 *(f"ing:{i}" for i in cells(m["ingredients"])),
                 *{f"class:{c}" for i in cells(m["ingredients"]) for c in classes[i]}] for m in medicines]
    text = defaultdict(set)
    for name, found in names.items():
        text[found[0]] |= {f"pair:{name[i:i + 2]}" for i in range(len(name) - 1)}
    about = [[f"c:{c}", f"dec:{c[:2]}", f"chap:{chapter(c)}", *sorted(text[c])] for c in codes]
    seen, use = np.zeros_like(table), Counter()
    resolve = resolver(medicines, rows(folder / "ingredients.csv"))
    lines = pages.read_text(encoding="utf-8").splitlines() if pages else []
    for page in map(json.loads, lines):
        name, drugs = page["name"], page.get("drug") or []
        found = names.get(name) or names.get(re.sub(r"^(小儿|老年人?|妊娠合并)", "", name))
        hits = {at for at in map(resolve, drugs) if at is not None}
        use.update(pages=1, pages_with_code=bool(found), drug_names=len(drugs), resolved=sum(resolve(d) is not None for d in drugs))
        if found and found[0] in column:
            seen[sorted(hits), column[found[0]]] += 1
    seen[any_use] = 0
    use.update(pairs=int((seen > 0).sum()), pairs_in_table=int(((seen > 0) & (table > 0)).sum()))
    return Data(medicines, codes, table, any_use, seen, one_hot(features), one_hot(about, 2)), dict(use)
