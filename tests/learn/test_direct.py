"""The direct learner: its loss by hand, its objective against the bound it stands for, what α does to it."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from jumar.features import FeatureSpec
from jumar.features.raw import Blocks
from jumar.features.spec import NumberColumn
from jumar.learn import (
    DirectConfig,
    FitConfig,
    OneStep,
    OneStepConfig,
    Steered,
    direct,
    fit_direct,
    fit_one_step,
    losses,
)
from jumar.learn.data import MemoryChunks
from jumar.learn.direct import direct_loss, fraction
from jumar.learn.learned import pessimistic_advantage
from jumar.learn.steered import preferences
from jumar.learn.tilt import tilt
from jumar.policy.candidates import Aim, build_candidates

PMF = np.array([0.7, 0.2, 0.1])
SLOPE = np.array([-0.2, 0.1, 0.25])  # action a is worth 0.4 + SLOPE[a]·x: what is best depends on the sign of x
PLAIN = {"part": "", "centre": 0.0, "width": 1.0, "mean": 0.0, "scale": 1.0, "missing": False, "levels": ()}
SPEC = FeatureSpec(numbers=(NumberColumn(name="x", **PLAIN),), categories=(), ids=())
FLOOR = (0.02, 0.02, 0.02)


def worth(x: np.ndarray) -> np.ndarray:
    return 0.4 + SLOPE * np.tanh(x)[:, None]


def rows_of(rows: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    action = rng.choice(3, rows, p=PMF).astype(np.int32)
    return {
        "numbers": x[:, None].astype(np.float32),
        "codes": np.zeros((rows, 0), np.int32),
        "action": action,
        "reward": (rng.random(rows) < worth(x)[np.arange(rows), action]).astype(np.float32),
        "unit": rng.integers(0, 2**32, rows, dtype=np.uint32),
        "propensity": PMF[action].astype(np.float32),
    }


def without_propensities(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in columns.items() if name != "propensity"}


def config(alpha: float = 1e-3, rows_planned: int = 20_000) -> DirectConfig:
    quick = FitConfig(batch_rows=256, updates=500, learning_rate=1e-2)
    value = FitConfig(batch_rows=256, updates=500, learning_rate=1e-2, weight_decay=0.1)
    base = OneStepConfig(members=2, hidden=(16,), clone_hidden=(16,), clone_fit=quick, value_fit=value)
    slow = FitConfig(batch_rows=256, updates=500, learning_rate=2e-3, weight_decay=0.0)
    return DirectConfig(alpha, rows_planned, minimum=FLOOR[0], one_step=base, fit=slow)


@cache
def base_of(told: bool) -> OneStep:
    """What direct starts from; that its own fit is repeatable is tested elsewhere."""
    return fit_one_step(SPEC, 3, *rows_for(told), config().one_step)


def rows_for(told: bool) -> tuple[MemoryChunks, Any, tuple[float, float]]:
    columns, stop = rows_of(20_000, 0), rows_of(5_000, 1)
    if not told:
        columns, stop = without_propensities(columns), without_propensities(stop)
    held_out = {name: jax.device_put(values) for name, values in stop.items()}
    return MemoryChunks.of(columns, 0), held_out, (float(columns["reward"].mean()), float(columns["reward"].std()))


@cache
def learned(alpha: float = 1e-3, rows_planned: int = 20_000, told: bool = True) -> Steered:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "fit_one_step", lambda *_: base_of(told))
        return fit_direct(SPEC, 3, *rows_for(told), config(alpha, rows_planned))


def tilted(found: Steered, rows: dict[str, Any], temperature: float = 1.0) -> np.ndarray:
    """π₀·exp(g/β) for the mean of the ensemble, above the floor."""
    logits, _ = found.outputs(rows)
    return np.asarray(tilt(logits, found.advantage(rows, 0.0) / found.unit, 1 / temperature, jnp.asarray(FLOOR)))


def test_the_bet_s_loss_by_hand() -> None:
    gain, bet = jnp.array([[0.0, 1.0, -1.0], [3.0, -0.5, 0.0]]), jnp.array([0.5, 0.1])
    logs = np.array([[0.0, np.log(1.5), np.log(0.5)], [np.log(1.3), np.log(0.95), 0.0]])
    expected = 0.02 / np.array([[0.5], [0.1]]) - logs / np.array([[0.5], [0.1]])
    assert_allclose(losses.bet_loss(gain, bet, 0.02), expected, atol=1e-6)


def test_the_bet_by_hand() -> None:
    # sqrt(2·ln(20)/(100·0.25)) = 0.4896, and the cap where almost nothing is at stake.
    found = fraction(jnp.array([0.25, 1e-9]), 0.05, 100)
    assert_allclose(found, [np.sqrt(2 * np.log(20) / 25), 0.9], rtol=1e-5)


@given(st.integers(0, 1_000))
@settings(max_examples=30, deadline=None)
def test_the_loss_at_its_bet_is_the_bound_that_a_gate_can_expect(seed: int) -> None:
    """mean d − sqrt(2·ln(1/α)·E[d²]/n) up to the third order of λ·d."""
    d = 0.1 * np.random.default_rng(seed).uniform(-1, 1, (1, 4_000))
    n, evidence = 100_000, np.log(1_000) / 100_000
    bet = fraction(jnp.asarray((d**2).mean(axis=1), jnp.float32), 1e-3, n)
    found = float(losses.bet_loss(jnp.asarray(d, jnp.float32), bet, evidence).mean())
    expected = d.mean() - np.sqrt(2 * evidence * (d**2).mean())
    assert found == pytest.approx(-expected, abs=float(bet[0]) ** 2 * np.abs(d).max() ** 3)


@given(st.integers(0, 1_000))
@settings(max_examples=30, deadline=None)
def test_the_control_variate_is_zero_on_average_and_needs_right_propensities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mu, pi, q = rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4), (2, 6)), rng.normal(size=(6, 4))

    def average(logged: np.ndarray) -> np.ndarray:
        each = [
            losses.control_variate(
                jnp.asarray(pi[..., a] / logged[:, a]), jnp.asarray(pi), jnp.asarray(q), jnp.full(6, a)
            )
            for a in range(4)
        ]
        return (np.stack(each, axis=-1) * mu).sum(axis=-1)

    assert_allclose(average(mu), 0.0, atol=1e-4)
    assert np.abs(average(mu[::-1])).max() > 1e-3


def test_g_finds_what_is_best_and_beats_production() -> None:
    found, rows = learned(), rows_of(4_000, 2)
    x = rows["numbers"][:, 0]
    greedy = tilted(found, rows, 1e-3)
    clear = np.abs(x) > 0.5
    assert (greedy.argmax(axis=1) == np.where(x > 0, 2, 0))[clear].mean() > 0.98
    gain = ((tilted(found, rows) - PMF) * worth(x)).sum(axis=1).mean()
    best = (worth(x).max(axis=1) - worth(x) @ PMF).mean()
    assert gain > 0.5 * best


def test_the_smaller_alpha_the_less_deviation() -> None:
    """With as few rows as this the bound is what matters; alike at 10⁻¹ and 10⁻⁹ would mean that α did nothing."""
    rows = rows_of(4_000, 2)
    moved = [0.5 * np.abs(tilted(learned(alpha, 500), rows) - PMF).sum(1).mean() for alpha in (0.5, 1e-2, 1e-9)]
    assert moved[0] > moved[1] + 0.01 > moved[2] + 0.02


def test_the_objective_improves_on_where_it_started() -> None:
    found = learned()
    assert found.result.loss == min(found.result.history)
    held_out = {name: jax.device_put(values) for name, values in rows_of(5_000, 1).items()}
    again = float(direct_loss(found, config(), found.group, held_out))
    assert again == pytest.approx(found.result.loss, rel=1e-4)
    nothing = jax.tree.map(jnp.zeros_like, found.group)
    assert again < float(direct_loss(found, config(), nothing, held_out))


def test_the_values_are_those_of_one_step_and_the_advantage_is_g() -> None:
    found, rows = learned(), rows_of(100, 3)
    logits, q = found.outputs(rows)
    assert_allclose(np.asarray(q.mean(axis=0)), worth(rows["numbers"][:, 0]), atol=0.15)
    g = preferences(SPEC, found.group, rows)
    for pessimism in (0.0, 1.0):
        expected = found.unit * pessimistic_advantage(logits, g, pessimism)
        assert_allclose(found.advantage(rows, pessimism), expected, atol=1e-6)
    assert np.abs(found.advantage(rows, 0.0) - pessimistic_advantage(logits, q, 0.0)).max() > 1e-3


def test_without_propensities_the_clone_s_take_their_place() -> None:
    rows = rows_of(4_000, 2)
    assert np.abs(tilted(learned(told=False), rows) - tilted(learned(), rows)).mean() < 0.05


def test_a_fit_is_repeatable_bit_for_bit() -> None:
    for one, two in zip(jax.tree.leaves(learned().group), jax.tree.leaves(learned.__wrapped__().group), strict=True):
        assert_array_equal(one, two)


def test_candidates_of_the_direct_learner_are_scored_by_their_graph_as_in_training() -> None:
    found, rows = learned(), rows_of(5_000, 4)
    candidates = build_candidates(found, rows, FLOOR, 4, 1.0, Aim((0.0, 1.0, 1.0), 0.25))
    blocks = Blocks(rows["numbers"], rows["codes"], ())
    pmf, advantage, q = candidates.scorer("pmf", "advantage", "q").run(blocks)
    logits, values = found.outputs(rows)
    own = found.advantage(rows, 1.0)
    assert_allclose(advantage, own, atol=1e-5)
    assert_allclose(q, values.mean(axis=0), atol=1e-5)
    for k, (temperature, price) in enumerate(zip(candidates.temperatures, candidates.prices, strict=True)):
        assert price > 0
        net = (own - price * jnp.asarray(candidates.costs)) / candidates.scale
        expected = tilt(logits, net, 1 / temperature, jnp.asarray(FLOOR))
        close = np.abs(pmf[:, k] - expected).max(axis=1) < 1e-5
        assert close.mean() > (
            0.99 if temperature < 0.01 else 0.9999
        )  # nearly greedy, ties are decided by the last bit
        assert pmf[:, k, 1:].sum(axis=1).mean() <= 0.25 + 1e-3
