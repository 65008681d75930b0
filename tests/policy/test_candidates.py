"""Candidates with and without an aim: what they cost on fresh rows, their order, their graphs, their bytes."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.errors import OptionError
from jumar.features import FeatureSpec
from jumar.features.raw import Blocks
from jumar.features.spec import NumberColumn
from jumar.features.vectors import vector_width
from jumar.learn import FitResult, OneStep
from jumar.learn.networks import init_stack
from jumar.policy.candidates import Aim, Candidates, build_candidates
from jumar.policy.path import deviation

PLAIN = {"part": "", "centre": 0.0, "width": 1.0, "mean": 0.0, "scale": 1.0, "missing": False, "levels": ()}
SPEC = FeatureSpec(numbers=tuple(NumberColumn(name=name, **PLAIN) for name in "xyz"), categories=(), ids=())
COSTS, FLOOR, ACTIONS = (0.0, 1.0, 0.4), (0.02, 0.02, 0.02), 3


def learner() -> OneStep:
    rng = np.random.default_rng(0)

    def group(members: int, outputs: int) -> dict[str, Any]:
        net = init_stack(rng, members, (vector_width(SPEC), 16, outputs))
        net[-1]["weight"] = 8.0 * net[-1]["weight"]
        return {"tables": [], "net": net}

    clone, value = group(1, ACTIONS), group(4, 1 + ACTIONS)
    return OneStep(SPEC, ACTIONS, clone, value, 0.3, 0.2, FitResult({}), FitResult({}))


def rows_of(rows: int, seed: int) -> dict[str, Any]:
    numbers = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    return {"numbers": jnp.asarray(numbers), "codes": jnp.zeros((rows, 0), jnp.int32)}


def pmfs(candidates: Candidates, rows: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """[rows, K, actions] of the candidates and [rows, actions] of the clone."""
    blocks = Blocks(np.asarray(rows["numbers"]), np.zeros((len(rows["numbers"]), 0), np.int32), ())
    pmf, clone = candidates.scorer("pmf", "clone").run(blocks)
    return pmf.reshape(len(pmf), -1, ACTIONS), clone


@cache
def build(most: float | None, count: int = 10) -> Candidates:
    aim = None if most is None else Aim(COSTS, most)
    return build_candidates(learner(), rows_of(20_000, 1), FLOOR, count, 1.0, aim)


def test_without_an_aim_there_are_no_prices() -> None:
    found = build(None)
    assert found.prices == (0.0,) * 10
    assert found.costs == ()


@pytest.mark.parametrize("share", [0.75, 0.3])
def test_every_candidate_keeps_to_the_cost_on_fresh_rows(share: float) -> None:
    _, clone = pmfs(build(None), rows_of(20_000, 1))
    most = share * float((clone @ COSTS).mean())
    found = build(most)
    own, _ = pmfs(found, rows_of(20_000, 1))
    assert ((own @ COSTS).mean(axis=0) <= most + 2e-4).all()
    fresh, _ = pmfs(found, rows_of(20_000, 2))
    cost = fresh @ COSTS
    error = cost.std(axis=0) * np.sqrt(2 / len(cost))
    assert (np.abs(cost.mean(axis=0) - most) < 4 * error).all()
    assert all(price > 0 for price in found.prices)
    free, _ = pmfs(build(None), rows_of(20_000, 2))
    assert (free @ COSTS).mean(axis=0).min() > most + 0.05  # without prices none would


def test_candidates_go_from_least_to_most_deviation_and_each_graph_is_its_part_of_all() -> None:
    found, rows = build(0.2), rows_of(5_000, 1)
    pmf, clone = pmfs(found, rows)
    moved = [float(deviation(jnp.asarray(pmf[:, k]), jnp.asarray(clone)).mean()) for k in range(pmf.shape[1])]
    assert all(one <= other + 2e-3 for one, other in pairwise(moved))
    assert len(found.temperatures) == len(found.prices) == len(found.models) == len(set(found.hashes)) == pmf.shape[1]


def test_an_aim_that_does_not_bind_changes_nothing() -> None:
    free, loose = build(None, 4), build(2.0, 4)
    assert loose.prices == (0.0,) * 4
    assert loose.temperatures == free.temperatures
    rows = rows_of(500, 3)
    assert_array_equal(pmfs(loose, rows)[0], pmfs(free, rows)[0])


def test_where_no_price_is_enough_the_greediest_comes_as_near_as_it_can() -> None:
    found = build(0.001)
    assert len(found.temperatures) == 1
    pmf, clone = pmfs(found, rows_of(5_000, 2))
    assert_allclose(pmf[..., 1:], np.minimum(clone, 0.02)[:, None, 1:], atol=1e-4)


def test_the_same_rows_give_the_same_bytes() -> None:
    one, two = (build.__wrapped__(0.2, 3) for _ in range(2))
    assert one.models == two.models
    assert one.prices == two.prices


@pytest.mark.parametrize(("costs", "most"), [((0.0, -1.0, 1.0), 0.5), ((0.0, np.nan, 1.0), 0.5), (COSTS, np.nan)])
def test_impossible_costs_are_refused(costs: tuple[float, ...], most: float) -> None:
    with pytest.raises(OptionError, match="Costs"):
        Aim(costs, most)


def test_every_action_needs_its_cost() -> None:
    with pytest.raises(OptionError, match="3 actions and 2 costs"):
        build_candidates(learner(), rows_of(50, 1), FLOOR, 2, 1.0, Aim((0.0, 1.0), 1.0))
