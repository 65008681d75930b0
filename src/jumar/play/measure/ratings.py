"""How sure figures about games are: shares with intervals, and Elo. It knows no game, only who won on which map.

In: per map, how often something happened of how many times it could have; or a table of games. Out: ``Share`` and
``Rating``, with 95% intervals. Everything is resampled or averaged by map: what is played on one map hangs together, so
a map counts as one observation however many games it had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Z = 1.959964
PER_LOGIT = 400 / np.log(10)  # a lead of 400 points of Elo makes a win ten times as likely as a loss


@dataclass(frozen=True)
class Share:
    """A part of a whole, from 0 to 1, or how much larger one is than another, from −1 to 1.

    Attributes:
        mean: the figure.
        low: lower end of its 95% interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Rating:
    """A strength in points of Elo.

    Attributes:
        elo: the rating.
        low: lower end of its 95% interval; None if the games bound it from above only.
        high: upper end; None if the games bound it from below only, as for who never lost.
    """

    elo: float
    low: float | None
    high: float | None


def share(hits: np.ndarray, trials: np.ndarray) -> Share | None:
    """Hits over trials, with an interval from how the maps differ; None if nothing was tried.

    Maps without any trial say nothing and are left out. Arguments as in ``mean``.
    """
    tried = np.asarray(trials) > 0
    return mean(np.asarray(hits)[tried], np.asarray(trials)[tried]) if tried.any() else None


def lead(one: np.ndarray, other: np.ndarray, trials: np.ndarray) -> Share | None:
    """How much larger the share of one is than that of another, of the same trials; arguments as in ``mean``."""
    half = share((np.asarray(one) - other + trials) / 2, trials)
    return None if half is None else Share(2 * half.mean - 1, 2 * half.low - 1, 2 * half.high - 1)


def surplus(hits: np.ndarray, trials: np.ndarray, usual: np.ndarray, chances: np.ndarray) -> Share | None:
    """How much larger one share is than another, each of its own trials on the same maps; None without both.

    The interval is of the difference, not of either: what moves both on a map does not make it wider. As in ``mean``
    four maps of average size are added, here such that they differ most: twice all of one and none of the other.

    Args:
        hits: [maps], from 0 to what was tried.
        trials: [maps].
        usual: [maps], from 0 to the chances.
        chances: [maps], the trials of the other share.
    """
    x, n, y, m = (np.asarray(counts, np.float64) for counts in (hits, trials, usual, chances))
    tried = (n > 0) | (m > 0)
    if not n.any() or not m.any():
        return None
    x, n, y, m = x[tried], n[tried], y[tried], m[tried]
    found = x.sum() / n.sum() - y.sum() / m.sum()
    n, m = (np.append(counts, [counts.mean()] * 4) for counts in (n, m))
    x, y = np.append(x, n[-4:] * [1, 1, 0, 0]), np.append(y, m[-4:] * [0, 0, 1, 1])
    part, other = x.sum() / n.sum(), y.sum() / m.sum()
    middle = part - other
    half = Z * np.sqrt((((x - part * n) / n.sum() - (y - other * m) / m.sum()) ** 2).sum())
    return Share(float(found), float(max(min(middle - half, found), -1)), float(min(max(middle + half, found), 1)))


def mean(hits: np.ndarray, trials: np.ndarray | None = None) -> Share:
    """Hits over trials, with a 95% interval from how the maps differ; one map or more, something tried on each.

    See Agresti and Coull, "Approximate Is Better than 'Exact' for Interval Estimation of Binomial Proportions", The
    American Statistician 52(2), 1998: two successes and two failures are added, here as four maps of average size,
    before the usual interval is taken. So 0 of n is not 0 ± 0. With more than one trial on a map the variance is
    that of a ratio of two sums over maps; with many on each the interval errs to the wide side while maps are few.
    It holds the truth in 92 of 100 cases or more from ten maps on, unless one map in ten has most of the trials: then
    a hundred maps are needed.

    Args:
        hits: [maps], from 0 to what was tried.
        trials: [maps], by default 1 everywhere.
    """
    hits = np.asarray(hits, np.float64)
    trials = np.ones_like(hits) if trials is None else np.asarray(trials, np.float64)
    added = trials.mean()
    x, n = np.append(hits, [0, 0, added, added]), np.append(trials, [added] * 4)
    middle = x.sum() / n.sum()
    half = Z * np.sqrt(((x - middle * n) ** 2).sum()) / n.sum()
    part = hits.sum() / trials.sum()
    return Share(float(part), float(max(min(middle - half, part), 0)), float(min(max(middle + half, part), 1)))


