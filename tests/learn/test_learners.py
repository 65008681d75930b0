"""One contract for all learners of sequences: shapes, seeds, export, scale, rows that count nothing, a known best."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.features import FeatureSpec
from jumar.features.raw import Blocks
from jumar.features.spec import CategoryColumn, IdsColumn, NumberColumn
from jumar.learn import CONFIGS, LEARNERS, FitConfig, OneStep, OneStepConfig, Steered, Target, fit_one_step
from jumar.learn.data import Columns, MemoryChunks
from jumar.learn.steered import preferences
from jumar.learn.steps import next_state, reward_unit, signals
from jumar.learn.tilt import tilt
from jumar.policy import Scorer, build_graph
from jumar.policy.candidates import build_candidates

PMF = np.array([[0.6, 0.25, 0.15], [0.3, 0.2, 0.5]])
Q = np.array([[0.2, 0.5, 0.9], [0.7, 0.3, 0.1]])
PLAIN = {"part": "", "centre": 0.0, "width": 1.0, "mean": 0.0, "scale": 1.0, "missing": True, "levels": ()}
SPEC = FeatureSpec(
    numbers=(NumberColumn(name="x", **PLAIN),),
    categories=(CategoryColumn(name="c", vocabulary=tuple(f"v{k}" for k in range(20))),),
    ids=(IdsColumn(name="l", vocabulary=("a", "b", "c"), length=2),),
)
MINIMUM = (0.01, 0.01, 0.01)
MEMBERS, TIMES = 3, 1024.0
FITTED = [name for name in LEARNERS if name != "cloning"]
each_learner = pytest.mark.parametrize("name", LEARNERS)
each_fitted_learner = pytest.mark.parametrize("name", FITTED)


def state_of(context: np.ndarray, rng: np.random.Generator) -> Columns:
    rows = len(context)
    numbers = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows))[:, None].astype(np.float32)
    codes = (2 + 10 * context + rng.integers(0, 10, rows))[:, None].astype(np.int32)  # tells the context
    return {"numbers": numbers, "codes": codes, "ids:0": rng.integers(0, 5, (rows, 2)).astype(np.int32)}


def rows_of(rows: int, seed: int) -> Columns:
    """A bandit, whose next states therefore mean nothing."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 2, rows)
    action = np.minimum((rng.random(rows)[:, None] > PMF[context].cumsum(axis=1)).sum(axis=1), 2).astype(np.int32)
    return {
        **state_of(context, rng),
        **{f"next:{name}": values for name, values in state_of(rng.integers(0, 2, rows), rng).items()},
        "action": action,
        "next:action": rng.integers(0, 3, rows).astype(np.int32),
        "reward": (rng.random(rows) < Q[context, action]).astype(np.float32),
        "discount": np.zeros(rows, np.float32),
        "gamma": np.zeros(rows, np.float32),
        "observed": np.ones(rows, np.float32),
        "unit": rng.integers(0, 2**32, rows, dtype=np.uint32),
        "pmf": PMF[context].astype(np.float32),
    }


def with_open_ends(columns: Columns, seed: int) -> Columns:
    """A tenth of the rows replaced by rows of which nothing is known, with whatever contents."""
    rng, rows = np.random.default_rng(seed), len(columns["action"])
    ends = np.arange(rows) % 10 == 3
    other = rows_of(rows, seed)
    other["reward"] = rng.choice([np.nan, -5.0, 1e6], rows).astype(np.float32)
    other["discount"] = rng.choice([np.nan, 0.5, 1.0], rows).astype(np.float32)
    mixed = {}
    for name, values in columns.items():
        mixed[name] = np.where(ends.reshape(-1, *[1] * (values.ndim - 1)), other[name], values)
    return mixed | {"observed": np.where(ends, 0.0, 1.0).astype(np.float32)}


def on_device(columns: Columns) -> dict[str, Any]:
    return {name: jax.device_put(values) for name, values in columns.items()}


