"""What sequences may be released: false releases and the mistakes that cause them; deviating once and everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from jumar.evaluate.sequences import episode_variable, mixture_gain, running_products, single_deviation_variable

from .paths import Floats, Paths, Process, paths, random_policy, random_process, release_rate, tiring, where_zero

# What deviating once says about deviating everywhere


def always(action: int, share: float = 1.0) -> Floats:
    """[states, actions] takes an action with this probability, in both states."""
    return np.tile([1.0 - share, share] if action else [share, 1.0 - share], (2, 1))


def test_deviating_once_may_be_good_and_deviating_everywhere_bad():
    """Action 1 pays at once but tires; the second time there is nothing to gain and everything to lose."""
    move = np.zeros((2, 2, 3))
    move[0, 0, 0] = move[0, 1, 1] = move[1, :, 1] = 1.0
    process = Process(np.array([1.0, 0.0]), move, np.array([[0.5, 0.8], [0.4, 0.0]]), decisions=2)
    production, policy = always(0, 0.9), always(1)
    path = paths(process)
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    chance, brought = path.chance(production), path.returns()
    once = float(chance @ single_deviation_variable(*columns, cap=2.0, most_per_unit=2))
    everywhere = float(chance @ episode_variable(*columns, cap=2.0))
    assert path.chance(policy) @ brought == pytest.approx(0.8)
    assert chance @ brought == pytest.approx(1.043)
    assert 1.043 + 2.0 * once == pytest.approx(1.205)
    assert 1.043 + 2.0 * everywhere == pytest.approx(0.8)
    facts = {"alpha": 0.01, "episodes": 10_000, "runs": 1_000}
    d = single_deviation_variable(*columns, cap=2.0, most_per_unit=2)
    assert release_rate(d, chance, **facts, seed=3) >= 0.99
    # It is true of the policy that it speaks of, and the mixture that follows from it is better indeed.
    share = once * 2.0 / (2 * (chance @ brought))
    promised = float(mixture_gain(2.0 * once, share, most_per_unit=2, production=float(chance @ brought)))
    mixed = (1.0 - share) * production + share * policy
    assert 0.0 < promised <= path.chance(mixed) @ brought - chance @ brought


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mixture_gains_at_least_what_is_said_and_to_first_order_just_that(seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(process)
    columns = path.weight(policy, production), path.reward, path.discount, path.starts
    chance, brought, cap = path.chance(production), np.minimum(path.returns(), 1.3), 1.3
    once = cap * float(chance @ single_deviation_variable(*columns, cap=cap, most_per_unit=3))
    now = float(chance @ brought)
    for share in (0.0, 1e-6, 0.01, 0.1, 0.5, 1.0):
        mixed = (1.0 - share) * production + share * policy
        gained = float((path.chance(mixed) - chance) @ brought)
        assert mixture_gain(once, share, most_per_unit=3, production=now) <= gained + 1e-12
        if share == 1e-6:
            assert gained / share == pytest.approx(3 * once, abs=1e-5)


def test_mixtures_by_hand():
    # M = 2, β = ½: ½·g − ¼·v.
    assert mixture_gain(0.2, 0.5, most_per_unit=2, production=0.4) == pytest.approx(0.1 - 0.1)
    assert mixture_gain(0.2, [0.0, 1.0], most_per_unit=2, production=0.4).tolist() == [0.0, -0.4]
    assert mixture_gain(0.2, 1.0, most_per_unit=1, production=0.4) == pytest.approx(0.2)


# False releases, and what breaks the variables


def columns_of(path: Paths, policy: Floats, production: Floats) -> tuple[Floats, Any, Any, Any]:
    return path.weight(policy, production), path.reward, path.discount, path.starts


def test_false_releases_of_whole_policies_and_a_mistake_that_releases():
    """At the later cost at which the whole policy gains nothing, it seems to gain when steps are judged one by one."""
    production, policy = always(0, 0.7), always(1, 0.7)

    def gain(later: float) -> float:
        path = paths(tiring(later))
        return float((path.chance(policy) - path.chance(production)) @ path.returns())

    path = paths(tiring(where_zero(gain, 0.0, 0.29)))
    chance = path.chance(production)
    columns = columns_of(path, policy, production)
    d = episode_variable(*columns, cap=3.0)
    assert -1e-12 < chance @ d < 1e-15
    facts = {"alpha": 0.01, "episodes": 5_000, "runs": 4_000}
    assert release_rate(d, chance, **facts, seed=1) <= 0.01
    step_by_step = np.add.reduceat((columns[0] - 1.0) * path.reward, path.starts) / 3.0
    assert release_rate(step_by_step, chance, **facts, seed=2) >= 0.99


def test_false_releases_of_one_deviation_and_a_mistake_that_releases():
    production, policy = always(0, 0.7), always(1, 0.7)

    def gain(later: float) -> float:
        path = paths(tiring(later))
        return float((path.chance_of_one(policy, production, 3) - path.chance(production)) @ path.returns())

    path = paths(tiring(where_zero(gain, 0.0, 0.29)))
    chance = path.chance(production)
    columns = columns_of(path, policy, production)
    d = single_deviation_variable(*columns, cap=3.0, most_per_unit=3)
    assert -1e-12 < chance @ d < 1e-15
    facts = {"alpha": 0.01, "episodes": 5_000, "runs": 4_000}
    assert release_rate(d, chance, **facts, seed=4) <= 0.01
    # Whoever looks at the decision's own reward, and not at what follows, releases.
    own = np.add.reduceat((columns[0] - 1.0) * path.reward, path.starts) / 3.0
    assert release_rate(own, chance, **facts, seed=5) >= 0.99


def test_a_cap_that_knows_the_future_releases_what_is_worse():
    """Rewards are shared out under the cap by the whole episode's sum, so an early weight meets later rewards."""
    # Action 1 at the second decision always pays; at the first nothing depends on the action but where one ends up.
    move = np.zeros((2, 2, 3))
    move[0, :, 1], move[1, :, 2] = 1.0, 1.0
    production, policy = always(0, 0.6), np.array([[0.0, 1.0], [0.4, 0.6]])

    def process(first: float) -> Process:
        return Process(np.array([1.0, 0.0]), move, np.array([[0.9, 0.9 - first], [0.0, 1.0]]), decisions=2)

    def gain(first: float) -> float:
        path = paths(process(first))
        return float((path.chance(policy) - path.chance(production)) @ np.minimum(path.returns(), 1.0))

    path = paths(process(where_zero(gain, 0.0, 0.9)))
    chance = path.chance(production)
    columns = columns_of(path, policy, production)
    d = episode_variable(*columns, cap=1.0)
    assert -1e-12 < chance @ d < 1e-15
    facts = {"alpha": 0.01, "episodes": 20_000, "runs": 2_000}
    assert release_rate(d, chance, **facts, seed=6) <= 0.01
    total = path.returns()
    shared = path.reward * np.repeat(
        np.minimum(1.0, 1.0 / np.maximum(total, 1.0)), np.diff([*path.starts, path.state.size])
    )
    peeking = np.add.reduceat((running_products(columns[0], path.starts) - 1.0) * shared, path.starts)
    assert peeking.min() >= -1.0
    assert_allclose(np.add.reduceat(shared, path.starts), np.minimum(total, 1.0))
    assert release_rate(peeking, chance, **facts, seed=7) >= 0.99


