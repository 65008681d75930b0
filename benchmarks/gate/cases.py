"""The null cases: each world in which a release is false, beside the usual mistake that releases in it.

In: nothing. Out: ``CASES``. ``nulls`` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gate import episodes
from gate import null_worlds as worlds
from gate.core import BETTING_ALPHA, Floats, Outcomes, level, log_capital, log_refuting, log_sums, t_level
from jumar.evaluate.capital import Bets, default_bets

# [runs, parts, outcomes] counts → [runs] the smallest α at which something is released.
Levels = Callable[[Floats, Outcomes, list[Bets]], Floats]


@dataclass(frozen=True)
class Case:
    """A world in which a release is false.

    Attributes:
        name: as in the table.
        outcomes: given the pieces of evidence.
        control_name: the mistake in words.
        control: the mistake.
        mean: the true average, where what is false is a bound above it, and not a release.
        rows_per_piece: decisions that make one piece of evidence.
    """

    name: str
    outcomes: Callable[[int], Outcomes]
    control_name: str
    control: Levels
    mean: float | None = None
    rows_per_piece: int = 1

    def gate(self, counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
        """[runs] the smallest α at which a false release happens at any look."""
        if self.mean is not None:
            return level(log_refuting(counts[:, -1], outcomes.y[:, 0], bets[0], self.mean))
        false = outcomes.means <= 1e-12
        # All up to the first false one must pass, be they candidates in the order of tests, or claims.
        needed = int(np.argmax(false[-1])) + 1 if outcomes.sequence else len(bets)
        levels = [level(log_capital(counts, outcomes.y[:, k], bets[k])) for k in range(needed)]
        looks: NDArray[np.bool_] = np.any(false[:, :needed], axis=1)
        assert looks[-1]
        return np.max(levels, axis=0)[:, looks].min(axis=1)


def t_test(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The usual test at the end."""
    return t_level(counts[:, -1], outcomes.y[:, 0])


