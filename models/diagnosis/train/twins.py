"""One consultation kept in two dialogue sets must fall on one side of the split.

MZ-4 and MZ-10 were annotated from largely the same consultations under different
patient ids, and with differences of annotation. The order in which findings come up in the
conversation gives them away: within MZ-10 few pairs share it, across the sets most do.
"""

from __future__ import annotations

import numpy as np

#: Names two cases must share, and the share of the longer one's sequence in common order.
COMMON_MIN, ORDER_MIN = 4, 0.5
#: A pair this alike with the same label is never split between training and the rest.
ALIKE = 0.8


def in_order(a: list[int], b: list[int]) -> int:
    """Length of the longest common subsequence of two sequences."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b):
            above = row[j + 1]
            row[j + 1] = diagonal + 1 if x == y else max(above, row[j])
            diagonal = above
    return row[-1]


def likeness(first: list[list[int]], second: list[list[int]], width: int) -> list[tuple[int, int, float]]:
    """Pairs (row of first, row of second, likeness) of at least ORDER_MIN.

    first, second: each case's finding numbers (below width) in order of mention.
    Likeness is the common subsequence over the longer sequence, 0 to 1.
    """

    def matrix(cases):
        out = np.zeros((len(cases), width), np.float32)
        for i, case in enumerate(cases):
            out[i, case] = 1
        return out

    common = matrix(first) @ matrix(second).T
    longer = np.maximum.outer([len(c) for c in first], [len(c) for c in second])
    pairs = np.argwhere((common >= COMMON_MIN) & (common >= ORDER_MIN * longer))
    found = []
    for i, j in pairs.tolist():
        value = in_order(first[i], second[j]) / longer[i, j]
        if value >= ORDER_MIN:
            found.append((i, j, float(value)))
    return found


def best_twin(pairs: list[tuple[int, int, float]], same_label) -> dict[int, int]:
    """For each row of first its likeliest twin in second; an equal label counts a little."""
    best: dict[int, tuple[float, int]] = {}
    for i, j, value in pairs:
        score = value + 0.1 * same_label(i, j)
        if score > best.get(i, (0.0, -1))[0]:
            best[i] = (score, j)
    return {i: j for i, (_, j) in best.items()}
