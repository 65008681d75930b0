"""How often do the intervals of the sequence estimators hold the true value, and where do they not?

In: nothing. Out: coverage of 95% intervals and root mean square errors, on logs of a process of two states whose values
follow from linear equations. ``estimators.py --sequences`` prints them; it exits 1 if an interval that should cover
does not, or if a negative control covers all the same. Nothing is promised of fitted Q evaluation: its record says
``kind="estimate"``, it knows nothing of a model that is wrong, and no gate takes it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from jumar.evaluate.sequences import linear_fitted_q, per_decision, sequence_table

Floats = NDArray[np.float64]
START, PAYS = np.array([0.6, 0.4]), np.array([[0.7, 0.3], [0.2, 0.5]])
MOVE = np.array([[[0.3, 0.7], [0.8, 0.2]], [[0.7, 0.3], [0.2, 0.8]]])
PRODUCTION, NEAR, FAR = (np.array(rows) for rows in ([[0.6, 0.4]] * 2, [[0.45, 0.55], [0.7, 0.3]], [[0.05, 0.95]] * 2))
GAMMA = 0.95
COVERS, BREAKS = (0.935, 0.965), 0.90
WEIGHTED = ("per_decision", "weighted_per_decision", "sequential_dr", "weighted_dr")
FITTED = "fitted Q, an estimate"
BY_STEP, ALONE, ENDED = "per_decision, steps by themselves", "per_decision, units ignored", "fitted Q, cut off = ended"
NAMES = (*WEIGHTED, FITTED, BY_STEP, ALONE, ENDED)


@dataclass(frozen=True)
class Case:
    """A process and a policy, and which intervals must cover or must not.

    Attributes:
        name: as in the table.
        covers, breaks: names of estimators.
        policy: [states, actions].
        ends: chance that an episode ends after a decision.
        wrong: the predictions given are far too high in one state, and fitted values do not see the state.
        most: decisions after which episodes are cut off.
        repeats: episodes of one unit, which share how lucky it is.
        fitted: how many resamples fitted values take; 0: they are left out.
    """

    name: str
    covers: tuple[str, ...]
    breaks: tuple[str, ...]
    policy: Floats = field(default_factory=lambda: NEAR)
    ends: float = 0.25
    wrong: bool = False
    most: int = 60
    repeats: int = 1
    fitted: int = 0

    def values(self, policy: Floats, most: int | None = None) -> Floats:
        """[states, actions] of a policy that goes on until an episode ends, or for so many decisions."""
        step = GAMMA * (1.0 - self.ends) * np.einsum("sat,tb->satb", MOVE, policy).reshape(4, 4)
        if most is None:
            return np.linalg.solve(np.eye(4) - step, PAYS.ravel()).reshape(2, 2)
        found = PAYS.ravel()
        for _ in range(most - 1):
            found = PAYS.ravel() + step @ found
        return found.reshape(2, 2)

    def truth(self, most: int | None = None) -> float:
        """The policy's value."""
        return float(START @ (self.policy * self.values(self.policy, most)).sum(axis=1))


def cases() -> list[Case]:
    return [
        Case("all is well", WEIGHTED, (BY_STEP,), fitted=40),
        Case("q̂ wrong, states unseen", WEIGHTED, (FITTED,), wrong=True, fitted=40),
        Case("units come again", WEIGHTED, (ALONE,), repeats=10),
        Case("cut off", WEIGHTED, (FITTED, ENDED), most=3, fitted=40),
        Case("few that count", (), WEIGHTED[:1], policy=FAR, ends=0.04),
    ]


@dataclass(frozen=True)
class Rows:
    """Columns over the rows of whole episodes, and the unit of each episode."""

    state: NDArray[np.int64]
    action: NDArray[np.int64]
    reward: Floats
    discount: Floats
    starts: NDArray[np.int64]
    unit: NDArray[np.int64]


def drawn(case: Case, episodes: int, rng: np.random.Generator) -> Rows:
    """A log that production wrote."""
    unit = np.arange(episodes) // case.repeats
    luck = 0.2 * (2 * rng.integers(0, 2, episodes)[unit] - 1) * (case.repeats > 1)
    alive, state, columns = np.arange(episodes), (rng.random(episodes) < START[1]).astype(int), []
    for _ in range(case.most):
        action = (rng.random(alive.size) < PRODUCTION[state, 1]).astype(int)
        reward = (rng.random(alive.size) < PAYS[state, action] + luck[alive]).astype(float)
        going = rng.random(alive.size) >= case.ends
        columns.append((alive, state, action, reward, np.where(going, GAMMA, 0.0)))
        state = (rng.random(alive.size) < MOVE[state, action, 1]).astype(int)
        alive, state = alive[going], state[going]
    episode, at, action, reward, discount = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(episode, kind="stable")
    starts = np.flatnonzero(np.diff(episode[order], prepend=-1))
    return Rows(at[order], action[order], reward[order], discount[order], starts, unit)


