"""The planner along timelines against values by hand, exact laws of small processes, and the capital that bets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from jumar.evaluate import GateError
from jumar.evaluate.capital import default_bets, log_sums_exp
from jumar.evaluate.planning import Law, Tally, rows_for
from jumar.evaluate.planning.ahead import AheadSight
from jumar.evaluate.planning.episode_law import Kind, OneWeight, episode_law
from jumar.evaluate.planning.unit_paths import UnitPaths
from jumar.evaluate.sequences import episode_variable, single_deviation_variable

from .paths import Floats, Log, Paths, Process, paths

UNITS, ALPHA = 6_000, 0.01


def resting(decisions: int = 4) -> Process:
    """Action 1 pays a little less and keeps the unit fresh; units leave now and then."""
    move = np.array([[[0.3, 0.6, 0.1], [0.9, 0.0, 0.1]], [[0.0, 0.9, 0.1], [0.3, 0.6, 0.1]]])
    return Process(np.array([1.0, 0.0]), move, np.array([[0.35, 0.3], [0.09, 0.075]]), decisions, 0.95)


PROCESS = resting()
PATHS = paths(PROCESS)
PRODUCTION, OTHER = np.tile([0.9, 0.1], (2, 1)), np.tile([0.1, 0.9], (2, 1))
CAP = 2.0
LOG = PROCESS.log(UNITS, PRODUCTION, np.random.default_rng(1))


def mixed(step: float) -> Floats:
    return (1.0 - step) * PRODUCTION + step * OTHER


def units_of(log: Log, cap: float = CAP) -> UnitPaths:
    return UnitPaths.of(log.reward, log.discount, log.starts, cap=cap, most_per_unit=PROCESS.decisions)


def sight_of(log: Log = LOG, alpha: float = ALPHA) -> AheadSight:
    mu, pi = PRODUCTION[log.state, log.action], OTHER[log.state, log.action]
    tally = Tally(mu, log.action == 0, log.reward, np.ones(mu.size), 2, policy=pi)
    return AheadSight(units_of(log), tally, 1.0, 2 * UNITS, alpha, 0.8)


def value(path: Paths, chance: Floats) -> float:
    return float(chance @ np.minimum(path.returns(), CAP))


def truth(step: float, kind: Kind) -> tuple[Floats, Floats, float]:
    """The variable and the probability of every path under production, and the gain as the planner is told it."""
    columns = PATHS.weight(mixed(step), PRODUCTION), PATHS.reward, PATHS.discount, PATHS.starts
    chance = PATHS.chance(PRODUCTION)
    if kind == "whole":
        d, many = episode_variable(*columns, cap=CAP), 1
    else:
        many = PROCESS.decisions
        d = single_deviation_variable(*columns, cap=CAP, most_per_unit=many)
    return d, chance, float(chance @ d) * CAP * many / value(PATHS, chance)


def share_that_passes(d: Floats, chance: Floats, units: int, alpha: float = ALPHA) -> float:
    bets = default_bets(float(chance @ d**2), units, 0.001)
    found, place = np.unique(d.round(12), return_inverse=True)
    counts = np.random.default_rng(0).multinomial(units, np.bincount(place, chance), size=1_500)
    capital = log_sums_exp(counts @ np.log1p(np.multiply.outer(found, bets.fractions)) + bets.log_prior)
    return float((capital >= math.log(1.0 / alpha)).mean())


def units_needed(d: Floats, chance: Floats, near: float) -> float:
    """Units at which 80% of the gates pass, by halving."""
    low, high = 0.4 * near, 2.5 * near
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if share_that_passes(d, chance, round(middle)) >= 0.8 else (middle, high)
    return math.sqrt(low * high)


# What units brought


def test_what_still_fits_under_the_cap_by_hand():
    # γ ½; the second unit's episode ends after its first row, and what follows is another's.
    unit = UnitPaths.of([1.0, 1.0, 0.5, 1.0], [0.5, 0.0, 0.0, 0.5], [0, 2], cap=1.25, most_per_unit=3)
    assert unit.share.tolist() == [0.8, 0.2, 0.4]
    assert unit.rest.tolist() == pytest.approx([1.0, 0.2, 0.4])
    assert (unit.returns.tolist(), unit.episodes.lengths.tolist()) == ([1.0, 0.4], [2, 1])
    assert unit.value == pytest.approx(0.7 * 1.25)
    assert unit.kept == pytest.approx(0.875 / 1.0)
    assert unit.deviation == pytest.approx(0.3 * 1.25)
    assert (unit.long, unit.product_square(1.0), unit.product_square(1.0, most=1)) == (2, 3.0, 2.0)
    # χ² = 1: Σ 2^t·E[U_t²] with E[U_0²] = 0.58 and E[U_1²] = 0.02.
    assert unit.squares.tolist() == pytest.approx([0.58, 0.02])
    assert unit.whole_square(1.0) == pytest.approx(0.62)
    assert unit.whole_square(1.0, most=1) == pytest.approx(0.58)
    assert unit.single_square(1.0) == pytest.approx(0.6 / 9)
    with pytest.raises(GateError):
        UnitPaths.of([], [], [], cap=1.0, most_per_unit=1)


def test_second_moments_are_exact_where_returns_do_not_depend_on_actions():
    """Over every path of a process in which actions do nothing."""
    move = np.zeros((1, 2, 2))
    move[0] = [0.8, 0.2]
    path = paths(Process(np.ones(1), move, np.full((1, 2), 0.4), 4, 0.9))
    production, policy = np.array([[0.8, 0.2]]), np.array([[0.6, 0.4]])
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    chance, chi_square = path.chance(production), 0.6**2 / 0.8 + 0.4**2 / 0.2 - 1.0
    # A log in which every path comes as often as it is likely.
    many = np.round(chance * 200_000).astype(int)
    lengths = np.diff(np.append(path.starts, path.reward.size))
    rows = np.concatenate([np.tile(np.arange(s, s + n), k) for s, n, k in zip(path.starts, lengths, many, strict=True)])
    starts = np.append(0, np.repeat(lengths, many).cumsum()[:-1])
    unit = UnitPaths.of(path.reward[rows], path.discount[rows], starts, cap=1.5, most_per_unit=4)
    d = episode_variable(*columns, cap=1.5)
    assert unit.whole_square(chi_square) == pytest.approx(float(chance @ d**2), rel=0.01)
    d = single_deviation_variable(*columns, cap=1.5, most_per_unit=4)
    assert unit.single_square(chi_square) == pytest.approx(float(chance @ d**2), rel=0.01)


# Steps


def test_steps_by_hand():
    weight = OneWeight(np.array([0.5, 3.0]), np.array([0.8, 0.2]))
    assert weight.chi_square == pytest.approx(0.8 * 0.25 + 0.2 * 4)
    assert weight.changed == pytest.approx(0.4)
    half = weight.within(0.25)
    assert (half.step, half.values.tolist()) == (0.5, [0.75, 2.0])
    assert (half.chi_square, half.changed) == (pytest.approx(0.25), pytest.approx(0.2))
    assert weight.within(7.0).step == 1.0


# The law of D


@pytest.mark.parametrize("kind", ["whole", "single"])
def test_a_law_has_the_gain_and_keeps_the_weights(kind: Kind):
    units, weight = units_of(LOG), sight_of().weight(None, 0.2)
    drawn = episode_law(units, weight, kind)
    assert drawn.path.sum() == pytest.approx(1.0)
    assert drawn.brought.sum(axis=1) == pytest.approx(1.0)
    for gain in (-0.01, 0.0, 0.005, 0.01):
        p = drawn.with_mean(gain)
        assert float((p * drawn.values).sum()) == pytest.approx(gain, abs=1e-8)
        assert p.sum(axis=2) == pytest.approx(drawn.path)
    law, factor = drawn.law(0.005)
    assert law.gain == pytest.approx(0.005, rel=1e-3)
    assert law.values.min() >= -1.0
    assert factor == pytest.approx(1.0, abs=0.15)  # drawn second moments are nearly the exact ones
    with pytest.raises(GateError, match="no returns"):
        drawn.law(0.9)


def test_products_of_weights_are_drawn_often_enough():
    """E[ρ²] = 1.35²⁰ ≈ 400 over twenty decisions, of which the large products of few paths are nearly all."""
    units = UnitPaths.of(
        np.tile([0.0] * 19 + [1.0], 400),
        np.tile([1.0] * 19 + [0.0], 400),
        20 * np.arange(400),
        cap=1.0,
        most_per_unit=20,
    )
    drawn = episode_law(units, OneWeight(np.array([0.5, 5.5]), np.array([0.9, 0.1]), 0.394), "whole")
    p = drawn.path[..., None] * drawn.brought[:, None, :]
    assert float((p * drawn.values).sum()) == pytest.approx(0.0, abs=0.1)
    assert float((p * drawn.values**2).sum()) == pytest.approx(drawn.square, rel=0.1)


# How many units


@pytest.mark.parametrize(("step", "kind"), [(0.05, "whole"), (0.2, "whole"), (0.2, "single"), (0.5, "single")])
def test_planned_units_are_those_that_the_capital_needs(step: float, kind: Kind):
    """Planned from a log of production and the gain alone; needed by the exact law and the betting capital."""
    d, chance, gain = truth(step, kind)
    sight = sight_of()
    planned = sight.units_for(gain, sight.weight(None, step), kind)
    assert planned is not None
    assert planned / units_needed(d, chance, planned) == pytest.approx(1.0, abs=0.15)


def test_planning_by_decision_as_if_nothing_followed_is_off():
    d, chance, gain = truth(0.2, "whole")
    sight = sight_of()
    needed = units_needed(d, chance, sight.units_for(gain, sight.weight(None, 0.2), "whole") or 0.0)
    w = 1.0 + 0.2 * (OTHER / PRODUCTION - 1.0)
    law = Law.of(w[LOG.state, LOG.action], LOG.reward, 1.0)
    decisions = rows_for(law.with_gain(gain * float(LOG.reward.mean())), ALPHA)
    assert decisions * UNITS / LOG.reward.size < 0.6 * needed


def test_a_canary_needs_as_many_units_as_are_said():
    chance, there = PATHS.chance(PRODUCTION), PATHS.chance(mixed(0.3))
    gain, share = value(PATHS, there) / value(PATHS, chance) - 1.0, 0.25
    planned = sight_of().canary(gain, share)
    centred = (np.minimum(PATHS.returns(), CAP) - value(PATHS, chance)) / CAP
    y = np.concatenate([centred / share, -centred / (1.0 - share)])
    p = np.concatenate([share * there, (1.0 - share) * chance])
    y, p = y[p > 0], p[p > 0]
    y /= -y.min() * 1.001  # as a variable that never falls below −1
    assert 0.85 <= planned / units_needed(y, p / p.sum(), planned) <= 1.5


# What would change that


def test_what_would_change_it_is_enough_and_no_more():
    sight = sight_of(alpha=0.001)
    far, gain = sight.weight(None, 0.3), 0.1
    assert (sight.units_for(gain, far, "whole") or math.inf) > sight.judged
    budget = sight.largest_budget(gain)
    assert budget is not None
    assert budget < sight.spent(far)
    for times, enough in ((0.98, True), (1.06, False)):
        found = sight.units_for(gain, sight.within(times * budget), "whole")
        assert (found is not None and found <= sight.judged) == enough
    first = sight.decisions_enough(gain, far)
    assert first is not None
    assert 1 <= first < PROCESS.decisions
    found = [sight.units_for(gain, far, "whole", most=most) or math.inf for most in (first, first + 1)]
    assert found[0] <= sight.judged < found[1]
    explored = sight.exploration_needed(gain, 0.3)
    assert explored is not None
    assert explored > 0.2
    found = [sight.units_for(gain, sight.weight(e, 0.3), "whole") or math.inf for e in (explored, explored - 0.01)]
    assert found[0] <= sight.judged < found[1]


def test_gains_and_units_are_inverse():
    sight = sight_of()
    for kind in ("whole", "single"):
        weight = sight.weight(None, 0.1)
        gain = sight.detectable(sight.law(weight, kind))
        assert gain is not None
        assert sight.units_for(gain, weight, kind) == pytest.approx(sight.judged, rel=0.03)


def test_what_no_number_of_units_shows_is_none():
    sight = sight_of()
    assert sight.units_for(5.0, sight.weight(None, 0.01), "whole") is None
    assert sight.detectable(sight.law(replace(sight.weight(None), weight=np.array([0.0, 1e7])), "whole")) is None
    assert sight.largest_budget(5.0) is None
