"""The measured part of CARD.md, written between two marks so that no figure is typed by hand."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- figures: written by train/evaluate.py, do not edit by hand -->"
END = "<!-- end of figures -->"
NAMES = {"network": "this model", "logistic": "logistic regression", "naive_bayes": "naive Bayes on the tables"}
SETS = {"mz10": "MZ-10", "mz4": "MZ-4", "dxy": "Dxy"}


def _table(header: list[str], rows: list[list]) -> str:
    cell = lambda v: f"{v:.3f}" if isinstance(v, float) else str(v)  # noqa: E731
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows]) + "\n"


def _dialogues(result: dict) -> str:
    rows = []
    for key, title in SETS.items():
        for model, name in NAMES.items():
            if model not in result["models"]:
                continue
            m = result["models"][model]["dialogues"][key]
            for inputs, figures in (("all", m), ("no diagnosis named", m["unnamed"])):
                c, a = figures["candidates"], figures["all"]
                rows.append([title, c["n"], m["labels"], name, inputs, c["top1"], c["top3"], c["ece"], c["brier"],
                             a["top1"], a["top3"], a["ece"], a["brier"]])
    return _table(
        ["set", "test cases", "labels", "method", "inputs", "top-1 among labels", "top-3", "ECE", "Brier",
         "top-1 over all conditions", "top-3", "ECE", "Brier"], rows)


def _simulated(result: dict) -> str:
    rows = []
    for model, name in NAMES.items():
        if model not in result["models"]:
            continue
        m = result["models"][model]["simulated"]
        groups = [("known conditions, model's priors", m["inside"])]
        groups += [(f"… {k.replace('-', '–')} facts", v) for k, v in m["by_facts"].items()]
        if "assumed_prevalence" in m:
            groups += [("as often as prevalence.csv has it", m["assumed_prevalence"])]
        groups += [("every condition equally often", m["even"])]
        if "must_not_miss" in m:
            groups += [("… of these, must-not-miss conditions", m["must_not_miss"])]
        groups += [("with 12 % outside cases", m["all"])]
        rows += [[name, title, g["n"], g["top1"], g["top3"], g["top5"], g["ece"], g["brier"]] for title, g in groups]
    return _table(["method", "simulated patients", "n", "top-1", "top-3", "top-5", "ECE", "Brier"], rows)


def _outside(result: dict) -> str:
    def row(title, who, f):
        return [title, who, f["auc"], f["found_at_0.3"], f["false_at_0.3"], f["found_at_0.5"], f["false_at_0.5"]]

    rows = []
    for model, name in NAMES.items():
        if model in result["models"]:
            rows.append(row("made-up strangers", name, result["models"][model]["simulated"]["outside"]))
    if "hold_out" in result:
        h = result["hold_out"]
        title = f"{len(h['conditions'])} real conditions kept out of training"
        rows.append(row(title, "this model, retrained without them", h["all"]))
        rows.append(row(title + ", 8+ facts", "this model, retrained without them", h["8+"]))
    return _table(["cases", "method", "AUC", "found at ≥ 0.3", "false at ≥ 0.3", "found at ≥ 0.5", "false at ≥ 0.5"], rows)


def figures(result: dict) -> str:
    """Markdown of all figures in metrics.json."""
    m, lat, t = result["model"], result["latency"], result["training"]
    d = result["dialogue_data"]
    splits = ", ".join(
        f"{SETS[s]} {v['train']} / {v['validation']} / {v['test']} / {v['unused']}" for s, v in d["splits"].items())
    labels = "".join(
        f"- {SETS[s]}: " + ", ".join(f"{zh} → `{c}`" for zh, c in v.items()) + "\n"
        for s, v in d["label_to_condition"].items())
    speed = _table(
        ["batch", "median µs per call", "99th percentile", "median µs per row"],
        [[b, v["call_p50_us"], v["call_p99_us"], v["row_p50_us"]] for b, v in lat.items()])
    return f"""Version {m['version']}: {m['features']} findings in, {m['labels']} labels out, {m['bytes']} bytes.

### Real consultations, test split (age and sex unknown)

{_dialogues(result)}
"Among labels" strikes out every condition that is not a label of the set. Cases by split (train / validation / test /
left out): {splits}. Mentions of findings that the tables do not know:
{d['unresolved_finding_mentions']}; mentions of tests done, known but not inputs:
{d['resolved_but_not_input_mentions']}. Labels read as conditions:

{labels}
### Simulated patients (synthetic: they measure the fit to the tables, not medicine)

{_simulated(result)}
### Recognising what lies outside the list

{_outside(result)}
### The file

Largest difference between ONNX Runtime and the same network in numpy: {result['parity_max_abs']:.1e}. Training took
{t['seconds']:.0f} s on two cores ({t['settings']['patients']:,} simulated patients). ONNX Runtime, one thread:

{speed}"""


def rewrite(path: Path, result: dict) -> None:
    """Replace the figures in the card; a card without the marks gets them at its end."""
    _between(path, BEGIN, END, figures(result))


def replace(path: Path, name: str, script: str, text: str) -> None:
    """Replace the part of the card that is called so, which the script writes."""
    begin = f"<!-- {name}: written by {script}, do not edit by hand -->"
    _between(path, begin, f"<!-- end of {name} -->", text)


def _between(path: Path, begin: str, end: str, text: str) -> None:
    card = path.read_text(encoding="utf-8") if path.exists() else "# gp-differential\n"
    if begin not in card:
        card = card.rstrip("\n") + f"\n\n{begin}\n{end}\n"
    head, rest = card.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}", encoding="utf-8", newline="\n")
