"""A handful of conditions and findings, enough to run everything in seconds."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FINDINGS = [
    ("fever", "发热", "vital", "general", "发烧"), ("high_fever", "高热", "vital", "general", "高烧"),
    ("cough", "咳嗽", "symptom", "chest", "咳"), ("dyspnea", "呼吸困难", "symptom", "chest", "气促"),
    ("runny_nose", "流涕", "symptom", "nose", "流鼻涕"), ("diarrhea", "腹泻", "symptom", "abdomen", "拉肚子"),
    ("vomiting", "呕吐", "symptom", "abdomen", "吐"), ("jaundice", "黄疸", "sign", "skin", "皮肤黄"),
    ("chest_pain", "胸痛", "symptom", "chest", "胸口痛"), ("sweating", "出汗", "symptom", "general", "大汗"),
    ("constipation", "便秘", "symptom", "abdomen", "大便干"), ("pelvic_pain", "下腹痛", "symptom", "pelvis", "小腹痛"), ("smoker", "吸烟", "history", "general", "抽烟"),
    ("course_days", "病程数天", "course", "general", ""), ("course_weeks", "病程数周", "course", "general", ""),
    ("bronchitis_named", "支气管炎", "diagnosis", "chest", "气管炎"), ("blood_test", "血常规", "test", "blood", "验血"),
]
CONDITIONS = [
    ("common_cold", "感冒", "小儿感冒", "J00.x00", "mild", "no", "", "", "any"),
    ("acute_bronchitis", "急性支气管炎", "支气管炎|小儿支气管炎", "J20.900", "moderate", "no", "", "", "any"),
    ("gastroenteritis", "急性胃肠炎", "小儿腹泻", "A09.900", "moderate", "no", "", "", "any"),
    ("neonatal_jaundice", "新生儿黄疸", "", "P59.900", "moderate", "no", "0", "0.08", "any"),
    ("myocardial_infarction", "急性心肌梗死", "心梗", "I21.900", "critical", "yes", "30", "", "any"),
    ("pelvic_infection", "盆腔炎", "", "N73.900", "moderate", "no", "14", "60", "female"),
]
LIKELIHOODS = """common_cold fever .5|common_cold high_fever .15|common_cold cough .6|common_cold runny_nose .85
acute_bronchitis fever .5|acute_bronchitis high_fever .2|acute_bronchitis cough .97|acute_bronchitis dyspnea .25|gastroenteritis constipation .05
gastroenteritis diarrhea .9|gastroenteritis vomiting .6|gastroenteritis fever .3|neonatal_jaundice jaundice .98
myocardial_infarction chest_pain .9|myocardial_infarction sweating .6|myocardial_infarction dyspnea .4
myocardial_infarction smoker .5|pelvic_infection pelvic_pain .9|pelvic_infection fever .3""".replace("\n", "|")


@pytest.fixture(autouse=True)
def no_chance_findings(monkeypatch):
    """Among sixteen findings there is no room for those that come up by chance."""
    monkeypatch.setattr("simulate.EXTRANEOUS", 0.0)


def write(path: Path, header: str, rows) -> None:
    path.write_text("\n".join([header, *[",".join(map(str, r)) for r in rows]]) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """models/diagnosis of a small repository, sound by validate.py."""
    out = tmp_path / "models" / "diagnosis"
    (out / "train").mkdir(parents=True)
    end = ("memory", "draft")
    write(out / "sources.csv", "id,citation,url,licence,note",
          [("memory", "from memory", "", "", ""), ("expert-guess", "a guess", "", "", "")])
    write(out / "findings.csv", "id,name_zh,name_en,kind,body_part,synonyms,synonyms_en,source,status",
          [(i, zh, i, kind, part, words, "", *end) for i, zh, kind, part, words in FINDINGS])
    write(out / "conditions.csv", "id,name_zh,name_en,synonyms,synonyms_en,icd10,icd10_more,severity,must_not_miss,age_min_years,"
          "age_max_years,sex,department,referral,confusion_group,source,status",
          [(i, zh, i, s, "", icd, "", sev, mnm, lo, hi, sex, "general", "village", "", *end)
           for i, zh, s, icd, sev, mnm, lo, hi, sex in CONDITIONS])
    cells = [r.split() for r in LIKELIHOODS.split("|")]
    cells += [(c[0], course, p) for c in CONDITIONS for course, p in (("course_days", "0.8"), ("course_weeks", "0.2"))]
    write(out / "likelihoods.csv", "condition,finding,age_band,sex,p,p_low,p_high,source,status",
          [(c, f, "any", "any", p, float(p) * 0.9, min(0.99, float(p) * 1.1), "expert-guess", "draft") for c, f, p in cells])
    write(out / "background.csv", "finding,p,source,status",
          [(f[0], 0.01, "expert-guess", "draft") for f in FINDINGS if f[2] not in ("diagnosis", "test")])
    write(out / "prevalence.csv", "condition,age_band,sex,per_1000,source,status",
          [(c[0], "any", "any", 10, "expert-guess", "draft") for c in CONDITIONS])
    write(out / "implications.csv", "finding,implies,source,status", [("high_fever", "fever", *end)])
    write(out / "measurements.csv", "finding,measure,op,value,unit,age_min_years,age_max_years,source,status",
          [("fever", "temperature_c", ">=", 37.3, "c", "", "", *end)])
    write(out / "red_flags.csv", "id,name_zh,when,meaning_zh,act_now_zh,refer_to,urgency,source,status",
          [("mi", "胸痛出汗", "chest_pain;sweating|dyspnea;age_years>=40", "x", "y", "ambulance", "emergency", *end)])
    write(out / "durations.csv", "finding,of,min_days,max_days,source,status",
          [("course_days", "", 0, 7.5, *end), ("course_weeks", "", 7.5, "", *end)])
    write(out / "seasons.csv", "condition,spring,summer,autumn,winter,source,status",
          [("common_cold", 1, 0.7, 1, 1.3, "expert-guess", "draft")])
    write(out / "tests.csv", "id,name_zh,name_en,level,findings,source,status",
          [("thermometer", "测体温", "thermometer", "village", "fever|high_fever", *end)])
    write(out / "wider.csv", "name,conditions,source,status", [("呼吸道感染", "common_cold|acute_bronchitis", *end)])
    return out


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three small dialogue sets."""
    for name in ("mz4", "mz10", "dxy"):
        cases = []
        for i in range(60):
            bowel = i % 2
            cases.append({
                "pid": f"p{i}", "label": "小儿腹泻" if bowel else "小儿感冒",
                "exp_sxs": {"腹泻" if bowel else "咳嗽": "1"},
                "imp_sxs": {"呕吐" if bowel else "流鼻涕": "1", "发烧": str(i % 3), "血常规": "1"},
            })
        target = tmp_path / "data" / "diagnosis" / "dialogue" / name
        target.mkdir(parents=True)
        (target / "train_set.json").write_text(json.dumps(cases, ensure_ascii=False), encoding="utf-8")
    return tmp_path / "data"
