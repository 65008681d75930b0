"""The claims of an attempt on TRAIN rows that fitted nothing: their variables, plain or doubly robust.

In: claims and scored validation rows. Out: ``Trial`` records, which the plan lays bets on. Whatever makes a plan for
policies on a log imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jumar.evaluate.capital import Floats
from jumar.evaluate.claims import Claim, ClaimRows, UnitRows, good, per_unit, variable
from jumar.evaluate.evidence import Fold, robust_claim
from jumar.evaluate.judging import Scored
from jumar.evaluate.robust import robust_bound
from jumar.evaluate.wagers import BETTING_ALPHA, Trial

# Below this base rate the plain variable is as good, and keeps both fail-safes: weights cut, support taken away.
LEAST_BASE_RATE = 0.1
# What is saved must be worth the fail-safe against weights that are too small.
WORTH_IT = 0.975
KAPPAS = tuple(2.0**power for power in range(10))
KAPPA_ROWS = 50_000


def trials_of(
    claims: Sequence[Claim],
    scored: Scored,
    fold: Fold,
    rows_planned: int,
    *,
    robust: bool,
    units: UnitRows | None = None,
) -> list[Trial]:
    """One trial for each claim.

    Args:
        claims: the first is the paired gain.
        scored: validation rows.
        fold: from rows to pieces of evidence.
        rows_planned: pieces of evidence that the gate is expected to hold.
        robust: whether doubly-robust variables may be used: production's probabilities of all actions are known.
        units: how the rows follow each other, where claims are about that.
    """
    rows = replace(scored.claim_rows, units=units)
    return [_trial(claim, scored, rows, fold, rows_planned, robust=robust) for claim in claims]


def _trial(claim: Claim, scored: Scored, rows: ClaimRows, fold: Fold, rows_planned: int, *, robust: bool) -> Trial:
    if claim.sequential:
        return Trial(claim, per_unit(claim, rows))
    plain = Trial(claim, fold(variable(claim, rows)))
    if not (robust and claim.weighted and scored.pmf is not None and scored.production is not None):
        return plain
    reward = good(claim, rows.brought(claim))
    if float(reward.mean()) < LEAST_BASE_RATE:
        return plain
    baseline = [] if claim.kind == "value" else _means_by_action(reward, scored.action, scored.production.shape[1])
    q = np.asarray(baseline) if baseline else scored.q
    kappas = _best_kappas(claim, scored, rows, q, rows_planned)
    y = fold(robust_claim(claim, rows, scored.production, q, kappas))
    bounds = np.array([robust_bound(float(kappa)) + claim.slack_bound for kappa in kappas])
    plain_reach = _reach(_second_moments(plain.y), np.full(len(kappas), claim.bound), rows_planned)
    if float((_reach(_second_moments(y), bounds, rows_planned) / plain_reach).mean()) > WORTH_IT:
        return plain
    return Trial(claim, y, bounds.tolist(), kappas.tolist(), baseline)


def _best_kappas(claim: Claim, scored: Scored, rows: ClaimRows, q: Floats, rows_planned: int) -> Floats:
    """[K] the cap under which each candidate could show the smallest gain.

    A large cap leaves predictions alone but keeps bets small, by the bound; a small one the other way round.
    """
    assert scored.production is not None
    some = slice(0, KAPPA_ROWS)
    part = ClaimRows(
        weight=rows.weight[some],
        reward=rows.reward[some],
        action=rows.action[some],
        metrics=None if rows.metrics is None else rows.metrics[some],
        pmf=None if rows.pmf is None else rows.pmf[some],
    )
    predictions = q[some] if q.ndim == 2 else q
    reaches = []
    for kappa in KAPPAS:
        caps = np.full(rows.weight.shape[1], kappa)
        y = robust_claim(claim, part, scored.production[some], predictions, caps)
        bounds = np.full(len(caps), robust_bound(kappa) + claim.slack_bound)
        reaches.append(_reach(_second_moments(y), bounds, rows_planned))
    return np.array(KAPPAS)[np.argmin(reaches, axis=0)]


def _reach(moments: Floats, bounds: Floats, rows_planned: int) -> Floats:
    """[K] the average y that n pieces of evidence can show: v·λ/2 + L/(n·λ) at the best bet that the bound allows."""
    nats = math.log(1.0 / BETTING_ALPHA)
    best = np.minimum(np.sqrt(2.0 * nats / (rows_planned * moments)), 0.6 / bounds)
    return 0.5 * moments * best + nats / (rows_planned * best)


def _second_moments(y: Floats) -> Floats:
    """[K] E[y²], shrunk towards 1 by one imaginary row."""
    return (np.square(y).sum(axis=0) + 1.0) / (len(y) + 1.0)


def _means_by_action(reward: Floats, action: np.ndarray, actions: int) -> list[float]:
    """[actions] mean of what is good after each action; the overall mean stands in as one row for each."""
    total = np.bincount(action, reward, minlength=actions) + reward.mean()
    means = total / (np.bincount(action, minlength=actions) + 1.0)
    return [float(f"{mean:.6g}") for mean in np.clip(means, 0.0, 1.0)]
