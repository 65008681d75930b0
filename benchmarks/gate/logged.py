"""Small worlds as tables of outcomes: context × action × what it brought, each with its probability.

In: probabilities of contexts, of production and of policies, and of what actions bring. Out: ``ClaimRows`` with one row
for each outcome, which go through the same functions as the rows of a log. The tables of the benchmark import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jumar.evaluate.claims import Claim, ClaimRows, variable
from jumar.evaluate.growth import Floats

VALUE = Claim(kind="value", metric="reward")


@dataclass(frozen=True)
class Logged:
    """One row for each outcome.

    Attributes:
        chance: [outcomes] probability of each.
        context: [outcomes] index.
        rows: what the log would hold.
    """

    chance: Floats
    context: np.ndarray
    rows: ClaimRows

    def of(self, *claims: Claim) -> Floats:
        """[outcomes, claims·K] variables of the claims, all policies of a claim side by side."""
        return np.concatenate([variable(claim, self.rows) for claim in claims], axis=1)


def logged(
    contexts: ArrayLike, production: ArrayLike, policies: ArrayLike, marks: Sequence[Sequence[float]], law: ArrayLike
) -> Logged:
    """Spell a world out.

    Args:
        contexts: [X] probabilities.
        production: [X, A].
        policies: [X, K, A].
        marks: [M][1 + metrics] what an action can bring: the reward, then other metrics, all in [0, 1].
        law: [X, A, M] probabilities of the marks.
    """
    p, mu, pi = (np.asarray(one, dtype=float) for one in (contexts, production, policies))
    what, q = np.asarray(marks, dtype=float), np.asarray(law, dtype=float)
    for one in (p, mu, pi, q):
        assert np.allclose(one.sum(axis=-1), 1.0)
        assert np.all(one >= 0)
    x, a, m = (one.ravel() for one in np.meshgrid(*(np.arange(size) for size in q.shape), indexing="ij"))
    possible = mu[x, a] > 0
    x, a, m = x[possible], a[possible], m[possible]
    rows = ClaimRows(
        weight=pi[x, :, a] / mu[x, a][:, None],
        reward=what[m, 0],
        action=a,
        metrics=what[m, 1:] if what.shape[1] > 1 else None,
        pmf=pi[x],
        production=mu[x],
    )
    return Logged(p[x] * mu[x, a] * q[x, a, m], x, rows)


def coin(rates: ArrayLike) -> Floats:
    """[..., 2] law of a reward that is 1 with the given probability, for marks ((0,), (1,))."""
    rate = np.asarray(rates, dtype=float)
    return np.stack([1.0 - rate, rate], axis=-1)


BINARY = ((0.0,), (1.0,))