@cache
def base() -> OneStep:
    quick = FitConfig(batch_rows=256, updates=400, learning_rate=1e-2, weight_decay=0.0)
    config = OneStepConfig(members=2, hidden=(8,), clone_hidden=(16,), clone_fit=quick, value_fit=quick)
    columns = rows_of(8_000, 0)
    moments = float(columns["reward"].mean()), float(columns["reward"].std())
    return fit_one_step(SPEC, 3, MemoryChunks.of(columns, 0), on_device(rows_of(1_000, 1)), moments, config)


def config_of(name: str) -> Any:
    quick = FitConfig(batch_rows=256, updates=600, learning_rate=1e-2, weight_decay=0.0, evaluations=3)
    config: Any = CONFIGS[name](members=MEMBERS, hidden=(16,), fit=quick, target=Target(rate=0.1))
    return replace(config, threshold=0.2) if name == "bcq" else config


def fitted(name: str, ends: int, times: float = 1.0) -> Steered:
    columns, stop = rows_of(8_000, 0), rows_of(500, 1)
    if name != "direct":  # of open decisions the gate counts the reward itself, and so does it
        columns, stop = with_open_ends(columns, ends), with_open_ends(stop, ends)
    for rows in (columns, stop):
        rows["reward"] = rows["reward"] * np.float32(times)
    scaled = replace(base(), reward_mean=times * base().reward_mean, reward_scale=times * base().reward_scale)
    told: list[float] = []
    found = LEARNERS[name](
        SPEC, 3, MemoryChunks.of(columns, 0), on_device(stop), scaled, config_of(name), lambda x, _: told.append(x)
    )
    assert told[-1] == 1.0
    return found


@cache
def learned(name: str) -> Steered:
    return fitted(name, ends=2)


def contexts(rows: int = 400) -> tuple[np.ndarray, dict[str, Any]]:
    rng = np.random.default_rng(5)
    context = rng.integers(0, 2, rows)
    return context, on_device(state_of(context, rng))


@each_learner
def test_what_a_learner_hands_over(name: str) -> None:
    found, (_, batch) = learned(name), contexts()
    assert (found.name, found.spec, found.actions) == (name, SPEC, 3)
    members = {"cloning": 1, "direct": 2}.get(name, MEMBERS)  # direct goes on with the networks of the base
    each = preferences(SPEC, found.group, batch)
    assert each.shape == (members, 400, 3)
    assert found.advantage(batch, 1.0).shape == (400, 3)
    assert np.isfinite(each).all()
    assert found.unit > 0
    assert found.clone is base().clone
    assert found.value is base().value
    if name != "cloning":
        assert found.result.updates == 600
        assert len(found.result.history) == 3
        assert np.ptp(each, axis=0).max() > 1e-3, "all members are the same"


@each_fitted_learner
def test_neither_rows_of_which_nothing_is_known_nor_the_scale_of_rewards_change_a_byte(name: str) -> None:
    """The same seed besides; 1024 instead of 1000, because a power of two rounds nothing."""
    one, other = learned(name), fitted(name, ends=7, times=TIMES)
    for mine, theirs in zip(jax.tree.leaves(one.group), jax.tree.leaves(other.group), strict=True):
        assert_array_equal(mine, theirs)
    assert other.unit == TIMES * one.unit
    _, batch = contexts()
    assert_allclose(pmf_of(other, batch, TIMES), pmf_of(one, batch, 1.0), atol=1e-6)


def test_rewards_in_thousandths_give_the_same_policy() -> None:
    _, batch = contexts()
    thousandths = fitted("cql", ends=2, times=1000.0)
    assert thousandths.unit == pytest.approx(1000.0 * learned("cql").unit, rel=1e-5)
    assert_allclose(pmf_of(thousandths, batch, 1000.0), pmf_of(learned("cql"), batch, 1.0), atol=0.02)


def pmf_of(found: Steered, batch: dict[str, Any], times: float) -> np.ndarray:
    logits, _ = found.outputs(batch)
    return np.asarray(tilt(logits, found.advantage(batch, 0.0) / (0.1 * times), 1.0, jnp.asarray(MINIMUM)))