def t_test_at_every_look(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The usual test, looked at again and again."""
    return t_level(counts, outcomes.y[:, 0]).min(axis=1)


def t_bound(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The usual lower bound of the gain."""
    return t_level(counts[:, -1], outcomes.y[:, 0] - worlds.RARE_GAIN)


def second_half_alone(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """A gate that forgets what was."""
    half = counts.shape[1] // 2
    return level(log_capital(counts[:, -1] - counts[:, half - 1], outcomes.y[:, 0], bets[0]))


def best_look(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """Evidence of an early look, taken as a claim about the whole."""
    return level(log_capital(counts, outcomes.y[:, 0], bets[0])).min(axis=1)


def first_claim_alone(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The guardrail is not asked."""
    return level(log_capital(counts[:, -1], outcomes.y[:, 0], bets[0]))


def per_decision(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The same rows, each decision as evidence of its own: k clicks of a user are k rows with (w − 1)·1."""
    clicks = np.tile(np.arange(worlds.USER_ROWS + 1), 2)
    sign = np.sign(outcomes.y[:, 0])
    rows = int(counts[0, -1].sum()) * worlds.USER_ROWS
    square = float((outcomes.chance @ clicks).mean()) / worlds.USER_ROWS
    one = default_bets(square, rows, BETTING_ALPHA)
    growth = clicks[:, None] * np.log1p(np.multiply.outer(sign, one.fractions))
    return level(log_sums(counts[:, -1] @ growth + one.log_prior))


def instead(make: Callable[[], Floats]) -> Levels:
    """The same kind of capital on another variable of the same outcomes, cut off at −1."""

    def control(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
        y = np.maximum(make(), -1.0)
        square = float((outcomes.chance @ np.square(y)).mean())
        return level(log_capital(counts[:, -1], y, default_bets(square, int(counts[0, -1].sum()), BETTING_ALPHA)))

    return control


def normalised() -> Floats:
    """Weights divided by their mean, which is what self-normalising does."""
    rows = worlds.untried().rows
    return (rows.weight[:, 0] / 0.9 - 1.0) * rows.reward


def not_rescaled() -> Floats:
    """(w − 1)·r with r in [−1, 1]: not bounded below."""
    rows = worlds.balanced().rows
    return (rows.weight[:, 0] - 1.0) * (2.0 * rows.reward - 1.0)


def absolute_margin() -> Floats:
    """The margin as a share of the reward's range and not of production's value."""
    return worlds.at_the_margin().of(worlds.VALUE)[:, 0] + worlds.MARGIN


def model_alone(base: float) -> Levels:
    """The usual test on what the model expects, Σ (π − μ)·q̂, without the rewards."""

    def control(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
        world, predicted = worlds.misled(base)
        assert world.rows.pmf is not None
        assert world.rows.production is not None
        expected = ((world.rows.pmf[:, 0] - world.rows.production) * predicted).sum(axis=1)
        return t_level(counts[:, -1], expected)

    return control


def t_test_of_any(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The usual test of each candidate at the full α, whatever became of those before it."""
    false = np.flatnonzero(outcomes.means[-1] <= 1e-12)
    return np.min([t_level(counts[:, -1], outcomes.y[:, k]) for k in false], axis=0)


def best_bet(counts: Floats, outcomes: Outcomes, bets: list[Bets]) -> Floats:
    """The bet that turned out best, at the best look."""
    growth = np.log1p(np.multiply.outer(outcomes.y[:, 0], bets[0].fractions))
    return level((counts @ growth).max(axis=(1, 2)))


CASES = [
    Case("365 daily looks", worlds.peeking, "t-test every day", t_test_at_every_look),
    Case("365 daily looks again", worlds.peeking, "bets chosen afterwards", best_bet),
    Case("ε-greedy, 8 looks", worlds.epsilon_greedy, "t-test at every look", t_test_at_every_look),
    Case("rare loss", worlds.rare_loss, "t-test", t_test),
    Case("lower bound of a gain", worlds.rare_loss_with_gain, "t-bound", t_bound, mean=worlds.RARE_GAIN),
    Case("drift, bad days first", worlds.drift("bad first"), "second half alone", second_half_alone),
    Case("drift, good days first", worlds.drift("good first"), "early evidence kept", best_look),
    Case("drift, mixed days", worlds.drift("mixed"), "early evidence kept", best_look),
    Case("unsupported mass", worlds.unsupported, "weights normalised", instead(normalised)),
    Case("users with an arm for good", worlds.users, "per decision", per_decision, rows_per_piece=worlds.USER_ROWS),
    Case(
        "episodes of 3 steps",
        episodes.whole(episodes.tired_in_the_end),
        "step by step",
        instead(lambda: episodes.tired_in_the_end().own_rewards()),
        rows_per_piece=3,
    ),
    Case("rewards in [−1, 1]", worlds.negative_rewards, "not rescaled, cut at −1", instead(not_rescaled)),
    Case("guardrail worse, value better", worlds.guardrail, "value alone", first_claim_alone),
    Case("cost that must fall", worlds.cost, "t-test", t_test),
    Case("capped DR, base rate 5%", worlds.robust(0.05), "model alone", model_alone(0.05)),
    Case("capped DR, base rate 20%", worlds.robust(0.2), "model alone", model_alone(0.2)),
    Case("capped DR, base rate 50%", worlds.robust(0.5), "model alone", model_alone(0.5)),
    Case("exactly at the margin", worlds.margin, "margin not relative", instead(absolute_margin)),
    Case("ten candidates, none better", worlds.family(0), "t-tests, best of ten", t_test_of_any),
    Case("ten candidates, three better", worlds.family(3), "t-tests, failures skipped", t_test_of_any),
    Case(
        "episodes under a cap",
        episodes.whole(episodes.full),
        "a cap that knows the future",
        instead(lambda: episodes.full().shared_out()),
        rows_per_piece=2,
    ),
    Case(
        "8 steps, Σχ² = 4",
        episodes.whole(episodes.eight),
        "last weight alone",
        instead(lambda: episodes.eight().last_weights()),
        rows_per_piece=8,
    ),
    Case(
        "one deviation",
        episodes.once(episodes.tired_once),
        "its own reward alone",
        instead(lambda: episodes.tired_once().own_rewards()),
        rows_per_piece=3,
    ),
    Case(
        "good once, bad everywhere",
        episodes.whole(episodes.exhausted),
        "one deviation taken for all",
        instead(lambda: episodes.exhausted().once()),
        rows_per_piece=2,
    ),
]
