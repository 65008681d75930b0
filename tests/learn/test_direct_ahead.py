"""The direct learner with a discount: its variable is the gate's, what its batches count, what the budget does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.evaluate.sequences import WithinBudget, chi_square, episode_variable, within_budget
from jumar.learn import FitConfig, OneStep, OneStepConfig, Steered, direct_ahead, fit_one_step, losses
from jumar.learn.data import Columns, MemoryChunks, SpilledChunks
from jumar.learn.direct import sharpened
from jumar.learn.direct_ahead import (
    DirectAheadConfig,
    along_units,
    direct_ahead_loss,
    fit_direct_ahead,
    sums_to_date,
    whole_units,
)
from jumar.learn.episodes import cap_of, first_episodes, rows_for, under_cap
from jumar.learn.tilt import tilt

from .small_mdps import END, FADING, FIRST_CODE, SmallMDP, certain, state_columns

FIT = FitConfig(batch_rows=512, updates=300, learning_rate=1e-2, weight_decay=0.0, evaluations=10)
ONE_STEP = OneStepConfig(members=2, hidden=(16,), clone_hidden=(8,), clone_fit=FIT, value_fit=FIT, rounds=2)
CONFIG = DirectAheadConfig(alpha=0.01, units_planned=10_000, fit=FIT)
UNITS, STEPS = 2_000, 8
LULL = SmallMDP(  # seven steps at which a little is to be had, then one that matters
    moves=certain(np.r_[np.arange(1, STEPS), END][:, None].repeat(2, axis=1)),
    reward=np.array([[0.1, 0.25]] * (STEPS - 1) + [[0.1, 0.9]]),
    production=np.full((STEPS, 2), 0.5),
    discount=0.99,
    scatter=0.1,
)


@cache
def base_of() -> tuple[OneStep, MemoryChunks, Columns]:
    chunks, held_out = MemoryChunks.of(LULL.timelines(UNITS, 0, start=0), 0), LULL.timelines(UNITS // 4, 1, start=0)
    return fit_one_step(LULL.spec, 2, chunks, held_out, (0.0, 1.0), ONE_STEP), chunks, held_out


@cache
def learned(**given: Any) -> Steered:
    base, chunks, held_out = base_of()
    return fit_direct_ahead(base.spec, 2, chunks, held_out, base, replace(CONFIG, **given))


def policy(found: Steered, mdp: SmallMDP) -> np.ndarray:
    """What was learned [states, actions], as it is trained: the mean of the ensemble, at temperature 1."""
    logits, _ = found.outputs(mdp.all_states)
    return np.asarray(tilt(logits, found.advantage(mdp.all_states, 0.0) / found.unit, 1.0, jnp.zeros(2)))


def gain(found: Steered) -> float:
    """What a unit that begins at the first step gains."""
    pi = policy(found, LULL)
    now, then = ((p * LULL.values(p)).sum(axis=1)[0] for p in (LULL.production, pi))
    return float(then - now)


def test_first_episodes_by_hand() -> None:
    columns: Columns = {
        "action": np.arange(6),
        "next:action": np.arange(6),
        "unit": np.array([7, 7, 7, 7, 9, 9], np.uint32),
        "reward": np.array([1.0, 0.5, 1.0, 1.0, 0.25, 1.0], np.float32),
        "gamma": np.array([0.5, 0.5, 0.0, 0.5, 0.8, np.nan], np.float32),
    }
    columns["gamma"][3] = np.nan  # the second episode of the first unit
    found = first_episodes(columns)
    assert found["action"].tolist() == [0, 1, 2, 4, 5]
    assert "next:action" not in found
    assert found["place"].tolist() == [0, 1, 2, 0, 1]
    assert found["length"].tolist() == [3, 3, 3, 2, 2]
    assert_allclose(found["worth"], [1.0, 0.5, 0.25, 1.0, 0.8])
    assert_allclose(found["earlier"], [0.0, 1.0, 1.25, 0.0, 0.25])
    assert cap_of(found) == pytest.approx(0.995 * 1.5 + 0.005 * 1.05)
    capped = under_cap(found, 1.2)  # the open decision of the second unit counts, and nothing behind it
    assert_allclose(capped["counted"], np.array([1.0, 0.2, 0.0, 0.25, 0.8]) / 1.2, rtol=1e-6)
    assert_allclose(capped["room"], np.array([1.2, 0.2, 0.0, 1.2, 0.95]) / 1.2, rtol=1e-6)
    assert not {"reward", "gamma", "earlier"} & set(capped)
    assert first_episodes(columns, 1)["length"].tolist() == [1, 1]


def test_sums_to_date_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    for rows in (64, 65, 64 * 64 + 3):
        values, first = rng.normal(size=(2, rows)), rng.random(rows) < 0.02
        expected = values.copy()
        for row in range(1, rows):
            expected[:, row] += 0.0 if first[row] else expected[:, row - 1]
        assert_allclose(sums_to_date(jnp.asarray(values, jnp.float32), jnp.asarray(first)), expected, atol=1e-4)


def batch_of(columns: Columns, cap: float) -> dict[str, Any]:
    return {name: jnp.asarray(values) for name, values in under_cap(first_episodes(columns), cap).items()}


def at_random(mdp: SmallMDP, columns: Columns) -> tuple[OneStep, Any]:
    """A base whose values are noise, and a tilt that is noise."""
    rng, base = np.random.default_rng(3), mdp.base(columns)
    net = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape, scale=1.0), jnp.float32), base.value["net"])
    tilted = [*net[:-1], jax.tree.map(lambda leaf: 2.0 * leaf[..., 1:], net[-1])]
    return replace(base, value={"tables": [], "net": net}), {"tables": [], "net": tilted}


def terms(base: OneStep, group: Any, batch: dict[str, Any], cap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D, control variate and Σ χ² of every unit of one member [units]."""
    found = jax.jit(partial(along_units, base, replace(CONFIG, cap=cap)))(group, batch)
    last = np.flatnonzero(batch["place"] == batch["length"] - 1)
    gain, control, chi = (np.asarray(each)[0, last] for each in found)
    return gain, control, chi


