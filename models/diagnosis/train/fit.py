"""Fitting: the training stream, the optimiser's loop and the calibration.

The stream mixes fresh simulated patients with real consultations of the training
split. Rare conditions are drawn more often than they occur; the loss takes that back
by adding log(share drawn / share wanted) to the logits while training, so that the
network's own output follows the wanted priors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import dialogue as dg
import network as net
import tables as tb
from simulate import Cases, Simulator

CHUNK = 8192


@dataclass(frozen=True)
class Settings:
    """What can be set. Shares are fractions of 1; rate is Adam's learning rate.

    prior_exponent flattens prevalence: prior = prevalence ** exponent, normalised.
    draw_exponent does the same for the share of each condition in the stream.
    real_prior: 1 takes the dialogue sets' own label shares out of the model, 0 leaves them in.
    tune_decay, tune_simulated, tune_synthetic: see `tune`.
    """

    seed: int = 20261123
    patients: int = 3_000_000
    hidden: int = 256
    batch: int = 512
    rate: float = 3e-3
    decay: float = 0.05
    keep: float = 0.8
    prior_exponent: float = 0.4
    draw_exponent: float = 0.2
    outside: float = 0.12
    real_share: float = 0.0
    real_prior: float = 1.0
    tune_decay: float = 3.0
    tune_simulated: float = 0.6
    tune_synthetic: float = 0.3


def flattened(prior: np.ndarray, exponent: float) -> np.ndarray:
    """prior ** exponent, normalised; exponent 1 keeps it, 0 makes it even. [K]"""
    p = prior**exponent
    return p / p.sum()


def wanted_prior(arrays: tb.Probabilities, settings: Settings) -> np.ndarray:
    """P(label) the model is to follow, [K+1], `outside` last."""
    inside = flattened(arrays.prior, settings.prior_exponent) * (1 - settings.outside)
    return np.append(inside, settings.outside)


def table_weights(arrays: tb.Probabilities, model: net.Network, trust: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Bottleneck [F, rank] and direct path [inner, K+1] at the tables' log-odds, times trust.

    What absence says is cut to the rank of the bottleneck by its largest singular values.
    """
    mean = np.einsum("kbsf,kbs->kf", arrays.p, arrays.group)
    mean = np.vstack([mean, mean.mean(0)])
    odds = [trust * (log - log.mean(0)).T for log in (np.log(mean), np.log1p(-mean))]
    left, values, right = np.linalg.svd(odds[1], full_matrices=False)
    root, kept = np.sqrt(values[: model.rank]), min(model.rank, len(values))
    absent = np.zeros((model.features, model.rank), np.float32)
    absent[:, :kept] = left[:, :kept] * root
    direct = np.zeros((model.inner, len(mean)), np.float32)
    direct[: model.features] = odds[0]
    direct[model.features : model.features + kept] = root[:, None] * right[:kept]
    return absent, direct


class Stream:
    """Endless training chunks: encoded inputs, penalty to add, labels."""

    def __init__(self, tables, arrays, dialogues: dg.Dialogues | None, settings: Settings):
        self.tables, self.settings = tables, settings
        prior = flattened(arrays.prior, settings.prior_exponent)
        self.simulator = Simulator(tables, arrays, prior)
        self.weights = flattened(arrays.prior, settings.draw_exponent)
        self.limits = net.limits_of(tables.conditions)
        self.real: Cases | None = None
        real_share = 0.0
        if dialogues is not None and settings.real_share > 0:
            self.real = dialogues.cases(dialogues.select("train"))
            real_share = settings.real_share
        self.real_per_chunk = int(round(CHUNK * real_share))
        sim = np.append(self.weights * (1 - settings.outside), settings.outside)
        wanted = wanted_prior(arrays, settings)
        drawn = sim * (1 - real_share)
        if self.real is not None:
            counts = np.bincount(self.real.label, minlength=len(sim))
            drawn = drawn + settings.real_prior * real_share * counts / counts.sum()
        self.offset = np.log(drawn / drawn.sum() / wanted).astype(np.float32)

    def chunk(self, rng: np.random.Generator):
        """CHUNK rows in random order: x [n, D], penalty [n, K+1], labels [n]."""
        s = self.settings
        cases = self.simulator.draw(CHUNK - self.real_per_chunk, rng, self.weights, s.outside)
        if self.real is not None:
            rows = rng.integers(len(self.real.label), size=self.real_per_chunk)
            picked = Cases(self.real.findings[rows], self.real.patient[rows], self.real.label[rows])
            picked = dg.augment(picked, self.simulator, rng)
            cases = Cases(
                np.vstack([cases.findings, picked.findings]),
                np.vstack([cases.patient, picked.patient]),
                np.append(cases.label, picked.label),
            )
        order = rng.permutation(CHUNK)
        patient = cases.patient[order]
        x = net.encode(cases.findings[order], patient)
        return x, self.limits.penalty(patient) + self.offset, cases.label[order]


