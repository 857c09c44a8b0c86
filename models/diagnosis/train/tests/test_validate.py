"""validate.py finds each kind of fault and says where it is."""

import pytest

import validate


def append(folder, table, line):
    with (folder / f"{table}.csv").open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")


def replace(folder, table, old, new):
    path = folder / f"{table}.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_sound_tables_pass(folder):
    assert validate.validate(folder) == []
    assert validate.main([str(folder)]) == 0


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("background", "jaundice,0.01,,draft", "row has no source"),
        ("background", "jaundice,0.01,nowhere,draft", "'nowhere' is not in sources.csv"),
        ("likelihoods", "common_cold,vomiting,any,any,1.2,1,1,memory,draft", "not between 0 and 1"),
        ("likelihoods", "common_cold,vomiting,any,any,0.2,0.3,0.4,memory,draft", "do not enclose"),
        ("likelihoods", "common_cold,nothing,any,any,0.2,0.1,0.4,memory,draft", "'nothing' is not in findings.csv"),
        ("likelihoods", "common_cold,cough,any,any,0.2,0.1,0.4,memory,draft", "already on line"),
        ("findings", "lonely,孤立,lonely,symptom,general,,,memory,draft", "orphan finding lonely"),
        ("findings", "gasping,喘,gasping,symptom,chest,流鼻涕,,memory,draft", "also belongs to runny_nose"),
        ("conditions", "empty,空,empty,,,A00.000,,mild,no,,,any,x,village,,memory,draft", "no row in likelihoods.csv"),
        ("implications", "fever,high_fever,memory,draft", "in a circle"),
        ("seasons", "gastroenteritis,1,2,1,1,memory,draft", "average 1"),
        ("durations", "fever,,9,3,memory,draft", "min_days < max_days"),
        ("wider", "肠病,gastroenteritis|nothing,memory,draft", "'nothing' is not in conditions.csv"),
        ("tests", "scan,扫描,scan,village,nothing,memory,draft", "'nothing' is not in findings.csv"),
        ("red_flags", "x,x,unheard_of;fever,x,y,county,urgent,memory,draft", "'unheard_of'"),
    ],
)
def test_a_fault_is_named_with_file_and_line(folder, table, line, message):
    append(folder, table, line)
    number = (folder / f"{table}.csv").read_text(encoding="utf-8").count("\n")
    problems = validate.validate(folder)
    assert any(message in p and p.startswith(f"{table}.csv:{number}:") for p in problems), problems
    assert validate.main([str(folder)]) == 1


def test_a_condition_without_a_distinguishing_finding_is_named(folder):
    replace(folder, "likelihoods", "pelvic_infection,pelvic_pain,any,any,.9", "pelvic_infection,pelvic_pain,any,any,.01")
    replace(folder, "likelihoods", "pelvic_infection,fever,any,any,.3", "pelvic_infection,fever,any,any,.02")
    rows = (folder / "likelihoods.csv").read_text(encoding="utf-8").splitlines()
    rows = [",".join(r.split(",")[:5] + ["0.001", "0.99"] + r.split(",")[7:]) if r.startswith("pelvic") else r for r in rows]
    (folder / "likelihoods.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert any("pelvic_infection has no distinguishing finding" in p for p in validate.validate(folder))


def test_courses_that_do_not_add_up_to_one_are_named(folder):
    replace(folder, "likelihoods", "common_cold,course_days,any,any,0.8", "common_cold,course_days,any,any,0.73")
    assert any("courses of common_cold add up to 0.93" in p for p in validate.validate(folder))


def test_icd_codes_are_looked_up_when_the_list_is_given(folder, tmp_path):
    codes = tmp_path / "icd.dat"
    codes.write_text("J00.x00 a\nJ20.900 b\nA09.900 c\nP59.900 d\nI21.900 e\n", encoding="utf-8")
    problems = validate.validate(folder, codes)
    assert len(problems) == 1 and "conditions.csv:7" in problems[0] and "N73.900" in problems[0]


def test_a_missing_file_is_exit_code_two(folder):
    (folder / "background.csv").unlink()
    assert validate.main([str(folder)]) == 2