def test_weights_without_their_own_action_release_what_is_worse():
    """ρ_{0:t−1}·r_t leaves out the action that the reward depends on: its mean is another policy's gain."""
    process = Process(np.array([1.0, 0.0]), np.tile([0.0, 1.0, 0.0], (2, 2, 1)), np.array([[0.2, 0.2], [0.6, 0.1]]), 2)
    production, policy = always(0, 0.6), np.array([[0.0, 1.0], [0.0, 1.0]])
    path = paths(process)
    chance, columns = path.chance(production), columns_of(path, policy, production)
    assert (path.chance(policy) - chance) @ path.returns() < -0.2
    earlier = np.append(1.0, running_products(columns[0], path.starts)[:-1])
    earlier[path.starts] = 1.0
    d = np.add.reduceat((earlier - 1.0) * path.reward, path.starts) / 2.0
    assert chance @ d == pytest.approx(0.0, abs=1e-12)
    assert chance @ episode_variable(*columns, cap=2.0) < -0.1


def test_decisions_of_one_moment_whose_order_is_not_known():
    """The later of two decisions suffers from the earlier one's action, and half of the logs tell the order wrongly."""
    chance, rows = [], []
    for first, second, paid, left, swapped in np.ndindex(2, 2, 2, 2, 2):
        rates = 0.3 + 0.06 * first, 0.3 - 0.06 * first
        likely = 0.5**3 * np.prod([rate if got else 1.0 - rate for rate, got in zip(rates, (paid, left), strict=True)])
        pairs = [(first, paid), (second, left)]
        chance.append(likely)
        rows += pairs[::-1] if swapped else pairs
    action, reward = np.array(rows).T
    weight = np.where(action == 1, 1.6, 0.4)
    columns = weight, reward.astype(float), np.ones(len(rows)), np.arange(0, len(rows), 2)
    together = episode_variable(*columns, cap=2.0, tied=np.tile([False, True], len(chance)))
    assert np.array(chance) @ together == pytest.approx(0.0, abs=1e-12)
    # The loss is halved, where a reward comes before the action that spoilt it.
    assert np.array(chance) @ episode_variable(*columns, cap=2.0) == pytest.approx(0.3 * 0.06 / 2 / 2)
    facts = {"alpha": 0.01, "episodes": 100_000, "runs": 1_000}
    assert release_rate(together, np.array(chance), **facts, seed=8) <= 0.01
    assert release_rate(episode_variable(*columns, cap=2.0), np.array(chance), **facts, seed=9) >= 0.5


def test_one_deviation_counts_all_of_its_moment():
    weight, reward = np.array([2.0, 0.5, 3.0]), np.array([0.25, 0.5, 0.125])
    facts = {"cap": 1.0, "most_per_unit": 3}
    found = single_deviation_variable(weight, reward, np.ones(3), [0], tied=[False, True, False], **facts)
    assert found == pytest.approx([(1.0 * 0.875 - 0.5 * 0.875 + 2.0 * 0.125) / 3])
