"""The network in plain numpy: input encoding, forward pass, gradients, Adam.

The same arithmetic is written out as an ONNX graph by `export.py`; a test holds
the two together. Shapes: n patients, F features, K conditions, D encoded inputs
(2 F + PATIENT_WIDTH), H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Centres (years) of the soft age bins, and their width in units of log(years + 0.1).
AGE_CENTRES = np.array(
    [0.02, 0.1, 0.3, 0.7, 1.5, 3, 6, 10, 15, 22, 32, 45, 60, 75, 90], np.float32
)
AGE_SHIFT = np.float32(0.1)
AGE_WIDTH = np.float32(0.45)
#: Ages (years) at which the tables change band.
AGE_STEPS = np.array([1.0, 14.0, 65.0], np.float32)
AGE_MAX = np.float32(120.0)
#: AGE bins, steps, age-known, male, female.
PATIENT_WIDTH = len(AGE_CENTRES) + len(AGE_STEPS) + 3
#: Width of the bottleneck that absent findings go through.
ABSENT_RANK = 96
#: Added to the logit of a condition that the patient's age or sex rules out.
IMPOSSIBLE = np.float32(-40.0)


def encode(findings: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Network input [n, D] from findings [n, F] (+1/-1/0) and patient [n, 2].

    patient holds age in years (negative or NaN: unknown) and sex (1 male, -1
    female, else unknown). Columns: present F, absent F, age bins, age steps,
    age known, male, female.
    """
    age = patient[:, :1].astype(np.float32)
    known = (age >= 0).astype(np.float32)
    age = np.clip(np.where(age >= 0, age, 0), 0, AGE_MAX).astype(np.float32)
    z = (np.log(age + AGE_SHIFT) - np.log(AGE_CENTRES + AGE_SHIFT)) / AGE_WIDTH
    return np.concatenate(
        [
            findings > 0.5,
            findings < -0.5,
            np.exp(-z * z) * known,
            (age >= AGE_STEPS) * known,
            known,
            patient[:, 1:2] > 0.5,
            patient[:, 1:2] < -0.5,
        ],
        axis=1,
        dtype=np.float32,
    )


@dataclass
class Limits:
    """Who cannot have a condition. Each array has one entry per label (K + 1)."""

    age_min: np.ndarray
    age_max: np.ndarray
    female_only: np.ndarray
    male_only: np.ndarray

    def penalty(self, patient: np.ndarray) -> np.ndarray:
        """IMPOSSIBLE times the number of limits broken, [n, K + 1]; 0 when unknown."""
        age, sex = patient[:, :1], patient[:, 1:2]
        known = age >= 0
        age = np.clip(np.where(known, age, 0), 0, AGE_MAX)
        broken = known * ((age < self.age_min) * 1.0 + (age > self.age_max))
        broken = broken + (sex > 0.5) * self.female_only + (sex < -0.5) * self.male_only
        return (broken * IMPOSSIBLE).astype(np.float32)


def limits_of(conditions) -> Limits:
    """Limits of the conditions plus an unlimited `outside`."""
    ages = [c.age_limits() for c in conditions] + [(0.0, 150.0)]
    sexes = [c.sex for c in conditions] + ["any"]
    return Limits(
        np.array([a for a, _ in ages], np.float32),
        np.array([b for _, b in ages], np.float32),
        np.array([s == "female" for s in sexes], np.float32),
        np.array([s == "male" for s in sexes], np.float32),
    )


