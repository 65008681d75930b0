"""The canary's variable: by hand, its exact mean and bound over every assignment, and what it promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from jumar.evaluate.capital import GateError
from jumar.evaluate.two_arms import Question, capital_of, centres, lowest, ratio_evidence, variable

ASKED = [Question(1.0), Question(-1.0), Question(1.0, 0.1, 0.2), Question(-1.0, -0.05, 0.0), Question(-1.0, 0.3, 1.5)]
each_question = pytest.mark.parametrize("asked", ASKED)


def test_by_hand():
    # Exposed with chance ¼: 4·(0.5 − 0.3) = 0.8. Not exposed: −(4/3)·(0.6 − 0.3) = −0.4.
    total, exposed, centre = np.array([0.5, 0.6]), np.array([True, False]), np.array([0.3, 0.3])
    assert_allclose(variable(total, exposed, centre, 0.25, Question(1.0)), [0.8, -0.4])
    assert_allclose(variable(total, exposed, centre, 0.25, Question(-1.0)), [-0.8, 0.4])
    # And a tenth of what units bring unexposed: 0.3 + 1 and 0.4 + 0.3 + 1, the 1 being the shift.
    assert_allclose(variable(total, exposed, centre, 0.25, Question(1.0, 0.1, 1.0)), [0.8 + 0.13, -0.4 + 0.17])
    # The least: an exposed unit that brings 0 where 0.3 was expected.
    assert_allclose(lowest(centre, 0.25, Question(1.0)), 1.2)
    assert_allclose(lowest(centre, 0.25, Question(-1.0)), 2.8)


@each_question
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_its_mean_is_the_effect_whatever_was_expected(
    asked: Question, with_: float, without: float, c: float, q: float
):
    y = variable([with_, without], [True, False], [c, c], q, asked)
    mean = q * y[0] + (1 - q) * y[1]
    assert_allclose(mean, asked.sign * (with_ - without) + asked.slack * (without + asked.shift), atol=1e-9)
    assert y.min() >= -lowest(np.array([c]), q, asked) - 1e-9


@each_question
def test_the_bound_holds_and_no_smaller_one_would_do(asked: Question):
    for q, centre in itertools.product((0.01, 0.25, 0.9), ([0.0, 1.0], [0.05, 0.2], [0.5])):
        grid = np.linspace(0, 1, 11)
        total, exposed, middle = np.meshgrid(grid, [False, True], np.array(centre))
        least = variable(total, exposed, middle, q, asked).min()
        assert_allclose(lowest(np.array(centre), q, asked), max(-least, 1e-9), atol=1e-12)


@each_question
def test_the_capital_of_no_effect_is_at_most_one_on_average_over_every_assignment(asked: Question):
    """Exactly, over all 2⁶ ways to deal six units out, whatever their habits; some do better exposed, others worse."""
    rng = np.random.default_rng(1)
    q, centre, theta = 0.3, rng.random(6), -1.0
    with_, without = centre, centre
    while not -0.01 < theta <= 0.0:
        with_, without = rng.random((2, 6))
        theta = np.mean(asked.sign * (with_ - without) + asked.slack * (without + asked.shift))
    mean = 0.0
    for arms in itertools.product([False, True], repeat=6):
        exposed = np.array(arms)
        chance = np.prod(np.where(exposed, q, 1 - q))
        total = np.where(exposed, with_, without).astype(np.float64)
        log = capital_of(total, exposed, centre, 0.05, share=q, alpha=0.05, asked=asked).log_value
        mean += chance * math.exp(log)
    assert 0.5 < mean <= 1 + 1e-9


def test_centres_come_from_the_pilot_alone_and_know_what_units_brought_before():
    rng = np.random.default_rng(0)
    before = np.where(rng.random(500) < 0.3, np.nan, rng.random(500))
    total = np.where(np.isnan(before), 0.1, 0.2 + 0.5 * before)
    pilot = np.arange(500) % 10 == 0
    centre, spread = centres(np.where(pilot, total, 9.0), before, pilot)
    assert_allclose(centre, total, atol=1e-12)
    assert_allclose(spread, 0, atol=1e-20)
    assert centres(np.array([0.3, 0.4]), np.array([np.nan, 0.1]), np.zeros(2, bool))[0].tolist() == [0.5, 0.5]
    one, _ = centres(np.array([0.3, 0.4]), np.array([np.nan, 0.1]), np.array([True, False]))
    assert_allclose(one[0], 0.3)


def test_bad_input_is_refused():
    one, arm = np.array([0.5]), np.array([True])
    with pytest.raises(GateError, match="both arms"):
        capital_of(one, arm, one, 0.1, share=1.0, alpha=0.05, asked=Question(1.0))
    with pytest.raises(GateError, match=r"\[0, 1\]"):
        capital_of(one * 3, arm, one, 0.1, share=0.5, alpha=0.05, asked=Question(1.0))


def test_sizes_by_hand_and_on_average():
    # One unit, share ½: a = b = 10, so B(11, 10)/B(10, 10) = ½ and the evidence is ln(½/½) = 0.
    assert_allclose(ratio_evidence(1, 0, 0.5), 0.0, atol=1e-12)
    # Two alike: (10·11)/(20·21) over ¼.
    assert_allclose(ratio_evidence(2, 0, 0.5), math.log(110 / 420 * 4), atol=1e-12)
    for q in (0.01, 0.3):
        k = np.arange(301)
        growth = np.array([ratio_evidence(int(i), 300 - int(i), q) for i in k])
        mean = np.exp(growth + stats.binom.logpmf(k, 300, q)).sum()
        assert_allclose(mean, 1.0, rtol=1e-8)
    assert ratio_evidence(0, 5_000, 0.01) > math.log(1e6)  # the new arm logs nothing
    assert ratio_evidence(70, 10_000, 0.01) < math.log(200)


def test_evidence_reaches_its_level_rarely_without_an_effect_and_a_t_test_fails():
    """A rare loss pays for a small sure gain among exposed units: no effect on average, and few units show the loss."""
    rng = np.random.default_rng(5)
    runs, units, q, alpha = 1_000, 600, 0.1, 0.05
    gate = control = 0
    for _ in range(runs):
        exposed = rng.random(units) < q
        lost = rng.random(units) < 0.01
        without = np.full(units, 0.5)
        with_ = np.where(lost, 0.0, 0.5 + 0.5 * lost.mean() / max(1 - lost.mean(), 1e-9))
        total = np.where(exposed, with_, without)
        capital = capital_of(total, exposed, np.full(units, 0.5), 0.002, share=q, alpha=alpha, asked=Question(1.0))
        gate += capital.log_value >= math.log(1 / alpha)
        there = total[exposed] - 0.5
        control += there.mean() > 1.68 * (there.std(ddof=1) + 1e-12) / math.sqrt(there.size)
    assert stats.beta.ppf(0.01, max(gate, 1), runs - gate + 1) <= alpha
    assert control / runs > 0.2
