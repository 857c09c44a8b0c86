"""A simulator of village-clinic patients, drawn from the cited tables.

A patient is drawn in two steps: what is true of the body (condition, age, sex,
findings present), and what the clinic gets to know of it (a chief complaint and 0
to 15 further facts, with slips). The figures here that do not come from a table are
assumptions of this file, each a named constant. Shapes: n patients, K conditions,
F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import tables as tb

#: Spread (logits) of a patient's overall severity and of each body part's own share.
#: They tie findings together, so that the data do not fall apart as naive Bayes would have it.
SEVERITY_SPREAD, BODY_PART_SPREAD = 0.6, 0.6
#: Share of patients who also carry signs of a second condition, and how much of it shows.
COMORBID_SHARE, COMORBID_SHOWN = 0.12, 0.5
#: How readily a present finding is told unasked, and how readily it is asked about.
TOLD = {"symptom": 1.0, "sign": 0.4, "vital": 0.5, "history": 0.35, "exposure": 0.3,
        "medicine": 0.2}
ASKED = {"symptom": 1.0, "sign": 0.5, "vital": 0.6, "history": 0.4, "exposure": 0.4,
         "medicine": 0.15}
CHIEF = {"symptom": 1.0, "sign": 0.15, "vital": 0.1}
#: Findings of which a patient has at most one at a time.
EXCLUSIVE = (("low_fever", "moderate_fever", "high_fever", "hyperpyrexia"), ("tachycardia", "bradycardia"),
             ("high_bp", "hypotension"), ("high_glucose", "low_glucose"), ("wbc_high", "wbc_low"))
FACTS_MAX = 15
#: Present findings a record holds that neither the condition nor the questions brought up: old
#: complaints, chance, what the tables do not know of the condition (mean number, Poisson).
EXTRANEOUS = 1.2
#: Gamma shape and scale of the number of further facts (mean 6.7, 7 % none).
FACTS_SHAPE, FACTS_SCALE = 1.6, 4.2
#: Most further questions put to a real consultation in training.
MORE_MAX = 8
#: A patient's rate of wrongly recorded facts lies between these.
ERROR_LOW, ERROR_HIGH = 0.03, 0.05
AGE_UNKNOWN, SEX_UNKNOWN = 0.10, 0.10
#: How often it is known for how long the patient has been ill, and how often the time is muddled.
COURSE_TOLD, COURSE_MUDDLED = 0.75, 0.06
#: How often what a finding entails is recorded with it, present and absent.
CLOSED_PRESENT, CLOSED_ABSENT = 0.85, 0.4


@dataclass
class Cases:
    """findings int8 [n, F] (+1/-1/0), patient float32 [n, 2] (age years or -1; sex), label [n]."""

    findings: np.ndarray
    patient: np.ndarray
    label: np.ndarray


class Simulator:
    """Draws patients; the same generator state gives the same patients.

    prior: [K] P(condition) wanted in the model, used to guess what is asked about.
    """

    def __init__(self, tables: tb.Tables, arrays: tb.Probabilities, prior: np.ndarray):
        kinds = {f.id: f for f in tables.findings}
        features = [kinds[f] for f in tables.features]
        self.tables, self.arrays, self.prior = tables, arrays, prior
        self.pairs = tb.implication_pairs(tables)
        weight = lambda table: np.array([table.get(f.kind, 0.0) for f in features], np.float32)  # noqa: E731
        self.told, self.asked, self.chief = weight(TOLD), weight(ASKED), weight(CHIEF)
        #: Severity moves what the patient has, not what he has lived through.
        self.severe = np.array([f.kind in CHIEF for f in features], np.float32)
        parts = sorted({f.body_part for f in features})
        self.part = np.array([parts.index(f.body_part) for f in features])
        self.parts = len(parts)
        #: What is `general` to the body follows the overall severity only.
        self.local = np.array([f.body_part != "general" for f in features], np.float32)
        columns = {f: i for i, f in enumerate(tables.features)}
        groups = [[columns[f] for f in group if f in columns] for group in EXCLUSIVE]
        self.exclusive = [group for group in groups if len(group) > 1]
        #: Columns of the courses, of which a patient has exactly one; in the order of the table.
        self.courses = np.flatnonzero([f.kind == "course" for f in features])
        #: How often a finding is told by patients of all sorts.
        mean = np.einsum("kbsf,kbs->kf", arrays.p, arrays.group)
        self.common = ((prior @ mean) * self.told).astype(np.float32)
        self.group_cdf = np.cumsum(arrays.group.reshape(len(prior), 8), axis=1)
        self._prepare_questions()

    def _prepare_questions(self) -> None:
        """What a doctor who suspects condition k asks; whom he suspects on a complaint."""
        a = self.arrays
        mean = np.einsum("kbsf,kbs->kf", a.p, a.group)
        gap = np.abs(mean - a.background) * a.rowed
        self.questions = (gap * self.asked + 0.002 * self.asked).astype(np.float32)
        # [8, F, K]: P(condition | chief complaint, band, sex), as a running sum.
        joint = a.p.reshape(len(self.prior), 8, -1) * a.group.reshape(-1, 8, 1)
        joint = joint.transpose(1, 2, 0) * self.prior
        joint += 1e-9 * self.prior
        self.suspect_cdf = np.cumsum(joint / joint.sum(2, keepdims=True), axis=2).astype(np.float32)

    def world(self, rng: np.random.Generator) -> np.ndarray:
        """One draw of every uncertain cell within its limits, [K, 4, 2, F].

        Made consistent with the implications: a parent is at least as frequent as
        its child, and the child's value becomes P(child | parent).
        """
        a = self.arrays
        u = (rng.random(a.rowed.shape) + rng.random(a.rowed.shape) - 1)[:, None, None, :]
        p = a.p + np.where(u > 0, (a.high - a.p) * u, (a.p - a.low) * u)
        return self._conditional(p.astype(np.float32))

    def _conditional(self, p: np.ndarray) -> np.ndarray:
        for child, parent in self.pairs:
            np.maximum(p[..., parent], p[..., child], out=p[..., parent])
        given = p.copy()
        parents: dict[int, np.ndarray] = {}
        for child, parent in self.pairs:
            least = parents.get(child)
            parents[child] = p[..., parent] if least is None else np.minimum(least, p[..., parent])
        for child, least in parents.items():
            given[..., child] = p[..., child] / least
        return np.clip(given, 1e-4, 0.9995)

    def truth(self, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Findings present, bool [n, F], from P(finding) [n, F] (given its parents)."""
        n, width = p.shape
        spread = SEVERITY_SPREAD**2 + BODY_PART_SPREAD**2
        # The factor keeps the average probability near the table's once the spread is added.
        logit = np.log(p / (1 - p)) * np.where(self.severe > 0, np.sqrt(1 + 0.35 * spread), 1).astype(np.float32)
        z = rng.standard_normal((n, 1), np.float32) * np.float32(SEVERITY_SPREAD)
        e = rng.standard_normal((n, self.parts), np.float32) * np.float32(BODY_PART_SPREAD)
        logit += (z + e[:, self.part] * self.local) * self.severe
        u = rng.random((n, width), np.float32)
        present = u * (1 + np.exp(-logit)) < 1
        for group in self.exclusive:
            several = np.flatnonzero(present[:, group].sum(1) > 1)
            kept = (rng.random((len(several), len(group))) * present[np.ix_(several, group)]).argmax(1)
            present[np.ix_(several, group)] = np.arange(len(group)) == kept[:, None]
        if len(self.courses):
            running = np.cumsum(p[:, self.courses], axis=1)
            course = (rng.random((n, 1)) * running[:, -1:] > running).sum(1)
            present[:, self.courses] = np.arange(len(self.courses)) == course[:, None]
        return self._consistent(present)

    def _consistent(self, present: np.ndarray) -> np.ndarray:
        for child, parent in self.pairs:
            present[:, child] &= present[:, parent]
        return present

    def draw(self, n: int, rng: np.random.Generator, weights: np.ndarray, outside: float) -> Cases:
        """n patients; weights [K] is the share of each condition, outside the share of strangers."""
        world = self.world(rng)
        count = len(self.prior)
        label = rng.choice(count, n, p=weights / weights.sum())
        group = self._groups(label, rng)
        p = world.reshape(count, 8, -1)[label, group]
        strange = np.flatnonzero(rng.random(n) < outside)
        p[strange] = self._strangers(world, strange, group[strange], rng)
        present = self.truth(p, rng)
        self._add_second_condition(present, group, world, rng)
        label[strange] = count
        age, sex = self._people(label, group, rng)
        findings = self.observe(present, p, group, rng)
        patient = np.stack(
            [
                np.where(rng.random(n) < AGE_UNKNOWN, -1, age),
                np.where(rng.random(n) < SEX_UNKNOWN, 0, sex),
            ],
            axis=1,
        ).astype(np.float32)
        return Cases(findings, patient, label)

    def _groups(self, label: np.ndarray, rng) -> np.ndarray:
        """Band and sex as one index 0..7 (band * 2 + sex)."""
        return np.minimum((rng.random((len(label), 1)) > self.group_cdf[label]).sum(1), 7)

    def _people(self, label, group, rng) -> tuple[np.ndarray, np.ndarray]:
        """Age in years inside the band and the condition's limits; sex 1 or -1."""
        limits = np.array([c.age_limits() for c in self.tables.conditions] + [(0.0, 150.0)])
        bands = np.array(tb.BAND_YEARS)[group // 2]
        low = np.maximum(bands[:, 0], limits[label, 0])
        high = np.maximum(np.minimum(bands[:, 1] - 1e-3, limits[label, 1]), low)
        u = rng.random(len(label))
        # Young children and the just-old come more often than the rest of their band.
        age = low + (high - low) * np.where(group // 2 == 2, u, u**1.6)
        # Above two years a clinic writes whole years.
        age = np.where((age >= 2) & (np.floor(age) >= low), np.floor(age), np.round(age, 3))
        return np.clip(age, low, high), np.where(group % 2 == 0, 1.0, -1.0)

    def _add_second_condition(self, present, group, world, rng) -> None:
        rows = np.flatnonzero(rng.random(len(present)) < COMORBID_SHARE)
        share = self.arrays.group.reshape(-1, 8).T * self.prior
        cdf = np.cumsum(share / share.sum(1, keepdims=True), axis=1)
        second = (rng.random((len(rows), 1)) > cdf[group[rows]]).sum(1)
        second = np.minimum(second, len(self.prior) - 1)
        p = world.reshape(len(self.prior), 8, -1)[second, group[rows]]
        extra = self.truth(p, rng) & (rng.random(p.shape, np.float32) < COMORBID_SHOWN)
        extra[:, self.courses] = False
        present[rows] = self._consistent(present[rows] | extra)

    def _strangers(self, world, rows, group, rng) -> np.ndarray:
        """P(finding) of patients outside the list, [len(rows), F].

        Half have an unknown disease stitched together from shares of two or three
        known ones and a few findings of its own, a quarter are random mixtures, a
        quarter have little that is specific.
        """
        m, width = len(rows), world.shape[-1]
        flat = world.reshape(len(self.prior), 8, -1)
        p = np.broadcast_to(self.arrays.background.astype(np.float32), (m, width)).copy()
        form = rng.random(m)
        stitched = form < 0.5
        for donor in range(3):
            k = rng.integers(len(self.prior), size=m)
            share = rng.uniform(0.2, 0.5, (m, 1)) * (stitched & (rng.random(m) < (1, 1, 0.5)[donor]))[:, None]
            take = (rng.random((m, width)) < share) & self.arrays.rowed[k]
            p = np.where(take, flat[k, group], p)
        own = np.where(stitched, rng.integers(0, 4, m), 0)
        own = np.where((form >= 0.5) & (form < 0.75), rng.integers(2, 7, m), own)
        chosen = rng.random((m, width)) < own[:, None] / width
        return np.where(chosen, rng.uniform(0.3, 0.9, (m, width)), p).astype(np.float32)

    def observe(self, present: np.ndarray, p: np.ndarray, group, rng) -> np.ndarray:
        """What the clinic records, int8 [n, F]: +1 present, -1 absent, 0 not asked."""
        n = len(present)
        chief = self._chief_complaint(present, p, rng)
        extra = np.minimum(rng.poisson(rng.gamma(FACTS_SHAPE, FACTS_SCALE, n)), FACTS_MAX)
        told = rng.binomial(extra, rng.beta(2, 2, n))
        seen = np.zeros(present.shape, np.int8)
        mark = lambda rows, columns: seen.__setitem__((rows, columns), 1)  # noqa: E731
        mark(np.arange(n), chief)
        mark(*_pick(present * self.told * (seen == 0), told, rng))
        # The doctor asks with up to three suspicions in mind, raised by the complaint
        # and not by the true condition, so that a question does not give the answer away.
        cdf = self.suspect_cdf[group, chief]
        weights = np.zeros(present.shape, np.float32)
        for _ in range(3):
            k = (rng.random((n, 1), np.float32) > cdf).sum(1)
            weights += self.questions[np.minimum(k, len(self.prior) - 1)]
        mark(*_pick(weights * (seen == 0), extra - told, rng))
        findings = seen * np.where(present, 1, -1).astype(np.int8)
        wrong = rng.random(present.shape, np.float32) < rng.uniform(ERROR_LOW, ERROR_HIGH, (n, 1))
        wrong[np.arange(n), chief] = False
        findings[wrong] *= -1
        rows, columns = _pick(self.common * (findings == 0), rng.poisson(EXTRANEOUS, n), rng)
        findings[rows, columns] = 1
        self._record_course(findings, present, rng)
        self._record_entailed(findings, rng)
        return findings

    def ask_more(self, findings: np.ndarray, label, group, rng) -> np.ndarray:
        """A few more questions, answered by the tables' P(finding | label); int8 [n, F].

        findings int8 [n, F] as known so far, group [n] band and sex. What is asked
        depends on one of the present findings, as in `observe`.
        """
        n = len(findings)
        findings = findings.copy()
        key = (findings > 0) * (self.chief + 1e-3) * rng.random(findings.shape, np.float32)
        cdf = self.suspect_cdf[group, key.argmax(1)]
        k = np.minimum((rng.random((n, 1), np.float32) > cdf).sum(1), len(self.prior) - 1)
        rows, columns = _pick(self.questions[k] * (findings == 0), rng.integers(1, MORE_MAX + 1, n), rng)
        p = self.arrays.p.reshape(len(self.prior), 8, -1)[label[rows], group[rows], columns]
        findings[rows, columns] = np.where(rng.random(len(rows)) < p, 1, -1)
        for child, parent in self.pairs:
            denied = findings[:, parent] < 0
            findings[denied & (findings[:, child] > 0), child] = -1
        return tb.close_present(findings, self.pairs)

    def _chief_complaint(self, present, p, rng) -> np.ndarray:
        weights = (present * p + 1e-7 * p) * (self.chief + 1e-6)
        weights[:, self.courses] = 0
        key = rng.standard_exponential(weights.shape, np.float32) / (weights + 1e-30)
        chief = key.argmin(1)
        present[np.arange(len(present)), chief] = True
        for child, parent in self.pairs:
            present[:, parent] |= present[:, child]
        return chief

    def _record_course(self, findings, present, rng) -> None:
        """One course is recorded as present, the others stay unknown, as the reader does it."""
        count = len(self.courses)
        if not count:
            return
        course = present[:, self.courses].argmax(1)
        step = rng.choice([-1, 1], len(course)) * (rng.random(len(course)) < COURSE_MUDDLED)
        course = np.clip(course + step, 0, count - 1)
        told = rng.random((len(course), 1)) < COURSE_TOLD
        findings[:, self.courses] = (np.arange(count) == course[:, None]) & told

    def _record_entailed(self, findings: np.ndarray, rng) -> None:
        up = rng.random(len(findings)) < CLOSED_PRESENT
        down = rng.random(len(findings)) < CLOSED_ABSENT
        for child, parent in self.pairs:
            findings[up & (findings[:, child] > 0), parent] = 1
        for child, parent in self.pairs:
            findings[down & (findings[:, parent] < 0) & (findings[:, child] == 0), child] = -1


def _pick(weights: np.ndarray, count: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw count[i] columns of row i without replacement, with chance by weight.

    weights [n, F] (0: never); returns row and column indices of all picks.
    """
    key = rng.standard_exponential(weights.shape, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        key /= weights
    top = min(FACTS_MAX, weights.shape[1] - 1)
    columns = np.argpartition(key, top, axis=1)[:, :top]
    order = np.argsort(np.take_along_axis(key, columns, 1), axis=1)
    columns = np.take_along_axis(columns, order, 1)
    finite = np.isfinite(np.take_along_axis(key, columns, 1))
    take = (np.arange(top) < count[:, None]) & finite
    rows = np.broadcast_to(np.arange(len(key))[:, None], columns.shape)
    return rows[take], columns[take]
