"""Is the clone statistically the same as production? Asked on rows that fitted nothing.

In: the clone's probabilities, the logged actions, propensities where there are any, rewards in [0, 1].
Out: a CloneCheck. Equivalence is claimed only where whole intervals lie inside stated tolerances (two
one-sided tests, Schuirmann 1987): little data means "no", never "no difference found". Commands import
this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.certificate import CloneCheck
from jumar.evaluate.estimators.sums import ClusteredSums

# KL ≤ 0.01 nats leaves at most 7% of decisions that could come out differently (Pinsker's inequality).
LOG_LOSS_TOLERANCE = 0.01
AGREEMENT_TOLERANCE = 0.02
CALIBRATION_TOLERANCE = 0.05
# A value may differ by 1% of production's, or by 1% of the spread of single rewards where that is more: a
# hundredth of a standard deviation. Where rewards are rare, hardly a log could exclude 1% of their mean.
VALUE_TOLERANCE = 0.01
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class _Interval:
    mean: float
    low: float
    high: float

    def inside(self, low: float, high: float) -> bool:
        return low <= self.low and self.high <= high


def check_clone(
    *,
    pmf: ArrayLike,
    action: ArrayLike,
    propensity: ArrayLike | None,
    reward: ArrayLike,
    unit: ArrayLike | None = None,
    confidence: float = 0.999,
    reward_low: float = 0.0,
    reward_high: float = 1.0,
) -> CloneCheck:
    """Tests log-loss, calibration, agreement and value of the clone against production.

    With propensities the log-loss is compared with production's own entropy (their paired difference is
    KL(μ‖π₀)) and the value through w = π₀/μ. Without, the clone is held against its own predictions: its
    entropy, and the actions it would take, valued at each action's mean reward. That finds a
    miscalibrated clone, not a confounded one, and the sentence says so.

    Args:
        pmf: [rows, actions] probabilities of the clone; below 1e-12 they are read as 1e-12 in logarithms.
        action: [rows] indices.
        propensity: [rows] μ(a|x) in (0, 1], or None.
        reward: [rows] in [0, 1].
        unit: [rows] integer codes of units that repeat.
        confidence: of each one-sided test.
        reward_low: what the rescaled reward 0 stands for.
        reward_high: what 1 stands for.

    Raises:
        GateError: where the arrays disagree or a value is out of range.
    """
    p, a, r, mu = _checked(pmf, action, reward, propensity)
    z = NormalDist().inv_cdf(confidence)
    taken, favourite = p[np.arange(a.size), a], p.max(axis=1)
    surprise = -_log(taken)
    if mu is None:
        mean_reward = np.bincount(a, r, minlength=p.shape[1]) / np.maximum(np.bincount(a, minlength=p.shape[1]), 1)
        excess = _interval(surprise + (p * _log(p)).sum(axis=1), unit, z)
        value = _interval(p @ mean_reward - mean_reward[a], unit, z)
        calibration = None
    else:
        excess = _interval(surprise + np.log(mu), unit, z)
        value = _interval((taken / mu - 1.0) * r, unit, z)
        calibration = _interval(np.abs(taken - mu), unit, z)
    agreed = p.argmax(axis=1) == a
    agreement = _interval(agreed - favourite, unit, z)

    scale, production = reward_high - reward_low, reward_low + (reward_high - reward_low) * float(r.mean())
    tolerance = VALUE_TOLERANCE * max(abs(production), scale * float(r.std()))
    # A clone may predict better than its own entropy says only by being badly calibrated; better than
    # production's entropy it cannot be. Hence both sides without propensities and one side with them.
    floor = -LOG_LOSS_TOLERANCE if mu is None else -np.inf
    value = _Interval(scale * value.mean, scale * value.low, scale * value.high)
    failed = [
        name
        for name, good in (
            ("its log-loss", excess.inside(floor, LOG_LOSS_TOLERANCE)),
            ("its probabilities", calibration is None or calibration.high <= CALIBRATION_TOLERANCE),
            ("its favourite actions", agreement.inside(-AGREEMENT_TOLERANCE, AGREEMENT_TOLERANCE)),
            ("its value", value.inside(-tolerance, tolerance)),
        )
        if not good
    ]
    return CloneCheck(
        equivalent=not failed,
        confidence=confidence,
        rows=a.size,
        log_loss=float(surprise.mean()),
        entropy=None if mu is None else float(-np.log(mu).mean()),
        agreement=float(agreed.mean()),
        expected_agreement=float(favourite.mean()),
        calibration=None if calibration is None else calibration.mean,
        value_difference=value.mean,
        value_lower=value.low,
        value_upper=value.high,
        tolerance=tolerance,
        sentence=_sentence(failed, value, tolerance, production, logged=mu is not None),
    )


def _interval(values: Floats, unit: ArrayLike | None, z: float) -> _Interval:
    """Mean ± z standard errors, clustered by unit."""
    sums = ClusteredSums(2, clustered=unit is not None)
    sums.update(np.stack([np.ones_like(values), values], axis=1), unit)
    mean, error = sums.ratio([0.0, 1.0], [1.0, 0.0])
    return _Interval(mean, mean - z * error, mean + z * error)


def _log(p: Floats) -> Floats:
    return np.log(np.maximum(p, _LEAST_PROBABILITY))


def _sentence(failed: list[str], value: _Interval, tolerance: float, production: float, *, logged: bool) -> str:
    """ "equivalent to production: yes/no, by how much"."""
    if production > 0:
        between = f"between {value.low / production:+.2%} and {value.high / production:+.2%} of production's"
        allowed = f"±{tolerance / production:.2%}"
    else:
        between = f"between {value.low:+.4g} and {value.high:+.4g} per decision"
        allowed = f"±{tolerance:.4g}"
    differs = f"its value differs by {between} (allowed: {allowed})"
    caution = "" if logged else ", as far as can be told without logged propensities"
    if not failed:
        return f"equivalent to production: yes, {differs}{caution}"
    doubts = failed[0] if len(failed) == 1 else f"{', '.join(failed[:-1])} and {failed[-1]}"
    return f"equivalent to production: no, {doubts} may differ by more than is allowed; {differs}{caution}"


def _checked(
    pmf: ArrayLike, action: ArrayLike, reward: ArrayLike, propensity: ArrayLike | None
) -> tuple[Floats, NDArray[np.integer], Floats, Floats | None]:
    p = np.asarray(pmf, dtype=np.float64)
    a = np.asarray(action)
    r = np.asarray(reward, dtype=np.float64)
    mu = None if propensity is None else np.asarray(propensity, dtype=np.float64)
    if p.ndim != 2 or a.shape != p.shape[:1] or r.shape != a.shape or (mu is not None and mu.shape != a.shape):
        raise GateError(
            "the clone's probabilities, actions, rewards and propensities must have the same rows",
            example=(p.shape, a.shape, r.shape),
            remedy="Pass the validation rows for all of them.",
        )
    if a.size < 2:
        raise GateError("at least two rows are needed to check the clone", remedy="Keep more validation rows.")
    good = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1.0) <= 1e-5)
    good &= (a >= 0) & (a < p.shape[1]) & (r >= 0) & (r <= 1 + 1e-12)
    if mu is not None:
        good &= (mu > 0) & (mu <= 1 + 1e-6)
    if not good.all():
        raise GateError(
            "probabilities must sum to 1, actions be indices, rewards lie in [0, 1], propensities in (0, 1]",
            count=int((~good).sum()),
            example=int(np.flatnonzero(~good)[0]),
            remedy="The example is the first such row; mend the log.",
        )
    return p, a, r, mu
