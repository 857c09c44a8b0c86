"""Measures of a set of probabilities, and naive Bayes as the yardstick.

Everywhere: p float [n, K+1], rows sum to 1, last column `outside`; label int [n].
"""

from __future__ import annotations

import numpy as np

import dialogue
import network as net
import tables as tb
from simulate import Cases


def ranks(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How many labels are rated above the right one, [n]; 0 is a hit. Ties count against."""
    right = p[np.arange(len(p)), label][:, None]
    return (p >= right).sum(1) - 1


def top(p: np.ndarray, label: np.ndarray, k: int) -> float:
    return float((ranks(p, label) < k).mean())


def ece(p: np.ndarray, label: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the first answer, equal-width bins."""
    confidence, right = p.max(1), p.argmax(1) == label
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        rows = which == b
        if rows.any():
            error += rows.mean() * abs(confidence[rows].mean() - right[rows].mean())
    return float(error)


def brier(p: np.ndarray, label: np.ndarray) -> float:
    """Mean squared distance to the right answer over all labels; 0 best, 2 worst."""
    return float(((p**2).sum(1) - 2 * p[np.arange(len(p)), label] + 1).mean())


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """P(a positive scores above a negative), ties half."""
    order = np.argsort(score, kind="stable")
    sorted_score = score[order]
    rank = np.empty(len(score))
    start = np.searchsorted(sorted_score, sorted_score, "left")
    end = np.searchsorted(sorted_score, sorted_score, "right")
    rank[order] = (start + end + 1) / 2
    n1 = int(positive.sum())
    n0 = len(positive) - n1
    return float((rank[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def among(p: np.ndarray, candidates: list[int]) -> np.ndarray:
    """p with all labels but the candidates struck out, rows summing to 1 again."""
    kept = np.zeros_like(p)
    kept[:, candidates] = p[:, candidates]
    return kept / np.maximum(kept.sum(1, keepdims=True), 1e-30)


def summary(p: np.ndarray, label: np.ndarray, tops=(1, 3)) -> dict[str, float]:
    """Top-k rates, calibration error and Brier score, rounded to four places."""
    result = {"n": len(label)} | {f"top{k}": round(top(p, label, k), 4) for k in tops}
    return result | {"ece": round(ece(p, label), 4), "brier": round(brier(p, label), 4)}


class NaiveBayes:
    """Exact naive Bayes over the tables, with the tables' age bands and sexes.

    prior [K+1]; `outside` has the average condition's probabilities. An unknown age
    or sex is summed over.
    """

    def __init__(self, arrays: tb.Probabilities, prior: np.ndarray, limits: net.Limits):
        k = len(arrays.prior)
        p = arrays.p.reshape(k, 8, -1).transpose(1, 0, 2)
        p = np.concatenate([p, p.mean(1, keepdims=True)], axis=1)
        self.present = np.log(p).astype(np.float32)
        self.absent = np.log1p(-p).astype(np.float32)
        group = arrays.group.reshape(k, 8).T
        visits = np.repeat(tb.VISIT_SHARE / 2, 2)[:, None]
        group = np.concatenate([group, visits], axis=1)
        self.base = (np.log(group + 1e-9) + np.log(prior)).astype(np.float32)
        self.limits = limits

    def probabilities(self, findings: np.ndarray, patient: np.ndarray, rows: int = 4096):
        """[n, K+1], worked through in blocks of rows."""
        blocks = [
            self._block(findings[i : i + rows], patient[i : i + rows])
            for i in range(0, len(findings), rows)
        ]
        return np.concatenate(blocks)

    def _block(self, findings, patient):
        present, absent = (findings > 0).astype(np.float32), (findings < 0).astype(np.float32)
        band = np.searchsorted([1.0, 14.0, 65.0], patient[:, 0], "right")
        total = None
        for g in range(8):
            log = present @ self.present[g].T + absent @ self.absent[g].T + self.base[g]
            wrong_band = (patient[:, 0] >= 0) & (band != g // 2)
            wrong_sex = (patient[:, 1] != 0) & ((patient[:, 1] > 0) != (g % 2 == 0))
            log[wrong_band | wrong_sex] = -1e30
            total = log if total is None else np.logaddexp(total, log)
        return net.softmax(total + self.limits.penalty(patient))


def without_facts(dialogues: dialogue.Dialogues, rows: np.ndarray) -> int:
    """How many cases have no input left once names of diseases and of tests are not counted."""
    return int((~(dialogues.findings[rows] != 0).any(1)).sum())


def on_dialogues(predict, dialogues: dialogue.Dialogues, named: list[int], split: str = "test") -> dict:
    """Per set: among the set's own labels, and over all labels; age and sex unknown.

    named: columns of the diagnoses named among the findings; `unnamed` holds the same figures
    with these left out, which is the fair one: what names a disease gives it away.
    """
    result = {}
    for name in dialogue.SETS:
        rows = dialogues.select(split, name)
        cases = dialogues.cases(rows)
        p = predict(cases)
        bare = cases.findings.copy()
        bare[:, named] = 0
        q = predict(Cases(bare, cases.patient, cases.label))
        result[name] = {
            "candidates": summary(among(p, dialogues.candidates[name]), cases.label),
            "all": summary(p, cases.label),
            "unnamed": {
                "candidates": summary(among(q, dialogues.candidates[name]), cases.label),
                "all": summary(q, cases.label),
            },
            "labels": len(dialogues.candidates[name]),
            "no_fact": without_facts(dialogues, rows),
        }
    return result