def elo(scored: np.ndarray, anchor: int, seed: int, resamples: int = 1_000) -> list[Rating]:
    """Ratings of maximum likelihood from a whole table of games, the anchor's being 0.

    See Bradley and Terry, "Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons", Biometrika
    39, 1952. A draw counts as half a win. To the games of each one win is added and one loss, shared out among all
    others: without them who wins all has no finite rating. Such a rating is made by what is added, so it grows with
    the number of games, and its interval is open: by Ford, "Solution of a Ranking Problem from Binary Comparisons",
    American Mathematical Monthly 64(8), 1957, it is bounded above only if the anchor has scored against it, or against
    somebody who has, and so on. The little that is added does not grow with the number of players: a win of everybody
    over everybody would drown the few points that a weak anchor makes, and the more players, the nearer to it all
    would seem to be. Where the anchor has made but a point or two of everybody, ratings are still too near to it.

    A rating is how one does in these games, against these players, over the anchor. Where some beat each other in a
    circle it predicts no single pairing. Ends of intervals move together, as the anchor's games are in all of them: two
    players whose intervals overlap may well be told apart by the games between them.

    Intervals are from the Bayesian bootstrap over maps: every map and every added share gets a weight that is drawn
    from the exponential distribution. See Rubin, "The Bayesian Bootstrap", The Annals of Statistics 9(1), 1981. No map
    is ever left out altogether, so whoever lost on one map only has a finite rating in every resample; and as what is
    added varies, maps that all ended alike don't make a rating that is certain. With 20 maps or fewer they are too
    narrow: they hold the truth in 85 to 90 of 100 cases.

    Args:
        scored: [players, players, maps] what the first made of the second when moving first: 1, ½ or 0. The diagonal
            does not count.
        anchor: whose rating is 0.
        seed: of the bootstrap.
        resamples: how many.
    """
    players, _, maps = scored.shape
    apart = ~np.eye(players, dtype=bool)
    # What i made of j moving first, and moving second, where it is what j left.
    both = (scored + 1 - scored.swapaxes(0, 1)) * apart[..., None]
    won = both.reshape(-1, maps)
    rng = np.random.default_rng(seed)
    weights = np.concatenate([np.ones((1, maps)), rng.exponential(size=(resamples, maps))])
    shares = apart.reshape(-1) / max(players - 1, 1)
    added = shares * np.concatenate([np.ones((1, players**2)), rng.exponential(size=(resamples, players**2))])
    table = (weights @ won.T + added).reshape(-1, players, players)
    strengths = _fitted(table, anchor) * PER_LOGIT
    bounds = np.quantile(strengths[1:], [0.025, 0.975], axis=0)
    reaches = _reaches(np.any(both > 0, axis=2))
    return [
        Rating(
            float(strengths[0, i]),
            float(bounds[0, i]) if reaches[i, anchor] else None,
            float(bounds[1, i]) if reaches[anchor, i] else None,
        )
        for i in range(players)
    ]


def _fitted(won: np.ndarray, anchor: int) -> np.ndarray:
    """Strengths [tables, players] by Newton's method, in logits; [tables, i, j] is how much i won against j."""
    tables, players, _ = won.shape
    games = won + won.swapaxes(1, 2)
    others = np.delete(np.arange(players), anchor)
    strengths = np.zeros((tables, players))
    for _ in range(200):
        expected = games / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
        slope = (won - expected).sum(axis=2)
        steep = expected * expected.swapaxes(1, 2) / np.where(games > 0, games, 1)
        curve = np.einsum("tij,ik->tik", steep.sum(axis=2, keepdims=True), np.eye(players)) - steep
        inner = curve[:, others[:, None], others]
        step = np.linalg.solve(inner, slope[:, others, None])[..., 0]
        # A step of more than one logit leaves the region in which the curve says where to go.
        size = np.abs(step).max(axis=1, keepdims=True, initial=0)
        strengths[:, others] += step / np.maximum(size, 1)
        if size.max(initial=0) < 1e-9:
            break
    return strengths


def _reaches(scored: np.ndarray) -> np.ndarray:
    """[i, j] whether i has scored against j, or against somebody who has, and so on."""
    reached = scored | np.eye(len(scored), dtype=bool)
    for _ in range(len(scored)):
        reached = reached @ reached
    return reached