@dataclass
class Network:
    """Two hidden ReLU layers plus a direct path from the input to the logits.

    The direct path starts at the tables' own log-odds, so the hidden layers only
    learn what naive Bayes misses. `hidden=0` leaves logistic regression. Findings
    that are absent go through a linear bottleneck of `rank` values: one of them says
    little, and their weights would be half of the file.
    scale: logits are multiplied by scale[0] + scale[1] * log(1 + facts known).
    """

    features: int
    labels: int
    hidden: int = 256
    rank: int = ABSENT_RANK
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    scale: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0], np.float32))

    @property
    def width(self) -> int:
        """Encoded inputs, D."""
        return 2 * self.features + PATIENT_WIDTH

    @property
    def inner(self) -> int:
        """Inputs of the layers: present findings, the bottleneck, the patient."""
        return self.features + self.rank + PATIENT_WIDTH

    def initialise(self, rng: np.random.Generator, absent: np.ndarray, direct: np.ndarray, bias: np.ndarray):
        """Random hidden weights; bottleneck [F, rank], direct path [inner, K+1] and bias [K+1] as given."""
        h, k = self.hidden, self.labels
        normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
        # About ten inputs are on at once, so the first layer is scaled for ten, not for all.
        if h:
            self.weights = {
                "w1": normal(self.inner, h) * np.float32(np.sqrt(2 / 12)),
                "b1": np.zeros(h, np.float32),
                "w2": normal(h, h) * np.float32(np.sqrt(2 / h)),
                "b2": np.zeros(h, np.float32),
                "w3": normal(h, k) * np.float32(0.1 / np.sqrt(h)),
            }
        self.weights["absent"] = absent.astype(np.float32)
        self.weights["direct"] = direct.astype(np.float32)
        self.weights["b3"] = bias.astype(np.float32)

    def squeeze(self, x: np.ndarray) -> np.ndarray:
        """Inputs of the layers [n, inner] from encoded inputs [n, D]."""
        f = self.features
        return np.concatenate([x[:, :f], x[:, f : 2 * f] @ self.weights["absent"], x[:, 2 * f :]], axis=1)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Raw logits [n, K+1] of encoded inputs [n, D], before scale and limits."""
        w, x = self.weights, self.squeeze(x)
        out = x @ w["direct"] + w["b3"]
        if self.hidden:
            h1 = np.maximum(x @ w["w1"] + w["b1"], 0)
            h2 = np.maximum(h1 @ w["w2"] + w["b2"], 0)
            out += h2 @ w["w3"]
        return out

    def probabilities(self, findings: np.ndarray, patient: np.ndarray, limits: Limits):
        """Calibrated probabilities [n, K+1]; what the ONNX graph computes."""
        x = encode(findings, patient)
        facts = x[:, : 2 * self.features].sum(1, keepdims=True)
        scale = self.scale[0] + self.scale[1] * np.log1p(facts)
        return softmax(self.logits(x) * scale + limits.penalty(patient))

    def gradients(self, encoded, penalty, labels, keep, rng):
        """Mean cross-entropy and its gradients.

        encoded [n, D]; penalty [n, K+1] is added to the logits (limits and the training
        mix's prior); labels [n]; keep: share of hidden units kept (dropout).
        """
        w, n, x = self.weights, len(encoded), self.squeeze(encoded)
        out = x @ w["direct"] + w["b3"] + penalty
        if self.hidden:
            h1 = np.maximum(x @ w["w1"] + w["b1"], 0)
            m1 = (rng.random(h1.shape, np.float32) < keep) / np.float32(keep)
            h1 *= m1
            h2 = np.maximum(h1 @ w["w2"] + w["b2"], 0)
            m2 = (rng.random(h2.shape, np.float32) < keep) / np.float32(keep)
            h2 *= m2
            out += h2 @ w["w3"]
        p = softmax(out)
        loss = -np.log(p[np.arange(n), labels] + 1e-12).mean()
        p[np.arange(n), labels] -= 1
        p /= n
        narrow = slice(self.features, self.features + self.rank)
        grads = {"direct": x.T @ p, "b3": p.sum(0)}
        bottleneck = p @ w["direct"][narrow].T
        if self.hidden:
            grads["w3"] = h2.T @ p
            g2 = (p @ w["w3"].T) * m2 * (h2 > 0)
            grads["w2"], grads["b2"] = h1.T @ g2, g2.sum(0)
            g1 = (g2 @ w["w2"].T) * m1 * (h1 > 0)
            grads["w1"], grads["b1"] = x.T @ g1, g1.sum(0)
            bottleneck += g1 @ w["w1"][narrow].T
        grads["absent"] = encoded[:, self.features : 2 * self.features].T @ bottleneck
        return loss, grads


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax, [n, K] to [n, K]."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class Adam:
    """Adam with decoupled weight decay, pulling each weight towards where it began."""

    def __init__(self, weights: dict[str, np.ndarray], decay: float):
        self.start = {k: v.copy() if k in ("direct", "absent") else np.zeros_like(v) for k, v in weights.items()}
        self.m = {k: np.zeros_like(v) for k, v in weights.items()}
        self.v = {k: np.zeros_like(v) for k, v in weights.items()}
        self.decay, self.t = decay, 0

    def step(self, weights, grads, rate: float) -> None:
        """One update in place; rate is the learning rate."""
        self.t += 1
        c1, c2 = 1 - 0.9**self.t, 1 - 0.999**self.t
        for k, g in grads.items():
            m, v, w = self.m[k], self.v[k], weights[k]
            m *= np.float32(0.9)
            m += np.float32(0.1) * g
            v *= np.float32(0.999)
            g *= g
            v += np.float32(0.001) * g
            step = np.sqrt(v / np.float32(c2))
            step += np.float32(1e-8)
            np.divide(m, step, out=step)
            w -= np.float32(rate / c1) * step
            if not k.startswith("b"):
                w -= np.float32(rate * self.decay) * (w - self.start[k])
