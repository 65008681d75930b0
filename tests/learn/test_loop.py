"""The fit loop with a target network: how it follows, how long a fit lasts, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.errors import JumarError
from jumar.learn import FitConfig, FitResult, Target, fit
from jumar.learn.data import MemoryChunks

CONFIG = FitConfig(batch_rows=16, updates=600, learning_rate=5e-2, weight_decay=0.0, evaluations=6, patience=1)


def half_of_the_target(params: Any, target: Any, batch: Any) -> Any:
    """Its minimum is at ½·target + y, so that it comes to rest at 2·y when the target follows, and else at y."""
    return ((params["w"] - 0.5 * target["w"] - batch["y"]) ** 2).mean()


def fitted(target: Target | None, y: float = 1.0, **changes: Any) -> FitResult:
    columns = {"action": np.zeros(200, np.int32), "y": np.full(200, y, np.float32)}
    chunks, held_out = MemoryChunks.of(columns, 0), {"y": jnp.full(4, y)}
    start = {"w": jnp.zeros(()), "other": jnp.ones((2, 3))}
    return fit(half_of_the_target, start, chunks, held_out, replace(CONFIG, **changes), None, target)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(rate=0.05), 2.0),
        (Target(rate=1.0), 2.0),
        (Target(rate=0.0), 1.0),
        (Target(period=20), 2.0),
        (Target(period=300), 1.5),
        (Target(period=10_000), 1.0),
    ],
)
def test_a_target_follows_at_its_rate_or_every_period(target: Target, expected: float) -> None:
    """After one copy of what had settled at 1, halfway through, the fit settles at ½·1 + 1."""
    assert_allclose(fitted(target).params["w"], expected, atol=0.02)


def test_a_fit_with_a_target_makes_all_its_updates_and_keeps_the_last_average() -> None:
    found = fitted(Target(rate=0.05))
    assert found.updates == CONFIG.updates
    assert len(found.history) == CONFIG.evaluations
    assert found.loss == found.history[-1]
    assert_array_equal(found.params["other"], 1.0)


def test_the_loss_of_a_fit_with_a_target_may_rise() -> None:
    """Once the target is copied, what had settled is wrong again; the fit goes on all the same."""
    found = fitted(Target(period=500), updates=600, evaluations=24)
    assert found.history[-5] > 10 * min(found.history[:18])
    assert found.updates == 600
    assert found.params["w"] > 1.05


@pytest.mark.parametrize("y", [np.inf, np.nan])
def test_a_fit_that_runs_away_is_refused(y: float) -> None:
    with pytest.raises(JumarError, match="no longer finite"):
        fitted(Target(), y=y)


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (fitted(Target(rate=0.05)).params["w"] for _ in range(2))
    assert_array_equal(one, two)
