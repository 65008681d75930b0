"""What a policy is worth on a log: every estimator with its interval, and the paired bound against production.

In: a policy and a log. Out: ``Evaluation``. The command line and Python users call ``evaluate``; nothing here
releases anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from jumar.errors import LogError, OptionError, PolicyError
from jumar.evaluate.asked import Asked, claims_on, several_words
from jumar.evaluate.certificate import ClaimResult, Deviation, Record
from jumar.evaluate.claims import Claim, ClaimRows
from jumar.evaluate.estimators.estimator import MOST_CONFIDENCE, Estimate, Estimator
from jumar.evaluate.evidence import ClaimEvidence, Predicted, Terms
from jumar.evaluate.judging import logged_or_estimated
from jumar.evaluate.wagers import ClaimPlan, open_wager
from jumar.features import read_blocks
from jumar.learn.data import unit_codes
from jumar.logs import Log, read_for
from jumar.logs.arrays import metric_values, production_pmf
from jumar.logs.split import PARTS
from jumar.policy import Policy, Scorer, in_order, load_policy

NUMBERS_PER_BATCH, LARGEST_BATCH = 8_000_000, 65_536
OUTPUTS = ("pmf", "clone", "q")


class Evaluation(Record, frozen=True, kw_only=True):
    """Estimates of a policy's value, in units of the reward, per decision.

    Attributes:
        policy: short name of the policy.
        rows, rows_left_out: decisions used, and those of units that the policy was fitted on.
        confidence: of every interval and of the bound.
        production: the logged mean reward.
        ips, snips, dm, dr, sndr, switch_dr, dros: the policy's value by seven estimators.
        gain: V(π) − V(μ), paired, with a two-sided interval for many rows.
        gain_bound: the same with a lower bound that holds for any number of rows.
        deviation: how far the policy is from production on these rows.
        estimated_propensities: no propensities were logged; the clone's stand in, and nothing is guaranteed.
        notes: what was assumed, in plain sentences.
        claims: what was asked of the policy, each tested at ``confidence`` by bets that are constants of the program.
    """

    policy: str
    rows: int
    rows_left_out: int
    confidence: float
    production: Estimate
    ips: Estimate
    snips: Estimate
    dm: Estimate
    dr: Estimate
    sndr: Estimate
    switch_dr: Estimate
    dros: Estimate
    gain: Estimate
    gain_bound: Estimate
    deviation: Deviation
    estimated_propensities: bool
    notes: list[str]
    claims: list[ClaimResult] = []


class _Weights:
    """Streaming sums of w for the deviation."""

    def __init__(self) -> None:
        self.sums = np.zeros(4)
        self.largest, self.rows = 0.0, 0

    def update(self, w: np.ndarray) -> None:
        """Add rows."""
        positive = w[w > 0]
        entropy = float((positive * np.log(positive)).sum())
        self.sums += [w.sum(), (w**2).sum(), np.maximum(1 - w, 0).sum(), entropy]
        self.largest, self.rows = max(self.largest, float(w.max(initial=0.0))), self.rows + len(w)

    def deviation(self) -> Deviation:
        """What the sums say."""
        total, squares, short, entropy = self.sums.tolist()
        rows = max(self.rows, 1)
        return Deviation(
            kl=entropy / rows,
            changed=short / rows,
            ess=total**2 / squares if squares else 0.0,
            max_weight=self.largest,
        )


def evaluate(
    policy: Policy | str | os.PathLike[str],
    log: Log | Any,
    *,
    confidence: float = 0.95,
    rows: Literal["unseen", "all"] = "unseen",
    margin: float = 0.0,
    gain: float = 0.0,
    guardrail: Sequence[str] = (),
    reduce: Sequence[str] = (),
    budget: str | None = None,
) -> Evaluation:
    """Estimate the value of a policy from a log that another policy wrote.

    Args:
        policy: a policy or its folder.
        log: a ``Log`` or anything ``read_log`` reads; action and reward are looked for by the names of the policy's
            own log.
        confidence: of every interval and of the bound.
        rows: "unseen" leaves out all units of the half of the hash range that the policy was fitted on, so that no
            estimate is flattered; "all" uses every row, right only for a log with none of the rows it was fitted on.
        margin, gain, guardrail, reduce, budget: claims to test, as ``improve`` takes them.

    Raises:
        LogError: the log does not fit the policy, or no row is left.
        OptionError: a claim that is not understood, or does not fit the log.
        PolicyError: the folder holds no sound policy.
    """
    if not 0.5 <= confidence <= MOST_CONFIDENCE:
        raise OptionError(
            "The confidence must be at least 0.5, and below 1 by at least a billionth",
            example=confidence,
            remedy="Try --confidence 0.95.",
        )
    chosen = policy if isinstance(policy, Policy) else load_policy(policy)
    asked = Asked(margin, gain, several_words(guardrail), several_words(reduce), budget)
    opened = read_for(chosen.card.log_schema, log, need="decisions", metrics=asked.metrics)
    tests = _tests(claims_on(opened, asked), 1.0 - confidence)
    roles = opened.schema.roles
    logged = opened.schema.has_propensities
    estimator = Estimator(clustered=roles.unit is not None, confidence=confidence)
    weights = _Weights()
    scorer = chosen.scorer(*OUTPUTS)

    def judge(batch: pa.RecordBatch) -> tuple[Estimator, np.ndarray, list[ClaimEvidence]]:
        return _judge(batch, chosen, scorer, confidence, roles.unit, opened, tests)

    for part, w, evidence in in_order(judge, _batches(opened, chosen, rows)):
        estimator = estimator.merge(part)
        weights.update(w)
        tests = [one + more for one, more in zip(tests, evidence, strict=True)]
    if not weights.rows:
        raise LogError(
            "No decision is left to evaluate on: all belong to units that the policy was fitted on",
            count=opened.rows,
            remedy="Evaluate on another log, or on all rows with --rows all if this log is new to the policy.",
        )
    found = _evaluation(chosen, opened, estimator, weights, confidence, rows, logged)
    return msgspec.structs.replace(found, claims=[one.result(0) for one in tests])


def _tests(claims: Sequence[Claim], alpha: float) -> list[ClaimEvidence]:
    """Nothing seen yet of any claim."""
    terms = Terms(alpha, (alpha,))
    return [ClaimEvidence(ClaimPlan(claim=claim, wagers=[open_wager(claim.bound)]), terms) for claim in claims]


def _batches(log: Log, policy: Policy, rows: Literal["unseen", "all"]) -> Iterator[pa.RecordBatch]:
    """The rows to evaluate on."""
    size = int(np.clip(NUMBERS_PER_BATCH // (3 * len(policy.actions)), 256, LARGEST_BATCH))
    if rows == "all":
        return log.batches(batch_rows=size)
    if policy.card.train_units_below != PARTS["gate"][0]:
        raise PolicyError(
            "The policy was fitted under another split of the units than this version knows",
            remedy="Evaluate with the version of its card, or on all rows of a log that is new to it: --rows all.",
        )
    return log.batches("gate", batch_rows=size)


def _judge(
    batch: pa.RecordBatch,
    policy: Policy,
    scorer: Scorer,
    confidence: float,
    unit: str | None,
    log: Log,
    tests: Sequence[ClaimEvidence],
) -> tuple[Estimator, np.ndarray, list[ClaimEvidence]]:
    """The estimator's sums, the weights, and the evidence of every claim, of one batch."""
    pmf, clone, q = scorer.run(read_blocks(batch, policy.card.features))
    if policy.card.timeline is not None:
        q = np.full_like(q, log.reward_moments[0])
    action = np.asarray(batch.column("__action")).astype(np.int64)[:, None]
    mu = logged_or_estimated(batch, clone, action[:, 0])
    w = np.take_along_axis(pmf, action, axis=1)[:, 0] / mu
    part = Estimator(clustered=unit is not None, confidence=confidence)
    part.update(
        w,
        np.asarray(batch.column("__reward")),
        prediction=np.take_along_axis(q, action, axis=1)[:, 0],
        direct=(pmf * q).sum(axis=1),
        unit=unit_codes(batch.column("__hash")).astype(np.int64) if unit is not None else None,
    )
    judged = ClaimRows(
        weight=w[:, None],
        reward=np.asarray(batch.column("__reward")),
        action=action[:, 0],
        metrics=metric_values(batch, len(log.metrics)),
        pmf=pmf[:, None, :],
        production=production_pmf(batch, pmf.shape[1]) if "__pmf" in batch.schema.names else None,
    )
    evidence = [ClaimEvidence(one.planned, one.terms) for one in tests]
    for one in evidence:
        one.update(judged, lambda values: values, Predicted(), np.random.default_rng(0))
    return part, w, evidence


