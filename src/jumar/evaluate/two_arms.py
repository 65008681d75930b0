"""Two arms: what the same units bring under two policies that were dealt out by chance, once for each unit.

In: one number on [0, 1] per unit, and which arm it is in. Out: variables whose average is an effect, the capital that
tests it, the evidence that arms have the wrong sizes. Pure functions; ``release.canary`` imports this module.

Unit u would bring s_u(1) if exposed and s_u(0) if not; Z_u = 1, with probability q, if it is. For any centre c_u that
was made without Z_u,

    y_u = ±(Z/q − (1 − Z)/(1 − q))·(s − c) + m·((1 − Z)/(1 − q)·(s − c) + c + shift)

has the mean ±(s(1) − s(0)) + m·(s(0) + shift) and is bounded. A unit's decisions, days and looks may hang together as
they like: only the Z_u have to be independent. Proof: "Canary" in docs/statistics.md. The estimator is that of
Horvitz & Thompson (1952); centres are the control variates of "Improving the Sensitivity of Online Controlled
Experiments by Utilizing Pre-Experiment Data" by Deng, Xu, Kohavi & Walker (https://doi.org/10.1145/2433396.2433413).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Capital, Floats, GateError, default_bets

Bools = NDArray[np.bool_]

_IMAGINED = 10.0  # units of the smaller arm that the prior of the sample ratio is worth


@dataclass(frozen=True)
class Question:
    """What is asked about two arms: the average of a variable that is at least 0 where the answer is yes.

    Attributes:
        sign: +1 for s(1) − s(0), −1 for s(0) − s(1).
        slack: m, a share of what units bring unexposed that is added; negative: that must be exceeded.
        shift: what 0 on [0, 1] stands for, in widths of the declared range.
    """

    sign: float
    slack: float = 0.0
    shift: float = 0.0


def variable(total: ArrayLike, exposed: ArrayLike, centre: ArrayLike, share: float, asked: Question) -> Floats:
    """[units] y of a question.

    Args:
        total: [units] what each unit brought, in [0, 1].
        exposed: [units] whether it is in the arm that is new.
        centre: [units] what it was expected to bring, in [0, 1], whatever its arm.
        share: q, the chance with which each unit was exposed.
        asked: the question.
    """
    middle, shown = np.asarray(centre, np.float64), np.asarray(exposed, np.bool_)
    off = np.asarray(total, np.float64) - middle
    y: Floats = asked.sign * np.where(shown, off / share, -off / (1.0 - share))
    if asked.slack:
        y += asked.slack * (np.where(shown, 0.0, off / (1.0 - share)) + middle + asked.shift)
    return y


def lowest(centre: Floats, share: float, asked: Question) -> float:
    """B: ``variable`` never falls below −B, for totals in [0, 1] and these centres.

    For either arm y is a plane over total and centre, so its least value lies at a corner.
    """
    if not centre.size:
        return 1.0
    total, exposed, middle = np.meshgrid([0.0, 1.0], [False, True], [centre.min(), centre.max()])
    return max(1e-9, -float(variable(total, exposed, middle, share, asked).min()))


def centres(total: Floats, before: Floats, pilot: Bools) -> tuple[Floats, float]:
    """What units are expected to bring, learned from the pilot units only, and how far those scatter around it.

    Least squares on a constant, on whether a unit was seen before, and on what it brought then.

    Args:
        total: [units] in [0, 1]; read where ``pilot``.
        before: [units] what each brought before arms were dealt out; NaN where it was not seen.
        pilot: [units] chosen by chance, regardless of arm; none of them is tested.

    Returns:
        [units] centres in [0, 1], and the mean square of the pilot units' distances from theirs.
    """
    if not pilot.any():
        return np.full(total.shape, 0.5), 0.25
    seen = ~np.isnan(before)
    features = np.stack([np.ones(total.shape), seen.astype(np.float64), np.where(seen, before, 0.0)], axis=1)
    weights = np.linalg.lstsq(features[pilot], total[pilot], rcond=None)[0]
    centre = np.clip(features @ weights, 0.0, 1.0)
    return centre, float(np.mean((total[pilot] - centre[pilot]) ** 2))


def capital_of(
    total: Floats, exposed: Bools, centre: Floats, spread: float, *, share: float, alpha: float, asked: Question
) -> Capital:
    """The capital of a question at one look: its value reaches 1/α with probability at most α if the average is ≤ 0.

    At the *next* look totals have grown and the product is another one, so looks share α among them; nothing is
    carried over from one to the next.

    Args:
        total, exposed, centre: [units] of tested units.
        spread: mean (s − c)² as other units showed it; bets are laid for it.
        share: q.
        alpha: error probability of this look.
        asked: the question.

    Raises:
        GateError: a total outside [0, 1], or a share outside (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise GateError("both arms need units", example=share, remedy="Compare shares between 0 and 1.")
    if total.size and not (total.min() >= 0.0 and total.max() <= 1.0):
        raise GateError("what a unit brought must lie in [0, 1]", remedy="Cut and scale by the declared bounds.")
    bound = lowest(centre, share, asked)
    bets = default_bets(spread / (share * (1.0 - share)), max(total.size, 1), alpha, bound=bound)
    return Capital(bets).update(variable(total, exposed, centre, share, asked))


def ratio_evidence(exposed: int, others: int, share: float) -> float:
    """Log evidence that the arms were not dealt out with the chance they should have been, in nats.

    A Beta prior around the share, worth ten units of the smaller arm, against the share itself: a martingale over
    units in the order of their arrival, so it reaches log(1/α) at any time with probability at most α.

    Args:
        exposed, others: units of each arm.
        share: the chance of being exposed.
    """
    strength = _IMAGINED / min(share, 1.0 - share)
    a, b = strength * share, strength * (1.0 - share)
    return (
        _log_beta(a + exposed, b + others)
        - _log_beta(a, b)
        - exposed * math.log(share)
        - others * math.log1p(-share)
    )  # fmt: skip


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
