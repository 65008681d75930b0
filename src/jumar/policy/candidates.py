"""The candidates of one attempt: points of the path, each an exported graph, and one graph that holds them all.

In: a fitted learner, some TRAIN rows, and an ``Aim`` where actions cost something. Out: ``Candidates``. What the gate
scores is what would be released: the stacked graph differs from each single one in nothing but the lists of
temperatures and prices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import Array

from jumar.errors import OptionError
from jumar.features.spec import FeatureSpec
from jumar.learn.learned import Learned
from jumar.learn.loop import Batch
from jumar.policy.graph import build_graph
from jumar.policy.path import advantage_scale, deviations, prices_along, temperatures_along
from jumar.policy.scorer import Scorer

SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class Aim:
    """A cost that every candidate has to keep to.

    Attributes:
        costs: [actions] of each action, ≥ 0.
        most: the greatest average cost per decision on the rows that candidates are built from.

    Raises:
        OptionError: a cost is negative or not finite, or ``most`` is no number.
    """

    costs: tuple[float, ...]
    most: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.costs).all() and min(self.costs, default=0.0) >= 0 and np.isfinite(self.most)):
            raise OptionError(
                "Costs of actions are finite and not negative",
                example=(self.costs, self.most),
                remedy="Give each action its cost, and 0 to those that cost nothing.",
            )


@dataclass(frozen=True)
class Candidates:
    """Points of the path from least to most deviation.

    Attributes:
        spec: fitted features.
        temperatures: β of each, in units of ``scale``.
        scale: root mean square of the pessimistic advantage under the clone, on the reward's [0, 1] scale.
        pessimism: κ.
        minimum: [actions] exploration floor.
        models: one graph each, as bytes.
        stacked: the graph of all, with pmf [rows, policies, actions].
        prices: ν of each, in rewards on [0, 1] per unit of cost; zeros without an aim.
        costs: [actions] of each action; empty without an aim.
    """

    spec: FeatureSpec
    temperatures: tuple[float, ...]
    scale: float
    pessimism: float
    minimum: tuple[float, ...]
    models: tuple[bytes, ...]
    stacked: onnx.ModelProto
    prices: tuple[float, ...]
    costs: tuple[float, ...]

    @cached_property
    def hashes(self) -> list[str]:
        """SHA-256 of each graph."""
        return [hashlib.sha256(model).hexdigest() for model in self.models]

    def scorer(self, *outputs: str) -> Scorer:
        """The stacked graph, ready to run; with one candidate its pmf is [rows, actions]."""
        return Scorer(self.stacked, self.spec, outputs)


def build_candidates(
    learned: Learned,
    rows: Batch,
    minimum: Sequence[float],
    count: int,
    pessimism: float,
    aim: Aim | None = None,
    *,
    near: bool = False,
) -> Candidates:
    """Choose temperatures, and prices where something costs, on TRAIN rows and export every candidate.

    Args:
        learned: what the learner found.
        rows: TRAIN rows to measure deviation and cost on.
        minimum: [actions] exploration floor.
        count: how many candidates; fewer come out where an aim rules some out.
        pessimism: κ.
        aim: the cost that each of them has to keep to.
        near: each deviates half as much as the next, instead of by equal steps.

    Raises:
        OptionError: the aim has another number of actions.
    """
    if aim is not None and len(aim.costs) != learned.actions:
        raise OptionError(
            f"There are {learned.actions} actions and {len(aim.costs)} costs", remedy="Give each action its cost."
        )
    logits, advantage = jax.jit(lambda batch: (learned.outputs(batch)[0], learned.advantage(batch, pessimism)))(rows)
    scale = max(advantage_scale(logits, advantage), SMALLEST_SCALE)
    standard, floor = advantage / scale, jnp.asarray(minimum, jnp.float32)
    temperatures = temperatures_along(logits, standard, floor, count, near=near)
    prices, costs = (0.0,) * len(temperatures), ()
    if aim is not None:
        costs = aim.costs
        temperatures, prices = _meet(logits, standard, floor, temperatures, aim, scale)
    export: Any = partial(build_graph, learned, scale=scale, pessimism=pessimism, minimum=minimum, costs=costs)
    points = list(zip(temperatures, prices, strict=True))
    return Candidates(
        spec=learned.spec,
        temperatures=temperatures,
        scale=scale,
        pessimism=pessimism,
        minimum=tuple(minimum),
        models=tuple(
            export(inverse_temperatures=[1 / t], prices=[price]).SerializeToString(deterministic=True)
            for t, price in points
        ),
        stacked=export(inverse_temperatures=[1 / t for t in temperatures], prices=prices),
        prices=prices,
        costs=costs,
    )


def _meet(
    logits: Array, advantage: Array, floor: Array, temperatures: tuple[float, ...], aim: Aim, scale: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Temperatures and prices that keep to the aim, from least to most deviation from the clone.

    The advantage is standardised; prices come out in rewards.
    """
    standard, met = prices_along(logits, advantage, floor, temperatures, aim.costs, aim.most)
    if not met.any():
        met[-1] = True  # the greediest at the price that comes nearest: the gate will say that it is not enough
    betas = np.asarray(temperatures)[met]
    prices = [_rounded_up(price * scale) for price in standard[met]]
    rates, costs = jnp.asarray(1 / betas, jnp.float32), jnp.asarray(aim.costs, jnp.float32)
    offsets = jnp.asarray(prices / betas / scale, jnp.float32)
    order = np.argsort(np.asarray(deviations(logits, advantage, floor, rates, offsets, costs)), kind="stable")
    return tuple(float(betas[k]) for k in order), tuple(prices[k] for k in order)


def _rounded_up(price: float) -> float:
    """Six significant digits and no less: a lower price would miss the cost."""
    near = float(f"{price:.6g}")
    return near if near >= price else float(f"{near + 10.0 ** (np.floor(np.log10(price)) - 5):.6g}")
