"""Learning on a two-context bandit whose truth is known: clone, value, chunks, seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.features import FeatureSpec
from jumar.features.spec import NumberColumn
from jumar.learn import FitConfig, OneStep, OneStepConfig, fit, fit_one_step
from jumar.learn.data import Columns, MemoryChunks, SpilledChunks, unit_codes
from jumar.learn.one_step import known_production

PMF = np.array([[0.8, 0.15, 0.05], [0.2, 0.2, 0.6]])
Q = np.array([[0.2, 0.5, 0.9], [0.7, 0.3, 0.1]])
PLAIN = {"part": "", "centre": 0.0, "width": 1.0, "mean": 0.0, "scale": 1.0, "missing": False, "levels": ()}
SPEC = FeatureSpec(numbers=(NumberColumn(name="x", **PLAIN),), categories=(), ids=())
CONTEXTS = {"numbers": jnp.array([[-1.0], [1.0]]), "codes": jnp.zeros((2, 0), jnp.int32)}


def rows_of(rows: int, seed: int, *without: str) -> Columns:
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 2, rows)
    action = (rng.random(rows)[:, None] > PMF[context].cumsum(axis=1)).sum(axis=1).astype(np.int32)
    columns = {
        "numbers": (2.0 * context[:, None] - 1).astype(np.float32),
        "codes": np.zeros((rows, 0), np.int32),
        "action": action,
        "reward": (rng.random(rows) < Q[context, action]).astype(np.float32),
        "unit": rng.integers(0, 2**32, rows, dtype=np.uint32),
        "propensity": PMF[context, action].astype(np.float32),
        "pmf": PMF[context].astype(np.float32),
    }
    return {name: values for name, values in columns.items() if name not in without}


def config(members: int = 2) -> OneStepConfig:
    quick = FitConfig(batch_rows=256, updates=600, learning_rate=1e-2)
    slow = FitConfig(batch_rows=256, updates=600, learning_rate=1e-2, weight_decay=0.1)
    return OneStepConfig(members=members, hidden=(16,), clone_hidden=(16,), clone_fit=quick, value_fit=slow)


def learned_from(*without: str, pieces: int = 0, seed: int = 0) -> OneStep:
    columns = rows_of(20_000, 0, *without)
    moments = (float(columns["reward"].mean()), float(columns["reward"].std()))
    if pieces:
        chunks: Any = SpilledChunks.of(in_pieces(columns, 3_000), pieces, seed)
    else:
        chunks = MemoryChunks.of(columns, seed)
    held_out = {name: jax.device_put(v) for name, v in rows_of(4_000, 1, *without).items()}
    return fit_one_step(SPEC, 3, chunks, held_out, moments, config())


def in_pieces(columns: Columns, size: int) -> Iterator[Columns]:
    for start in range(0, len(columns["action"]), size):
        yield {name: values[start : start + size] for name, values in columns.items()}


@pytest.fixture(scope="module")
def full() -> OneStep:
    return learned_from()


def answers(learned: OneStep) -> tuple[np.ndarray, np.ndarray]:
    logits, q = learned.outputs(CONTEXTS)
    return np.asarray(jax.nn.softmax(logits)), np.asarray(q.mean(axis=0))


def test_a_logged_pmf_is_cloned_exactly_and_production_s_values_are_found(full: OneStep) -> None:
    clone, q = answers(full)
    assert_allclose(clone, PMF, atol=0.005)
    assert_allclose(q, Q, atol=0.08)


@pytest.mark.parametrize("without", [("pmf",), ("pmf", "propensity")])
def test_the_clone_finds_production_from_less(without: tuple[str, ...]) -> None:
    clone, q = answers(learned_from(*without))
    assert_allclose(clone, PMF, atol=0.03)
    assert_allclose(q, Q, atol=0.08)


def test_the_value_of_production_is_the_mean_reward(full: OneStep) -> None:
    clone, q = answers(full)
    assert_allclose((clone * q).sum(axis=1), (PMF * Q).sum(axis=1), atol=0.02)


def test_spilled_rows_teach_as_much_as_rows_in_memory(full: OneStep) -> None:
    spilled = learned_from(pieces=4)
    for one, other in zip(answers(full), answers(spilled), strict=True):
        assert_allclose(one, other, atol=0.06)
    assert spilled.clone_result.loss == pytest.approx(full.clone_result.loss, abs=2e-3)
    assert spilled.value_result.loss == pytest.approx(full.value_result.loss, rel=0.02)


def test_a_fit_is_repeatable_bit_for_bit(full: OneStep) -> None:
    leaves = [jax.tree.leaves((one.clone, one.value)) for one in (full, learned_from())]
    for one, two in zip(leaves[0], leaves[1], strict=True):
        assert_array_equal(one, two)


def test_spilled_chunks_hold_every_row_once_with_its_columns_together() -> None:
    columns = rows_of(5_000, 3)
    columns["ids:0"] = np.arange(10_000, dtype=np.int32).reshape(5_000, 2)
    chunks = SpilledChunks.of(in_pieces(columns, 700), 3, seed=5)
    assert chunks.sizes is not None
    assert chunks.sizes.sum() == 5_000
    seen: list[np.ndarray] = []
    for visit in range(12):  # the longer piles are cut to the shortest, differently at every visit
        for pile in chunks.visit(np.random.default_rng(visit)):
            first = np.asarray(pile["ids:0"])[:, 0] // 2
            for name in ("reward", "unit", "pmf", "numbers"):
                assert_array_equal(np.asarray(pile[name]), columns[name][first])
            seen.append(first)
    assert_array_equal(np.unique(np.concatenate(seen)), np.arange(5_000))
    one_visit = np.concatenate(seen[:3])
    assert len(one_visit) == len(set(one_visit)) == 3 * chunks.rows
    assert chunks.rows > 0.9 * 5_000 / 3


def test_memory_chunks_hold_every_row_once() -> None:
    columns = rows_of(1_000, 3)
    (visit,) = MemoryChunks.of(columns, 0).visit(np.random.default_rng(0))
    assert_array_equal(np.sort(np.asarray(visit["unit"])), np.sort(columns["unit"]))
    assert (np.asarray(visit["unit"]) != columns["unit"]).any()


def test_unit_codes_are_the_end_of_the_hash_even_of_a_slice() -> None:
    words = [hashlib.md5(str(i).encode()).hexdigest() for i in range(50)]
    expected = [int(word[-8:], 16) for word in words]
    assert_array_equal(unit_codes(pa.array(words)), expected)
    assert_array_equal(unit_codes(pa.array(words).slice(7, 20)), expected[7:27])
    assert len(unit_codes(pa.array([], pa.string()))) == 0


def test_production_is_known_for_two_actions_with_propensities() -> None:
    batch = {"action": jnp.array([0, 1]), "propensity": jnp.array([0.8, 0.3])}
    found = known_production(batch, 2)
    assert found is not None
    assert_allclose(found, [[0.8, 0.2], [0.7, 0.3]], atol=1e-6)
    assert known_production(batch, 3) is None
    assert known_production({"action": batch["action"]}, 2) is None


@pytest.mark.parametrize("rows", [3, 64, 200])
def test_small_logs_are_fitted_in_few_looks(rows: int) -> None:
    """A look at the held-out rows per update would make 200 rows slower than 200,000."""
    target = jnp.array([2.0])
    chunks = MemoryChunks.of({"action": np.zeros(rows, np.int32), "y": np.full((rows, 1), 2.0, np.float32)}, 0)
    start = {"w": jnp.zeros(1)}
    settings = FitConfig(batch_rows=64, updates=2_000, learning_rate=1e-2, patience=1_000)
    result = fit(lambda p, batch: ((p["w"] - batch["y"]) ** 2).mean(), start, chunks, {"y": target}, settings)
    assert_allclose(result.params["w"], target, atol=1e-2)
    assert len(result.history) <= 2 * settings.evaluations


def test_a_fit_stops_when_held_out_rows_stop_improving() -> None:
    rng = np.random.default_rng(0)
    chunks = MemoryChunks.of({"action": np.zeros(4_000, np.int32), "y": rng.normal(size=4_000).astype(np.float32)}, 0)
    settings = FitConfig(batch_rows=64, updates=100_000, patience=3, evaluations=1_000, learning_rate=0.05)
    held_out = {"y": jnp.zeros(1)}
    result = fit(lambda p, batch: ((p["w"] - batch["y"]) ** 2).mean(), {"w": jnp.zeros(())}, chunks, held_out, settings)
    assert result.updates < 20_000
    assert result.loss == min(result.history)
