"""One table of every estimator, for whoever wants to compare them, and the weights of groups of actions.

In: what a log and a policy say about each row. Out: a list of Estimate records. The package's public names
lead here; nothing in it decides a verdict.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.estimators.estimator import LAM, TAU, Estimate, Estimator
from jumar.evaluate.estimators.least_squares import mrdr
from jumar.evaluate.estimators.sums import checked_codes, checked_probabilities, checked_propensities, checked_vector

_SAME_PROPENSITY = 1e-4


def marginal_weights(pmf: ArrayLike, production: ArrayLike, groups: ArrayLike, observed: ArrayLike) -> Floats:
    """[rows] Σ_a π(a|x)·p(e|a) / Σ_a μ(a|x)·p(e|a), for the group e that was observed.

    See "Off-policy evaluation for large action spaces via embeddings" by Saito & Joachims
    (https://arxiv.org/abs/2202.06317). The weights are right where the reward depends on the action only
    through its group.

    Args:
        pmf: [rows, actions] π.
        production: [rows, actions] μ.
        groups: [actions] the group of each action, from 0 on; or [actions, groups] p(e|a).
        observed: [rows] the group of what was done.

    Raises:
        GateError: arrays that do not fit together, or a group that production could not have shown.
    """
    pi = checked_probabilities(pmf, np.shape(observed)[0], "the policy's probabilities")
    mu = checked_probabilities(production, pi.shape[0], "production's probabilities")
    if mu.shape != pi.shape:
        raise GateError(
            "the policy and production must choose among the same actions",
            example=(pi.shape, mu.shape),
            remedy="Give an action that one of them never takes the probability 0.",
        )
    p = _group_probabilities(groups, pi.shape[1])
    e = checked_codes(observed, pi.shape[0], p.shape[1], "observed groups")
    each = np.arange(pi.shape[0])
    above, below = (pi @ p)[each, e], (mu @ p)[each, e]
    if (below <= 0).any():
        raise GateError(
            "production could not have shown these groups",
            count=int((below <= 0).sum()),
            example=int(e[below <= 0][0]),
            remedy="Check the groups and production's probabilities.",
        )
    return above / below


def _group_probabilities(groups: ArrayLike, actions: int) -> Floats:
    """[actions, groups] p(e|a)."""
    given = np.asarray(groups)
    if given.ndim == 2:
        return checked_probabilities(given, actions, "groups")
    codes = checked_codes(given, actions, int(given.max(initial=0)) + 1, "groups")
    return np.eye(int(codes.max(initial=0)) + 1)[codes]


def estimator_table(
    action: ArrayLike,
    reward: ArrayLike,
    propensity: ArrayLike,
    pmf: ArrayLike,
    *,
    predictions: ArrayLike | None = None,
    features: ArrayLike | None = None,
    production: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    unit: ArrayLike | None = None,
    confidence: float = 0.95,
    tau: float = TAU,
    lam: float = LAM,
    folds: int = 2,
    ridge: float = 1.0,
    seed: int = 0,
) -> list[Estimate]:
    """Every estimator that the arguments allow, in one order.

    Always "logged", "ips" and "snips". With ``predictions`` also "dm", "dr", "sndr", "switch_dr" and "dros";
    with ``groups`` and ``production`` also "mips"; with ``features`` also "mrdr_dm" and "mrdr".

    Args:
        action: [rows] codes of the logged actions.
        reward: [rows] in [0, 1].
        propensity: [rows] μ(a|x) of the logged actions.
        pmf: [rows, actions] π.
        predictions: [rows, actions] q̂, fitted on other rows.
        features: [rows, p] what the more robust q̂ is fitted on, by cross-fitting.
        production: [rows, actions] μ.
        groups: [actions] the group of each action, or [actions, groups] p(e|a).
        observed: [rows] the group that was seen; needed where p(e|a) is given.
        unit: [rows] integer codes, where units repeat.
        confidence: of every interval.
        tau, lam: of Switch-DR and DRos; declare them before looking.
        folds, ridge, seed: of ``more_robust``.

    Raises:
        GateError: arrays that do not fit together, or values that cannot be.
    """
    r = checked_vector(reward, np.size(reward), "rewards")
    pi = checked_probabilities(pmf, r.size, "the policy's probabilities")
    a = checked_codes(action, r.size, pi.shape[1], "actions")
    mu = checked_propensities(propensity, r.size)
    each = np.arange(r.size)
    q = None if predictions is None else np.asarray(predictions, dtype=np.float64)
    if q is not None and not (q.shape == pi.shape and np.isfinite(q).all()):
        raise GateError(
            "predictions must be one finite number for each action of each row",
            example=(q.shape, pi.shape),
            remedy="Pass an array [rows, actions].",
        )
    estimator = Estimator(clustered=unit is not None, confidence=confidence, tau=tau, lam=lam, guaranteed=False)
    estimator.update(
        pi[each, a] / mu,
        r,
        prediction=None if q is None else q[each, a],
        direct=None if q is None else (pi * q).sum(axis=1),
        marginal=_marginal(pi, mu, a, production, groups, observed),
        unit=unit,
    )
    found = estimator.estimates()
    if features is None:
        return found
    return [
        *found,
        *mrdr(features, a, r, mu, pi, folds=folds, ridge=ridge, unit=unit, seed=seed, confidence=confidence),
    ]


def _marginal(
    pi: Floats,
    mu: Floats,
    action: NDArray[np.int64],
    production: ArrayLike | None,
    groups: ArrayLike | None,
    observed: ArrayLike | None,
) -> Floats | None:
    """The weights of groups, where groups are known."""
    if groups is None:
        return None
    given = np.asarray(groups)
    if production is None or (observed is None and given.ndim != 1):
        raise GateError(
            "groups of actions need production's probabilities, and p(e|a) the groups that were seen",
            remedy="Pass production= and observed=.",
        )
    full = checked_probabilities(production, mu.size, "production's probabilities")
    if full.shape == pi.shape:
        apart = np.abs(full[np.arange(mu.size), action] - mu) > _SAME_PROPENSITY
        if apart.any():
            raise GateError(
                "production's probabilities and the propensities contradict each other",
                count=int(apart.sum()),
                example=(float(full[apart, action[apart]][0]), float(mu[apart][0])),
                remedy="Take both from the same log.",
            )
    codes = checked_codes(given, pi.shape[1], int(given.max(initial=0)) + 1, "groups") if given.ndim == 1 else given
    return marginal_weights(pi, full, codes, codes[action] if observed is None else observed)
