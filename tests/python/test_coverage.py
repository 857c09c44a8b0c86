"""The simulated year's report as other programs see it, and three of its indicators worked out anew from
everything that was told."""

import collections
import csv
import datetime
import html.parser
import json
import os
import pathlib
import resource
import subprocess

import openpyxl
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
SIMULATED = "模拟数据"
CLASSES = ["1", "2", "4", "8", "12", "24", "48", "72", "120", "168", "336", "720", "more"]


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A year of the prefecture, with its report, once."""
    folder = tmp_path_factory.mktemp("coverage")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = subprocess.run(
        [BINARY, "coverage", "simulate", "--year", "2026", "--seed", "7", "--out", folder, "--report",
         "--json"], check=True, capture_output=True, text=True)
    said = json.loads(made.stdout)
    assert said["simulated"] is True
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said["computed"] = after.ru_utime - before.ru_utime
    return folder, said


def lines(folder):
    with open(folder / "report.csv", encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def test_the_whole_prefecture_takes_less_than_a_minute(year):
    _, said = year
    assert said["sites"] > 2_000 and said["told"] > 30_000
    # Of one processor; how long it took depends on what else the machine was doing.
    assert 0 < said["computed"] < 60 and said["seconds"] > 0


def test_csv_has_a_mark_every_place_and_no_formula(year):
    folder, _ = year
    assert (folder / "report.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    places, months = collections.defaultdict(set), set()
    for line in lines(folder):
        months.add(line["月份"])
        places[line["级别"]].add(line["区划代码"])
        assert line["备注"].startswith(SIMULATED)
        for cell in line.values():
            assert not cell.startswith(("=", "+", "-", "@")), cell
        if line["状态"] != "已知":
            assert line["数值"] == line["分子"] == line["分母"] == ""
    assert sorted(months) == [f"2026-{month:02}" for month in range(1, 13)]
    assert {level: len(codes) for level, codes in places.items()} == {"全市": 1, "县": 12, "乡镇": 229}


def cut_off(month):
    year, number = map(int, month.split("-"))
    year, number = (year + 1, 1) if number == 12 else (year, number + 1)
    return int(datetime.datetime(year, number, 6, tzinfo=SHANGHAI).timestamp() * 1000)


def newest(rows, until=None):
    """The newest revision of each teller, place and month, by a moment or by all."""
    found = {}
    for row in rows:
        key = row["teller"], row["place"], row["month"]
        if until is not None and int(row["at_ms"]) > until(row["month"]):
            continue
        if key not in found or int(found[key]["revision"]) < int(row["revision"]):
            found[key] = row
    return list(found.values())


def sums(rows, names):
    """Sums of some counters by month and county, and of the whole as 3611."""
    out = collections.defaultdict(collections.Counter)
    for row in rows:
        for name in names:
            if row[name]:
                for code in (row["place"][:6], "3611"):
                    out[row["month"], code][name] += int(row[name])
    return out


def median(counts):
    total = sum(counts)
    if total == 0:
        return ""
    seen = 0
    for name, count in zip(CLASSES, counts):
        seen += count
        if seen >= (total + 1) // 2:
            return ">720" if name == "more" else f"≤{name}"


def test_three_indicators_come_out_the_same_from_what_was_told(year):
    folder, _ = year
    with open(folder / "raw.csv", encoding="utf-8", newline="") as file:
        raw = list(csv.DictReader(file))
    hours = [f"read_hours/{name}" for name in CLASSES]
    names = ["consultations_accepted", "consultations_named", "consultations", *hours]
    now, then = sums(newest(raw), names), sums(newest(raw, cut_off), names)
    compared, corrected = collections.Counter(), 0
    for line in lines(folder):
        if line["级别"] == "乡镇" or line["状态"] != "已知":
            continue
        key = line["月份"], line["区划代码"]
        if line["指标编号"] == "acceptance":
            above, below = now[key]["consultations_accepted"], now[key]["consultations_named"]
            assert (int(line["分子"]), int(line["分母"])) == (above, below), key
            assert float(line["数值"]) == pytest.approx(100 * above / below, abs=1e-4)
        elif line["指标编号"] == "read_lag":
            assert line["数值"] == median([now[key][name] for name in hours]), key
        elif line["指标编号"] == "diagnoses":
            assert int(line["数值"]) == now[key]["consultations"], key
            if line["截止时状态"]:
                assert then[key]["consultations"] != now[key]["consultations"], key
                if line["截止时数值"]:
                    assert int(line["截止时数值"]) == then[key]["consultations"], key
                    assert "报：" in line["更正原因"]
                    corrected += 1
            else:
                assert then[key]["consultations"] == now[key]["consultations"], key
        else:
            continue
        compared[line["指标编号"]] += 1
    # Twelve months of twelve counties and the whole.
    assert compared == {"acceptance": 156, "read_lag": 156, "diagnoses": 156}
    assert corrected > 50


def test_villages_are_counted_against_all_that_there_are(year):
    folder, _ = year
    divisions = collections.Counter()
    with open(ROOT / "models/regions/divisions.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if len(row["code"]) == 12:
                for code in ("3611", row["code"][:6], row["code"][:9]):
                    divisions[code] += 1
    with open(folder / "sites.csv", encoding="utf-8", newline="") as file:
        sites = list(csv.DictReader(file))
    end = {f"2026-{month:02}": cut_off(f"2026-{month:02}") - 5 * 86_400_000 for month in range(1, 13)}
    seen = 0
    for line in lines(folder):
        if line["指标编号"] != "village_coverage":
            continue
        code, month = line["区划代码"], line["月份"]
        assert int(line["分母"]) == divisions[code], code
        come = {site["place"] for site in sites if len(site["place"]) == 12
                and site["place"].startswith(code) and int(site["since_ms"]) < end[month]}
        assert int(line["分子"]) == len(come), (code, month)
        seen += 1
    assert seen == 12 * (1 + 12 + 229) and divisions["3611"] == 2_883


def test_the_workbook_opens_and_says_what_its_figures_are(year):
    folder, _ = year
    book = openpyxl.load_workbook(folder / "report.xlsx")
    assert book.sheetnames == ["总览", "县", "乡镇", "指标口径", "更正"]
    for sheet in book:
        assert SIMULATED in sheet["A1"].value
        assert SIMULATED in sheet.oddHeader.center.text and SIMULATED in sheet.oddFooter.left.text
        assert sheet.page_setup.orientation == "landscape" and str(sheet.page_setup.paperSize) == "9"
        assert sheet.freeze_panes is not None and sheet.print_title_rows
        assert sheet["A1"].font.name == "宋体"
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", (sheet.title, cell.coordinate)
    counties = book["县"]
    heads = [cell.value for cell in counties[5]]
    assert heads[:3] == ["月份", "区划代码", "区划名称"]
    assert counties.max_row == 5 + 12 * 12
    # Printed on pages beside each other, all with the names of the places.
    assert counties.page_setup.fitToWidth == 4 and counties.print_title_cols == "$A:$C"
    # Numbers are numbers, with the one behind the report's CSV.
    shares = {(line["月份"], line["区划代码"]): line for line in lines(folder)
              if line["指标编号"] == "village_coverage"}
    column = heads.index("村级接入率（%）")
    for row in counties.iter_rows(min_row=6, values_only=True):
        assert row[column] == pytest.approx(float(shares[row[0], row[1]]["数值"]), abs=1e-3)
    meanings = list(book["指标口径"].iter_rows(min_row=6, values_only=True))
    with open(ROOT / "models/reporting/indicators.csv", encoding="utf-8", newline="") as file:
        assert [row[2] for row in meanings] == [row["id"] for row in csv.DictReader(file)]
    assert all(row[5] and row[7] and row[9] for row in meanings)
    assert book["更正"].max_row > 100


class Page(html.parser.HTMLParser):
    """What the page asks for, and its texts."""

    def __init__(self):
        super().__init__()
        self.outside, self.texts, self.open, self.tags = [], [], [], collections.Counter()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        for name, value in attributes:
            if name in ("src", "href") or (value or "").startswith(("http:", "https:", "//")):
                self.outside.append((tag, name, value))
        if tag not in ("meta", "br", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("path", "circle", "br"):
            return
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_stands_by_itself(year):
    folder, _ = year
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open and not page.outside and page.tags["script"] == 0
    assert "url(" not in text and "@import" not in text
    assert "@page { size: A4 landscape" in text and "@media print" in text
    assert page.tags["svg"] == 41
    # Every table has it in its head, which is printed on each page again.
    assert page.tags["table"] == text.count('<table class=') == text.count('<thead><tr><th class="simulated"')
    assert page.texts.count("模拟数据，不是真实情况") >= page.tags["table"] + 2 >= 8
    said = "".join(page.texts)
    assert "未统计" in said and "迟报" in said and "†" in said
    for shade in range(5):
        assert f'<td class="s{shade}"' in text