def _evaluation(
    policy: Policy,
    log: Log,
    estimator: Estimator,
    weights: _Weights,
    confidence: float,
    rows: str,
    logged: bool,
) -> Evaluation:
    """All estimates in units of the reward."""
    low, high = policy.card.log_schema.reward_low, policy.card.log_schema.reward_high
    paired = estimator.paired_gain()
    notes = list(log.notes)
    if rows == "unseen":
        notes.append(
            f"{log.rows - weights.rows:,} decisions of units that the policy may have been fitted on were left out."
        )
    if not logged:
        notes.append("No propensities were logged: the clone's stand in for them, and no bound is guaranteed.")
    notes.append("The interval of the direct method does not know how wrong its model is.")
    notes.append(
        f"Switch-DR trusts that model where weights exceed {estimator.tau:g}, and DRos the more of it the larger a "
        f"weight is, half at {estimator.lam**0.5:g}: where it is wrong there, their intervals do not know it."
    )
    if policy.card.timeline is not None:
        notes.append(
            "The policy was learned with a discount and values what follows. Estimated here is each decision's own "
            "reward; the mean reward stands in for a prediction of it."
        )
    notes.append("Claims are tested decision by decision, without the audits of a gate: a test, and no certificate.")
    notes.append(
        "On the log that a policy was certified on, its certificate counts: these figures were not fixed before."
    )

    def value(estimate: Estimate) -> Estimate:
        return in_units(estimate, high - low, low)

    return Evaluation(
        policy=policy.name,
        rows=weights.rows,
        rows_left_out=log.rows - weights.rows,
        confidence=confidence,
        production=value(estimator.logged()),
        ips=value(estimator.ips()),
        snips=value(estimator.snips()),
        dm=value(estimator.dm()),
        dr=value(estimator.dr()),
        sndr=value(estimator.sndr()),
        switch_dr=value(estimator.switch_dr()),
        dros=value(estimator.dros()),
        gain=in_units(paired.interval, high - low, 0.0),
        gain_bound=in_units(paired.guaranteed, high - low, 0.0),
        deviation=weights.deviation(),
        estimated_propensities=not logged,
        notes=notes,
    )


def in_units(estimate: Estimate, scale: float, shift: float) -> Estimate:
    """An estimate on [0, 1] in units of the reward; differences take no shift."""
    error = estimate.standard_error
    return msgspec.structs.replace(
        estimate,
        value=shift + scale * estimate.value,
        standard_error=None if error is None else scale * error,
        low=shift + scale * estimate.low,
        high=None if estimate.high is None else shift + scale * estimate.high,
    )