def tilted_by(base: OneStep, group: Any, mdp: SmallMDP) -> np.ndarray:
    return policy(Steered(**vars(base), name="", group=group, unit=1.0, result=base.clone_result), mdp)


def test_the_variable_is_the_gate_s() -> None:
    columns = FADING.timelines(300, 4, open_share=0.1)
    base, group = at_random(FADING, columns)
    gain, _, chi = terms(base, group, batch_of(columns, 1.5), 1.5)
    state, pi = columns["codes"][:, 0] - FIRST_CODE, tilted_by(base, group, FADING)
    weight = (pi / FADING.production)[state, columns["action"]]
    assert weight.max() > 1.3
    starts = np.flatnonzero(np.diff(columns["unit"], prepend=-1.0))
    expected = episode_variable(weight, columns["reward"], np.nan_to_num(columns["gamma"]), starts, cap=1.5)
    assert_allclose(gain, expected, atol=2e-3, rtol=2e-3)
    assert_allclose(chi, np.add.reduceat(chi_square(pi, FADING.production)[state], starts), rtol=2e-3)


FORK = SmallMDP(
    moves=certain(np.array([[1, 2], [2, END], [END, END]])),
    reward=np.array([[0.2, 0.9], [0.5, 0.1], [0.3, 0.8]]),
    production=np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]]),
    discount=0.9,
)


def paths(mdp: SmallMDP, state: int) -> list[list[tuple[int, int]]]:
    """All ways from a state to the end."""
    found: list[list[tuple[int, int]]] = []
    for action in range(mdp.actions):
        following = int(mdp.moves[state, action].argmax())
        rest = [[]] if following == mdp.states else paths(mdp, following)
        found += [[(state, action), *one] for one in rest]
    return found


def test_over_all_paths_the_control_variate_is_zero_and_the_variable_what_the_policy_gains() -> None:
    """Whatever the values are; with propensities that are not production's, neither is."""
    every = paths(FORK, 0)
    state, action = np.array([step for path in every for step in path]).T
    unit = np.repeat(np.arange(len(every)), [len(path) for path in every])
    columns = {
        **state_columns(state),
        "action": action.astype(np.int32),
        "reward": FORK.reward[state, action].astype(np.float32),
        "unit": unit.astype(np.uint32),
        "gamma": np.where(np.diff(unit, append=-1) != 0, 0.0, FORK.discount),
        "pmf": FORK.production[state].astype(np.float32),
    }
    base, group = at_random(FORK, columns)
    pi = tilted_by(base, group, FORK)
    now, then = ((p * FORK.values(p)).sum(axis=1)[0] for p in (FORK.production, pi))
    likely = np.array([np.prod([FORK.production[step] for step in path]) for path in every])
    assert likely.sum() == pytest.approx(1.0)
    for cap in (5.0, 1.0):  # the control variate also where the cap binds, the gain where it does not
        batch = batch_of(columns, cap)
        gain, control, _ = terms(base, group, batch, cap)
        assert np.abs(control).max() > 0.01
        assert likely @ control == pytest.approx(0.0, abs=1e-5)
        if cap > 2.0:
            assert likely @ gain == pytest.approx((then - now) / cap, abs=1e-5)
            assert abs(then - now) > 0.01
        wrong = terms(base, group, {**batch, "pmf": batch["pmf"][:, ::-1]}, cap)
        assert abs(likely @ wrong[1]) > 0.005


