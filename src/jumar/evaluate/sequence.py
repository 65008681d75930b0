"""In which order candidates are tested, at which error, and which of those that passed is released.

In: figures of TRAIN rows that fitted nothing. Out: orders, indices, error probabilities. Plan and gate import it.

More confidence never means more deviation. The primary is the argmax over k of mean_k − c·s_k, where c grows with the
confidence and s_k never falls along the path: if c' > c, an argmax at c' has no larger index than one at c (add the two
inequalities of optimality). The gate releases the most deviating candidate that passed and lies not beyond the primary.
Both sets shrink as α shrinks, hence so does what is released.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats

PRIMARY_SHARE = 0.9
# No certificate on fewer effective rows than this: see weights.
LEAST_ESS = 50.0


def order_of_tests(z: Sequence[float], expected_ess: Sequence[float | None]) -> list[int]:
    """By falling force of the weakest claim (``wagers.force``); those that expect too few effective rows come last.

    Args:
        z: [K] validation z-scores, as far as bets can make use of them.
        expected_ess: [K] effective rows expected in the gate, None where unknown.
    """

    def key(k: int) -> tuple[bool, float, int]:
        ess = expected_ess[k]
        return (ess is not None and ess < 2.0 * LEAST_ESS, -z[k], k)

    return sorted(range(len(z)), key=key)


def primary_candidate(
    gain: Floats, second_moment: Floats, rows: int, alpha: float, among: Sequence[int] | None = None
) -> int:
    """The index with the best expected lower bound, gain − sqrt(2·ln(1/α)/rows)·s.

    s is the largest root mean square of d up to that index. Where no expected bound is positive, the best
    ratio gain/s takes over; at the α where the last bound turns negative both name the same candidate.

    Args:
        gain: [K] validation gains, indexed from least to most deviation.
        second_moment: [K] E[d²] > 0.
        rows: rows of the gate.
        alpha: error probability.
        among: the indices to choose from, chosen without regard to α; all by default.
    """
    places = np.arange(gain.size) if among is None else np.sort(np.asarray(among))
    gain, spread = gain[places], np.sqrt(np.maximum.accumulate(second_moment[places]))
    cost = math.sqrt(2.0 * math.log(1.0 / alpha) / rows)
    ratio = gain / spread
    best = np.argmax(ratio) if float(ratio.max()) <= cost else np.argmax(gain - cost * spread)
    return int(places[int(best)])


def bound_alpha(alpha: float, primary: int, candidates: int) -> list[float]:
    """How α is divided among the lower bounds that might be printed.

    The primary has 0.9·α, the others share 0.1·α evenly. Bound k is false with probability at most α_k
    (``Capital.lower_bound``). Whichever k is printed, and however it was chosen, a false printed bound
    means that some bound is false; by the union bound that has probability at most Σ α_k = α.
    """
    if candidates == 1:
        return [alpha]
    others = (1.0 - PRIMARY_SHARE) * alpha / (candidates - 1)
    return [PRIMARY_SHARE * alpha if k == primary else others for k in range(candidates)]


def walk(passing: Sequence[bool] | NDArray[np.bool_], order: Sequence[int]) -> list[int]:
    """Candidates that pass, in the order of their tests, up to the first that fails.

    Args:
        passing: [K] whether each passes all that is demanded of it, each claim at the full α.
        order: a permutation of the candidates.
    """
    passed: list[int] = []
    for k in order:
        if not passing[k]:
            break
        passed.append(k)
    return passed


def released_candidate(passed: Sequence[int], primary: int, sound: Sequence[bool]) -> int | None:
    """The passed and sound candidate nearest to the primary from the side of less deviation.

    With bets and order that ignore α, fewer candidates pass and the primary moves back as α shrinks. A
    maximum over a smaller set is no larger: a stricter confidence never releases a larger deviation.
    """
    return max((k for k in passed if k <= primary and sound[k]), default=None)