@each_fitted_learner
def test_the_best_actions_of_a_bandit_are_found(name: str) -> None:
    context, batch = contexts()
    found = learned(name).advantage(batch, 0.0)
    best = np.asarray(found).argmax(axis=1) == Q.argmax(axis=1)[context]
    assert best.mean() > 0.98
    if name not in ("cql", "crr", "direct"):  # whose preferences are lower where rows are few, or no values
        expected = Q[context] - (PMF * Q).sum(axis=1)[context, None]
        assert np.abs(found - expected).mean() < 0.05


def test_cloning_changes_nothing() -> None:
    _, batch = contexts()
    found = learned("cloning")
    logits, _ = found.outputs(batch)
    assert_array_equal(found.advantage(batch, 1.0), 0.0)
    assert_allclose(pmf_of(found, batch, 1.0), jax.nn.softmax(logits), atol=1e-6)


@each_learner
def test_the_exported_graph_is_what_the_learner_says(name: str) -> None:
    found, (_, batch) = learned(name), contexts()
    rates, scale = (0.3, 3.0), 0.2
    model = build_graph(found, inverse_temperatures=rates, scale=scale, pessimism=1.0, minimum=MINIMUM)
    numbers, codes, ids = (np.asarray(batch[key]) for key in ("numbers", "codes", "ids:0"))
    blocks = Blocks(numbers, codes, (ids,))
    pmf, advantage, q = Scorer(model, SPEC, ("pmf", "advantage", "q")).run(blocks)
    logits, values = found.outputs(batch)
    own = found.advantage(batch, 1.0)
    assert_allclose(advantage, own, atol=1e-5)
    assert_allclose(q, values.mean(axis=0), atol=1e-5)
    for place, rate in enumerate(rates):
        assert_allclose(pmf[:, place], tilt(logits, own / scale, rate, jnp.asarray(MINIMUM)), atol=1e-5)


@each_learner
def test_candidates_come_of_every_learner(name: str) -> None:
    _, batch = contexts()
    found = build_candidates(learned(name), batch, MINIMUM, 3, 1.0)
    assert len(found.models) == 3
    assert all(np.isfinite(found.temperatures))


@each_fitted_learner
def test_every_field_of_a_config_is_documented(name: str) -> None:
    told = "".join(str(one.__doc__) for one in CONFIGS[name].__mro__)
    for field in CONFIGS[name].__dataclass_fields__:
        assert f"{field}" in told, field
    assert "http" in str(CONFIGS[name].__doc__)


def test_the_next_state_has_the_names_of_a_state() -> None:
    columns = rows_of(4, 0)
    after = next_state(columns)
    assert set(after) == {"numbers", "codes", "ids:0", "action"}
    assert_array_equal(after["codes"], columns["next:codes"])


def test_what_a_row_counts_by_hand() -> None:
    found = replace(base(), reward_mean=0.0, reward_scale=0.5)
    batch = {
        "reward": jnp.array([1.0, jnp.nan, 0.25]),
        "discount": jnp.array([0.9, jnp.nan, 0.0]),
        "observed": jnp.array([1.0, 0.0, 1.0]),
        "unit": jnp.zeros(3, jnp.uint32),
    }
    reward, discount, weight = signals(found, replace(config_of("cql"), members=1), batch)
    assert_allclose(reward, [2.0, 0.0, 0.5])
    assert_allclose(discount, [0.9, 0.0, 0.0])
    assert_allclose(weight, [[1.0, 0.0, 1.0]])
    own = {**batch, "step_reward": jnp.array([3.0, 0.0, 0.0])}
    assert_allclose(signals(found, config_of("cql"), own)[0], [6.0, 0.0, 0.0])
    _, _, several = signals(found, config_of("cql"), batch)
    assert several.shape == (MEMBERS, 3)
    assert_array_equal(several[:, 1], 0.0)
    assert_array_equal(several[:, 0], several[:, 2])


@pytest.mark.parametrize(("mean", "scale", "unit"), [(0.5, 0.2, 0.2), (1.0, 0.0, 0.01), (0.0, 0.0, 1e-9)])
def test_a_unit_of_reward_is_never_zero(mean: float, scale: float, unit: float) -> None:
    assert reward_unit(replace(base(), reward_mean=mean, reward_scale=scale)) == pytest.approx(unit)
