"""How each claim is bet on for each candidate, laid out on TRAIN rows that fitted nothing.

In: the variables of the claims on such rows. Out: ``ClaimPlan`` records with the bets, part of the gate's plan, which
imports this module. Bets are laid for one α whatever the confidence, so that capitals do not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jumar.evaluate.capital import LARGEST_BET, Bets, Floats, GateError, default_bets
from jumar.evaluate.claims import Claim
from jumar.evaluate.estimators.estimator import unbiased_bets
from jumar.records import Record

# Bets are laid for this α whatever the plan's own is; their spread covers the others at little cost.
BETTING_ALPHA = 0.001
SUREST_Z = 1e6


class Wager(Record, frozen=True, kw_only=True):
    """How one claim is bet on for one candidate.

    Attributes:
        fractions, log_prior: the 43 bets, see ``capital.Bets``.
        bound: the variable never falls below −bound.
        mean, sd, z: of the variable on TRAIN rows that fitted nothing, on [0, 1]; z is √n·mean/sd.
        second_moment: E[y²] there, shrunk towards bound² by one imaginary row.
        kappa: cap of the predictions in the doubly-robust variable; None for the plain one.
    """

    fractions: list[float]
    log_prior: list[float]
    bound: float
    mean: float
    sd: float
    z: float
    second_moment: float
    kappa: float | None = None

    def bets(self) -> Bets:
        """The bets as arrays."""
        return Bets(np.array(self.fractions), np.array(self.log_prior), self.bound)


class ClaimPlan(Record, frozen=True, kw_only=True):
    """One claim as it will be tested.

    Attributes:
        claim: what is claimed.
        wagers: [K] one for each candidate.
        baseline: [actions] predicted average of the metric for each action, for the doubly-robust variable; empty where
            the policies' own model predicts it, or where nothing does.
    """

    claim: Claim
    wagers: list[Wager]
    baseline: list[float] = []


@dataclass(frozen=True)
class Trial:
    """One claim on TRAIN rows that fitted nothing.

    Attributes:
        claim: what is claimed.
        y: [n, K] its variable, per unit of evidence.
        bounds: [K] the variable never falls below −bound; None for the plain variable's own.
        kappas: [K] caps of the doubly-robust variable; None for the plain variable.
        baseline: see ``ClaimPlan``.
    """

    claim: Claim
    y: Floats
    bounds: Sequence[float] | None = None
    kappas: Sequence[float | None] | None = None
    baseline: Sequence[float] = ()


def checked_trial(trial: Trial, temperatures: int, hashes: int) -> Trial:
    """The trial with its variable as float64 and a bound for each candidate.

    Raises:
        GateError: there are no rows, the shapes disagree, or a value lies below its bound.
    """
    y = np.asarray(trial.y, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] == 0 or y.shape[1] != temperatures or temperatures != hashes:
        raise GateError(
            "expected validation rows with one column, one temperature and one hash for each candidate",
            example=(y.shape, temperatures, hashes),
            remedy="Score all candidates on the same validation rows.",
        )
    bounds = np.broadcast_to(trial.claim.bound if trial.bounds is None else np.asarray(trial.bounds), temperatures)
    if y.shape[0] == 0 or not np.all((y >= -bounds * (1 + 1e-9) - 1e-12) & (y < np.inf)):
        raise GateError(
            "validation rows are missing, or hold contributions below their bound or not finite",
            count=int(y.shape[0]),
            remedy="Rewards must lie in [0, 1] after rescaling and propensities in (0, 1].",
        )
    return Trial(trial.claim, y, [float(one) for one in bounds], trial.kappas, trial.baseline)


def claim_plan(trial: Trial, rows_planned: int) -> ClaimPlan:
    """Bets for every candidate of a checked trial, for as many pieces of evidence as are planned."""
    assert trial.bounds is not None
    kappas = trial.kappas or [None] * trial.y.shape[1]
    wagers = [
        _wager(trial.y[:, k], bound, kappa, rows_planned)
        for k, (bound, kappa) in enumerate(zip(trial.bounds, kappas, strict=True))
    ]
    return ClaimPlan(claim=trial.claim, wagers=wagers, baseline=list(trial.baseline))


def _wager(y: Floats, bound: float, kappa: float | None, rows_planned: int) -> Wager:
    rows = y.size
    mean, sd = float(y.mean()), float(y.std(ddof=1)) if rows > 1 else 0.0
    # One imaginary row with y² = bound² keeps the first bets small where few rows have been seen, and off zero.
    second_moment = (float(np.square(y).sum()) + bound**2) / (rows + 1.0)
    bets = default_bets(second_moment, rows_planned, BETTING_ALPHA, bound=bound)
    sure = SUREST_Z * np.sign(mean)
    return Wager(
        fractions=bets.fractions.tolist(),
        log_prior=bets.log_prior.tolist(),
        bound=bound,
        mean=mean,
        sd=sd,
        z=float(np.clip(mean / (sd / math.sqrt(rows)), -SUREST_Z, SUREST_Z)) if sd > 0 else float(sure),
        second_moment=second_moment,
        kappa=kappa,
    )


def weakest(claims: Sequence[ClaimPlan], k: int) -> float:
    """The smallest force of what candidate k must show."""
    return min((force(one.wagers[k]) for one in claims if one.claim.required), default=force(claims[0].wagers[k]))


def force(wager: Wager) -> float:
    """The z-score, less what is lost of it where the best bet, E[y]/E[y²], is larger than any that may be placed.

    Capital grows by λ·E[y] − λ²·E[y²]/2 per row, at the best bet by E[y]²/(2·E[y²]), which is z²/2 over the rows. A
    policy so near to production that y is tiny has a fine z-score and no bet large enough to make anything of it.
    """
    mean, square = wager.mean, wager.sd**2 + wager.mean**2
    largest = LARGEST_BET / wager.bound
    if wager.z <= 0 or mean <= largest * square:
        return wager.z
    grown = largest * mean - 0.5 * largest**2 * square
    return wager.z * math.sqrt(grown / (mean**2 / (2.0 * square)))


def promising(claims: Sequence[ClaimPlan]) -> list[int]:
    """Candidates that fulfil all other claims on TRAIN; all of them where none does."""
    count = len(claims[0].wagers)
    good = [k for k in range(count) if all(one.wagers[k].mean > 0 for one in claims[1:] if one.claim.required)]
    return good or list(range(count))


def open_wager(bound: float) -> Wager:
    """A wager on rows that no one has planned for: bets from 2⁻²⁰ to 0.9 over the bound, all believed alike.

    They are a constant of this file and cannot have looked at any row; they cost about ln 40 nats at most.
    """
    bets = unbiased_bets()
    return Wager(
        fractions=(bets.fractions / bound).tolist(),
        log_prior=bets.log_prior.tolist(),
        bound=bound,
        mean=0.0,
        sd=0.0,
        z=0.0,
        second_moment=1.0,
    )