def intervals(case: Case, episodes: int, rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of every estimator, and of the controls, on a log of its own."""
    log = drawn(case, episodes, rng)
    weight = case.policy[log.state, log.action] / PRODUCTION[log.state, log.action]
    q = 0.8 * case.values(case.policy) + 3.0 * case.wrong * np.array([[1.0, 1.0], [0.0, 0.0]])
    model: dict[str, Any] = {"action": log.action, "q": q[log.state], "pmf": case.policy[log.state]}
    given = weight, log.reward, log.discount, log.starts
    found = {one.name: one for one in sequence_table(*given, **model, unit=log.unit)[1:]}
    if case.repeats > 1:
        found[ALONE] = per_decision(*given)
    shown = {name: (one.value, one.low, float(one.high or 0.0)) for name, one in found.items()}
    if BY_STEP in case.breaks:
        alone, scale = per_decision(*given[:3], np.arange(weight.size)), weight.size / episodes
        shown[BY_STEP] = (scale * alone.value, scale * alone.low, scale * float(alone.high or 0.0))
    if case.fitted:
        x = np.ones((weight.size, 1)) if case.wrong else np.eye(2)[log.state]
        shown[FITTED] = _fitted(case, log, x, log.discount)
        if ENDED in case.breaks:
            last = np.append(log.starts[1:], weight.size) - 1
            shown[ENDED] = _fitted(case, log, x, np.where(np.isin(np.arange(weight.size), last), 0.0, log.discount))
    return shown


def _fitted(case: Case, log: Rows, x: Floats, discount: Floats) -> tuple[float, float, float]:
    pmf = case.policy[log.state]
    one = linear_fitted_q(
        x, log.action, log.reward, discount, pmf, log.starts, ridge=0.0, resamples=case.fitted, tolerance=1e-5
    )
    assert one.kind == "estimate"
    return one.value, one.low, one.high


@dataclass
class Score:
    """Hits of intervals and squared errors of values, by estimator."""

    runs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    hits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    squares: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def coverage(self, name: str) -> float:
        return self.hits[name] / self.runs[name]

    def as_expected(self, name: str, case: Case) -> bool:
        """Whether it covers where it must, or else breaks, by two-sided 99.8% Clopper–Pearson limits."""
        k, n = self.hits[name], self.runs[name]
        low = 0.0 if k == 0 else float(beta.ppf(0.001, k, n - k + 1))
        high = 1.0 if k == n else float(beta.isf(0.001, k + 1, n - k))
        return high >= COVERS[0] and low <= COVERS[1] if name in case.covers else high < BREAKS


def score(case: Case, episodes: int, runs: int, fitted_runs: int, seed: int) -> Score:
    """Coverage over logs with seeds of their own. Fitted values are of episodes that are not cut off."""
    result, endless, within = Score(), case.truth(), case.truth(case.most)
    for run, stream in enumerate(np.random.SeedSequence(seed).spawn(runs)):
        quick = case if run < fitted_runs else replace(case, fitted=0)
        for name, (value, low, high) in intervals(quick, episodes, np.random.default_rng(stream)).items():
            truth = endless if name in (FITTED, ENDED) else within
            result.runs[name] += 1
            result.hits[name] += low <= truth <= high
            result.squares[name] += (value - truth) ** 2
    return result


def main(quick: bool) -> int:
    episodes, runs, fitted = 1_000, 300 if quick else 2_000, 100 if quick else 400
    print(f"{runs:,} logs of {episodes:,} episodes, {fitted:,} of them for fitted values; 95% intervals\n")
    every = cases()
    scores = [score(case, episodes, runs, fitted, seed=500 + index) for index, case in enumerate(every)]
    head = " | ".join(case.name for case in every)
    print(f"| interval holds the truth | {head} |\n|---|{'---:|' * len(every)}")
    missed = []
    for name in NAMES:
        cells = []
        for case, found in zip(every, scores, strict=True):
            text = f"{found.coverage(name):.1%}" if found.runs[name] else ""
            cells.append(f"**{text}**" if name in case.covers else f"*{text}*" if name in case.breaks else text)
            if name in (*case.covers, *case.breaks) and not found.as_expected(name, case):
                missed.append(f"{name}, {case.name}: {text}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        "\nBold: must cover. Italics: negative controls, which must stay below 90%. Nothing was promised of the others."
    )
    print(f"Root mean square errors, in thousandths:\n\n| estimator | {head} |\n|---|{'---:|' * len(every)}")
    for name in (*WEIGHTED, FITTED):
        errors = [
            f"{1_000 * (found.squares[name] / found.runs[name]) ** 0.5:.1f}" if found.runs[name] else ""
            for found in scores
        ]
        print(f"| {name} | {' | '.join(errors)} |")
    print(f"\nMissed: {'; '.join(missed) or 'nothing'}")
    return 1 if missed else 0