def test_a_unit_counts_as_much_wherever_batches_begin() -> None:
    """Over all pieces of 50 rows of a long row of units, long and short ones come to the same."""
    lengths = np.random.default_rng(0).permutation(np.repeat([1, 7, 30], 20))
    place = np.concatenate([np.arange(one) for one in lengths])
    length = np.repeat(lengths, lengths)
    ends, total = np.cumsum(lengths) - 1, np.zeros(len(place))
    for start in range(len(place) - 49):
        piece = slice(start, start + 50)
        total[piece] += whole_units({"place": jnp.asarray(place[piece]), "length": jnp.asarray(length[piece])})
    assert_array_equal(total[np.setdiff1d(np.arange(len(place)), ends)], 0.0)
    inner = total[ends[(ends > 80) & (ends < len(place) - 80)]]
    assert_allclose(inner, 50.0, rtol=1e-5)


def test_chi_square_is_the_gate_s() -> None:
    rng = np.random.default_rng(0)
    pi, mu = rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4), 6)
    found = losses.chi_square(jnp.asarray(pi[None]), jnp.asarray(mu))[0]
    assert_allclose(found, chi_square(pi, mu), rtol=1e-4)


def test_batches_hold_some_whole_units() -> None:
    assert rows_for(np.array([1, 3, 2], np.int32), 64, 100) == 128
    assert rows_for(np.array([1, 300], np.int32), 2, 100) == 600
    assert rows_for(np.zeros(0, np.int32), 64, 100) == 100


@pytest.mark.parametrize("spilled", [False, True])
def test_units_stay_together_in_the_order_of_their_rows(spilled: bool) -> None:
    columns = FADING.timelines(400, 5)
    columns["stamp"] = np.arange(len(columns["unit"]))
    before = SpilledChunks.of([columns], 3, 0, by_unit=True) if spilled else MemoryChunks.of(columns, 0)
    chunks = before.regrouped(first_episodes, 0)
    seen: list[int] = []
    for piece in chunks.visit(np.random.default_rng(0)):
        place, stamp, unit = (np.asarray(piece[name]) for name in ("place", "stamp", "unit"))
        inner = np.flatnonzero(place > 0)
        assert_array_equal(stamp[inner], stamp[inner - 1] + 1)
        assert_array_equal(unit[inner], unit[inner - 1])
        assert (np.diff(stamp[place == 0]) < 0).any(), "units are not shuffled"
        seen += stamp.tolist()
    assert len(set(seen)) == len(seen)
    assert spilled or len(seen) == len(columns["unit"])


def test_the_price_of_straying_by_hand() -> None:
    """One unit of one row, whose χ² is known, with and without a budget."""
    base, _, held_out = base_of()
    batch = batch_of({name: values[:1] for name, values in held_out.items()} | {"gamma": np.zeros(1)}, 1.0)
    group = sharpened(base.value, 10.0)
    config = replace(CONFIG, cap=1.0, budget=0.05, price=2.0)
    chi = along_units(base, config, group, batch)[2][:, 0]
    weight = losses.bootstrap_weights(batch["unit"], 2, 0)[:, 0]
    extra = direct_ahead_loss(base, config, group, batch) - direct_ahead_loss(
        base, replace(config, budget=np.inf), group, batch
    )
    assert (chi > 0.1).all()
    assert float(extra) == pytest.approx(float((2.0 * (chi - 0.05) * (weight > 0)).mean()), rel=1e-4)


def kept(found: Steered) -> WithinBudget:
    """The budget, held against units that nobody has seen."""
    columns = LULL.timelines(1_000, 9, start=0)
    chi = chi_square(policy(found, LULL), LULL.production)[columns["codes"][:, 0] - FIRST_CODE]
    return within_budget(chi, np.flatnonzero(np.diff(columns["unit"], prepend=-1.0)))


def most_within(budget: float) -> float:
    """The greatest gain at Σ χ² ≤ budget: at probability (1 + δ)/2 of the better action χ² is δ², and gains add up."""
    each = 0.5 * LULL.discount ** np.arange(STEPS) * (LULL.reward[:, 1] - LULL.reward[:, 0])
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (np.minimum(middle * each, 1.0) ** 2).sum() <= budget else (low, middle)
    return float(each @ np.minimum(low * each, 1.0))


def test_what_is_learned_stays_within_the_budget_and_gains_nearly_all_that_it_allows() -> None:
    free, bound = learned(budget=np.inf), learned()
    assert kept(free).mean[0] > 5.0
    assert not kept(free).within[0]
    assert kept(bound).within[0]
    assert gain(bound) > 0.6 * gain(free) > 0.4
    assert most_within(2.0) > gain(bound) > 0.9 * most_within(2.0)


def test_the_price_alone_comes_near_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_ahead, "shortened", lambda base, config, group, held_out: group)
    priced = learned.__wrapped__()
    assert kept(priced).mean[0] == pytest.approx(2.0, rel=0.1)
    assert gain(priced) > 0.9 * most_within(2.0)


def test_the_smaller_alpha_the_less_deviation() -> None:
    """With as few units as this the bound is what matters."""
    moved = [
        np.abs(policy(learned(alpha=alpha, units_planned=30, budget=np.inf), LULL) - LULL.production).mean()
        for alpha in (0.5, 1e-9)
    ]
    assert moved[0] > moved[1] + 0.02
