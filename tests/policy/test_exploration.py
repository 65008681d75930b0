"""Ways to explore: exact probabilities, worked out by hand, by brute force, and by drawing many times."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from exploration import FINITE, chi_square_z, replayed
from jumar.errors import OptionError
from jumar.policy.exploration import (
    Scores,
    lifted,
    odds,
    parse_exploration,
    random_turns,
    shares,
    softened,
    top_two,
)
from jumar.policy.sampling import hash_key, uniforms

DAY = datetime.date(2026, 3, 1)
MODES = ("policy", "floor:0.05", "softmax:3", "softmax:0.2", "top-two:0.5", "top-two:1", "thompson", "thompson:0.02")


def scores(pmf: Any, clone: Any = None, members: Any = None, minimum: Any = 0.0) -> Scores:
    pmf = np.atleast_2d(np.asarray(pmf, float))
    clone = np.full_like(pmf, 1 / pmf.shape[1]) if clone is None else np.atleast_2d(np.asarray(clone, float))
    found = None if members is None else np.asarray(members, float)[None]
    return Scores(pmf, clone, found, np.broadcast_to(np.asarray(minimum, float), (pmf.shape[1],)))


# By hand


def test_a_floor_lifts_the_rest_shrinks_and_what_production_rules_out_stays_out() -> None:
    explore = parse_exploration("floor:0.1")
    assert_allclose(explore.pmf(scores([0.9, 0.08, 0.02]))[0], [0.8, 0.1, 0.1])
    assert_allclose(explore.pmf(scores([0.6, 0.3, 0.1]))[0], [0.6, 0.3, 0.1])
    assert_allclose(explore.pmf(scores([1.0, 0.0, 0.0], clone=[0.5, 0.5 - 1e-9, 1e-9]))[0], [0.9, 0.1, 0.0], atol=2e-9)
    assert_allclose(explore.pmf(scores([0.5, 0.5, 0.0], minimum=0.2))[0], [0.4, 0.4, 0.2])
    assert_allclose(parse_exploration("floor:0.5").pmf(scores([0.2, 0.8]))[0], [0.5, 0.5])


def test_softmax_is_a_power() -> None:
    assert_allclose(softened(np.array([[0.64, 0.36, 0.0]]), 2.0)[0], [8 / 14, 6 / 14, 0.0])
    assert_allclose(softened(np.array([[0.6, 0.4]]), 0.01)[0], [1.0, 0.0], atol=1e-15)


def test_thompson_counts_members() -> None:
    members = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.5]]  # the last one is a tie
    assert_allclose(parse_exploration("thompson").pmf(scores([0.1, 0.1, 0.8], members=members))[0], [0.75, 0.25, 0.0])
    with_floor = parse_exploration("thompson:0.1").pmf(scores([0.1, 0.1, 0.8], members=members))[0]
    assert_allclose(with_floor, [0.1 + 0.7 * 0.75, 0.1 + 0.7 * 0.25, 0.1])


def test_top_two_by_hand_and_where_all_agree() -> None:
    best = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    mean = np.array([[0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    found = top_two(best, mean, 0.6)
    second = 0.5 * (0.6 + 0.4 * (0.3 / 0.7 + 0.2 / 0.8))
    assert found[0, 0] == pytest.approx(second)
    assert_allclose(found.sum(axis=1), 1.0)
    assert_allclose(found[1], [0.6, 0.0, 0.4])
    assert_allclose(top_two(np.array([[1.0, 0.0]]), np.array([[1.0, -np.inf]]), 0.6), [[1.0, 0.0]])


def test_top_two_is_what_its_procedure_does() -> None:
    """Draw a member, play its best or draw on until another action is best: simulated as it is told."""
    rng = np.random.default_rng(0)
    members = rng.normal(size=(1, 9, 4))
    best = shares(members)
    plays = np.zeros(4)
    favourites = members[0].argmax(axis=1)
    for _ in range(40_000):
        first = favourites[rng.integers(9)]
        if rng.random() >= 0.7:
            while (other := favourites[rng.integers(9)]) == first:
                pass
            first = other
        plays[first] += 1
    assert_allclose(plays / 40_000, top_two(best, members.mean(axis=1), 0.7)[0], atol=0.012)


def test_budget_mixes_by_the_odds_of_the_turn() -> None:
    explore = parse_exploration("budget:4")
    h = odds([1, 2, 3, 4, 5, 0, 2], np.array([4, 4, 4, 4, 4, 4, 1]), 4)
    assert_allclose(h, [1 / 4, 1 / 3, 1 / 2, 1.0, 0.0, 0.0, 0.0])
    found = explore.pmf(scores(np.tile([0.3, 0.7], (7, 1))), odds=h)
    assert_allclose(found[:, 0], 0.3 * h)
    assert_allclose(explore.pmf(scores([0.3, 0.7]))[0], [0.0, 1.0])


def test_at_most_one_turn_a_day_each_as_likely() -> None:
    units = [f"u{i}" for i in range(20_000)]
    turns = random_turns("salt", DAY, units, 5)
    assert_array_equal(np.unique(turns), [1, 2, 3, 4, 5])
    assert chi_square_z(np.bincount(turns)[1:], np.full(5, 4_000.0)) < 4
    again = random_turns("salt", DAY + datetime.timedelta(days=1), units, 5)
    assert abs((turns == again).mean() - 0.2) < 0.02
    # The odds, decision by decision, give back the uniform law that the turn is drawn from.
    alive, law = 1.0, []
    for n in range(1, 6):
        h = float(odds([n], np.array([5]), 5)[0])
        law.append(alive * h)
        alive *= 1 - h
    assert_allclose(law, 0.2)


# Properties


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([*MODES, "budget:3"]),
    st.integers(2, 6),
    st.integers(0, 10_000),
    st.floats(0, 0.16),
)
def test_every_mode_is_a_pmf_among_the_candidates(mode: str, actions: int, seed: int, minimum: float) -> None:
    rng = np.random.default_rng(seed)
    rows = 7
    pmf = rng.dirichlet(np.full(actions, 0.3), rows)
    pmf[rng.random(pmf.shape) < 0.2] = 0.0
    pmf[:, 0] += 0.01
    pmf /= pmf.sum(axis=1, keepdims=True)
    clone = rng.dirichlet(np.full(actions, 0.5), rows)
    found = Scores(pmf, clone, rng.normal(size=(rows, 3, actions)), np.full(actions, min(minimum, 1 / actions)))
    allowed = rng.random((rows, actions)) < 0.6
    allowed[np.arange(rows), rng.integers(0, actions, rows)] = True
    explore = parse_exploration(mode)
    got = explore.pmf(found, allowed, odds=rng.random(rows))
    assert not got[~allowed].any()
    assert (got >= 0).all()
    decided = got.sum(axis=1) > 0
    assert_allclose(got[decided].sum(axis=1), 1.0, atol=1e-12)
    assert ((pmf * allowed).sum(axis=1) <= 1e-12)[~decided].all()
    everything = explore.pmf(found, np.ones_like(allowed), odds=np.ones(rows))
    assert_allclose(everything, explore.pmf(found, None, odds=np.ones(rows)))
    if explore.mode == "floor":
        tried = allowed & (clone >= 1e-6)
        assert (got[tried] >= min(0.05, 1 / actions) - 1e-12).all()


@given(st.integers(2, 5), st.integers(0, 1_000))
def test_lifting_to_a_floor_that_is_met_changes_nothing(actions: int, seed: int) -> None:
    pmf = np.random.default_rng(seed).dirichlet(np.ones(actions), 3)
    assert_allclose(lifted(pmf, pmf * 0.5), pmf)
    assert_allclose(lifted(pmf, pmf), pmf)


@pytest.mark.parametrize(
    "text",
    ["", "floor", "floor:0", "floor:0.6", "floor:nan", "softmax", "softmax:-1", "greedy", "budget:0", "budget:1.5",
     "policy:1", "thompson:x", "top-two:0", "floor:0.1:2", "softmax:inf"],
)  # fmt: skip
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_exploration(text)


@pytest.mark.parametrize("text", [*MODES, "budget:5"])
def test_modes_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_exploration(text)) == {"thompson": "thompson:0"}.get(text, text)
    assert parse_exploration(str(parse_exploration(text))) == parse_exploration(text)


def test_more_actions_than_a_floor_has_room_for() -> None:
    with pytest.raises(OptionError, match="30 actions"):
        parse_exploration("floor:0.05").check(30)
    parse_exploration("floor:0.05").check(20)


def test_keyed_numbers_are_even_and_their_own() -> None:
    names = [f"d{i}" for i in range(50_000)]
    one, other = (uniforms(hash_key("draw", salt, "v"), names) for salt in ("a", "b"))
    assert chi_square_z(np.histogram(one, 64, (0, 1))[0], np.full(64, 50_000 / 64)) < 4
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.02
    assert hash_key("ab", "c") != hash_key("a", "bc")
    assert 0 <= one.min() <= one.max() < 1
    for parts in itertools.permutations(("draw", "a", "v")):
        assert (hash_key(*parts) == hash_key("draw", "a", "v")) == (parts == ("draw", "a", "v"))


# Replayed: what was logged is what was done


@pytest.mark.parametrize("mode", FINITE)
def test_decisions_are_drawn_as_logged(mode: str) -> None:
    """χ² of actions against their pmfs, context by context; the gate's own audit of weights stays quiet."""
    found = replayed(mode, 100_000, seed=3)
    assert found.z < 4.5, found
    assert found.capital < 100.0, found
    assert found.most == (mode == "budget:5")


def test_a_wrong_propensity_is_noticed() -> None:
    """The check can fail: draws from a softer pmf than the logged one."""
    found = replayed("softmax:3", 100_000, seed=3, lie=1.3)
    assert found.z > 6
    assert found.capital > 100.0
