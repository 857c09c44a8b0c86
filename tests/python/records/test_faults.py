"""A short run of what `scripts/faults` does a thousand rounds of."""

import json

from faults import run
from world import reachable


def test_what_was_acknowledged_is_everywhere_it_belongs_once_whatever_breaks(tmp_path):
    reachable(tmp_path)
    report, whole = run(rounds=25, seed=20261129, folder=tmp_path / "world", seconds=90)
    print(json.dumps(report, ensure_ascii=False, indent=1))
    assert whole, report["first"]
    kept = report["acknowledged"]
    # A run in which nothing happens proves nothing.
    assert report["rounds"] >= 10 and kept["records"] > 30 and kept["registrations"] > 0, report
    assert kept["tasks"] > 0 and len(report["faults"]) >= 8, report
