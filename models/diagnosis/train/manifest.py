"""This model's entry in `models/manifest.toml`, rewritten whole; other entries stay untouched."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path


def strings(values: list[str]) -> str:
    """A TOML list of strings over lines of at most 98 characters."""
    lines, line = [], " "
    for value in values:
        piece = f' "{value}",'
        if len(line) + len(piece) > 98:
            lines.append(line)
            line = " "
        line += piece
    return "[\n" + "\n".join([*lines, line]) + "\n]"


def entry(model: dict, onnx_path: Path) -> str:
    """The TOML text of one `[[model]]` block.

    model: id, version, file, card, tables, features, labels, comment and self_tests
    (dicts with present, absent, age_years, sex, expect_top, expect_probability); variants (dicts with
    precision, file, path, engines, cpu, tolerance).
    """
    content = onnx_path.read_bytes()
    text = f"""[[model]]
id = "{model['id']}"
version = "{model['version']}"
file = "{model['file']}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
bytes = {len(content)}
card = "{model['card']}"
# tables the features and labels come from
tables = {_inline(model['tables'])}
features = {strings(model['features'])}
labels = {strings(model['labels'])}
"""
    for kind, name, width in (
        ("input", "findings", len(model["features"])),
        ("input", "patient", 2),
        ("output", "probabilities", len(model["labels"])),
    ):
        text += f'[[model.{kind}]]\nname = "{name}"\ndtype = "f32"\nshape = ["batch", {width}]\n'
    text += "# known answers run at start: the node refuses to serve when the model gives something else\n"
    for test in model["self_tests"]:
        text += f"""[[model.self_test]]
present = {_inline(test['present'])}
absent = {_inline(test['absent'])}
age_years = {test['age_years']:.1f}
sex = "{test['sex']}"
expect_top = "{test['expect_top']}"
expect_probability = {test['expect_probability']:.4f}
tolerance = 1e-3
"""
    for variant in model.get("variants", []):
        content = variant["path"].read_bytes()
        text += f"""# the same model with other weights, for these engines on processors with one of these features
[[model.variant]]
precision = "{variant['precision']}"
file = "{variant['file']}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
bytes = {len(content)}
engines = {_inline(variant['engines'])}
cpu = {_inline(variant['cpu'])}
# how far its known answers may be off those above
tolerance = {variant['tolerance']}
"""
    return text


def _inline(values: list[str]) -> str:
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"


def rewrite(path: Path, model_id: str, block: str) -> None:
    """Put the block in place of the model's old one, or at the end of the file."""
    text = path.read_text(encoding="utf-8") if path.exists() else "schema = 1\n"
    head, *blocks = ("\n" + text).split("\n[[model]]\n")
    blocks = ["[[model]]\n" + b.strip("\n") + "\n" for b in blocks]
    mine = [i for i, b in enumerate(blocks) if tomllib.loads(b)["model"][0]["id"] == model_id]
    if mine:
        blocks[mine[0]] = block
    else:
        blocks.append(block)
    new = "\n".join([head.strip("\n") + "\n", *blocks])
    tomllib.loads(new)
    path.write_text(new, encoding="utf-8", newline="\n")