def fit(tables, arrays, dialogues, settings: Settings, say=lambda text: None) -> net.Network:
    """Train one network; hidden=0 gives logistic regression. Deterministic for a seed."""
    rng = np.random.default_rng(settings.seed)
    features = len(tables.features)
    model = net.Network(features, len(tables.labels), settings.hidden)
    absent, direct = table_weights(arrays, model)
    if not settings.hidden:
        direct[:] = 0
    model.initialise(rng, absent, direct, np.log(wanted_prior(arrays, settings)))
    stream = Stream(tables, arrays, dialogues, settings)
    adam = net.Adam(model.weights, settings.decay)
    average = {k: v.copy() for k, v in model.weights.items()}
    chunks = max(1, settings.patients // CHUNK)
    steps, step = chunks * (CHUNK // settings.batch), 0
    for c in range(chunks):
        x, penalty, labels = stream.chunk(rng)
        total = 0.0
        for i in range(0, CHUNK, settings.batch):
            part = slice(i, i + settings.batch)
            loss, grads = model.gradients(x[part], penalty[part], labels[part], settings.keep, rng)
            warm = min(1.0, (step + 1) / 200)
            rate = settings.rate * warm * (0.5 + 0.5 * np.cos(np.pi * step / steps))
            adam.step(model.weights, grads, rate)
            total += loss
            step += 1
        # A running average of the weights is steadier than the last step's.
        share = np.float32(min(0.9, (c + 1) / (c + 10)))
        for k, v in model.weights.items():
            average[k] *= share
            average[k] += (1 - share) * v
        if c % max(1, chunks // 20) == 0:
            say(f"patients {(c + 1) * CHUNK:>9}  loss {total / (CHUNK / settings.batch):.4f}")
    model.weights = average
    return model


#: Sets that the last step is fitted to. MZ-4 is MZ-10 under other ids with four of its labels:
#: counting it again would only tilt the shares of those four.
TUNED_SETS = ("mz10", "dxy")
#: What the shipped model is fitted to; figures come from one fitted to the first of them alone.
ALL_SPLITS = ("train", "validation", "test")
#: Steps and rate of the fit, simulated patients and synthetic (DDXPlus) patients in it.
TUNE_STEPS, TUNE_RATE, TUNE_PATIENTS, TUNE_SYNTHETIC = 300, 0.03, 15_000, 8_000


def tune(model, tables, arrays, dialogues: dg.Dialogues, synthetic: Cases | None, settings: Settings, splits, say) -> None:
    """Fit the direct path of some labels to other people's patients, in place.

    A logistic regression on top of the finished network, with its logits as offset: convex, so
    few cases do not drive it far. Consultations of `splits` come twice, with and without the
    diagnoses named among their findings; `synthetic` patients (DDXPlus' marginals) are weighted
    tune_synthetic. Simulated patients stand beside them, weighted tune_simulated, so that what
    holds for them goes on holding. tune_decay: L2 per weight.
    """
    limits = net.limits_of(tables.conditions)
    rows = np.concatenate([dialogues.select(split, name) for name in TUNED_SETS for split in splits])
    real = dialogues.cases(rows)
    unnamed = real.findings.copy()
    unnamed[:, tables.named()] = 0
    rng = np.random.default_rng([settings.seed, 9])
    shares = flattened(arrays.prior, settings.prior_exponent)
    simulated = Simulator(tables, arrays, shares).draw(TUNE_PATIENTS, rng, shares, settings.outside)
    groups = [(real, 0.5), (Cases(unnamed, real.patient, real.label), 0.5), (simulated, settings.tune_simulated)]
    if synthetic is not None:
        groups.append((synthetic, settings.tune_synthetic))
    cases = [c for c, _ in groups]
    x = np.vstack([net.encode(c.findings, c.patient) for c in cases])
    offset = model.logits(x) + np.vstack([limits.penalty(c.patient) for c in cases])
    x = model.squeeze(x)
    label = np.concatenate([c.label for c in cases])
    weight = np.concatenate([np.full(len(c.label), share / len(c.label), np.float32) for c, share in groups])
    columns = np.unique(np.concatenate([c.label for c in cases if c is not simulated]))
    target = label[:, None] == columns
    weights = {
        "direct": np.zeros((x.shape[1], len(columns)), np.float32),
        "b3": np.zeros(len(columns), np.float32),
    }
    adam = net.Adam(weights, 0.0)
    for step in range(TUNE_STEPS):
        logits = offset.copy()
        logits[:, columns] += x @ weights["direct"] + weights["b3"]
        excess = (net.softmax(logits)[:, columns] - target) * weight[:, None]
        pull = settings.tune_decay / len(rows) * weights["direct"]
        grads = {"direct": x.T @ excess + pull, "b3": excess.sum(0)}
        adam.step(weights, grads, TUNE_RATE * (0.5 + 0.5 * np.cos(np.pi * step / TUNE_STEPS)))
    model.weights["direct"][:, columns] += weights["direct"]
    model.weights["b3"][columns] += weights["b3"]
    say(f"tuned {len(columns)} labels to {len(rows)} consultations and {0 if synthetic is None else len(synthetic.label)} synthetic patients")


def calibrate(model: net.Network, groups: list[tuple[Cases, float]], limits: net.Limits) -> float:
    """Set model.scale so that the validation loss is least; returns that loss.

    groups: (cases, weight) pairs, each group's mean loss counted by its weight.
    The scale is base + slope * log(1 + facts known), found on a refined grid.
    """
    prepared = []
    for cases, weight in groups:
        x = net.encode(cases.findings, cases.patient)
        facts = np.log1p(x[:, : 2 * model.features].sum(1, keepdims=True))
        raw, penalty = model.logits(x), limits.penalty(cases.patient)
        prepared.append((raw, facts, penalty, cases.label, weight))

    def loss(base: float, slope: float) -> float:
        total = 0.0
        for raw, facts, penalty, label, weight in prepared:
            scale = np.maximum(base + slope * facts, 0.05).astype(np.float32)
            p = net.softmax(raw * scale + penalty)
            total -= weight * np.log(p[np.arange(len(p)), label] + 1e-9).mean()
        return total

    best, width = (1.0, 0.0), (0.4, 0.2)
    for _ in range(6):
        grid = [(best[0] + i * width[0] / 2, best[1] + j * width[1] / 2)
                for i in range(-2, 3) for j in range(-2, 3)]
        best = min(grid, key=lambda point: loss(*point))
        width = (width[0] / 2, width[1] / 2)
    # The scale must stay positive up to every finding being known.
    if best[0] + best[1] * np.log1p(model.features) < 0.05 or best[0] + best[1] * np.log(2) < 0.05:
        best = (1.0, 0.0)
    model.scale = np.array(best, np.float32)
    return loss(*best)
