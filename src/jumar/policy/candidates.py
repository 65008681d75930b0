"""The candidates of one attempt: points of the path, each an exported graph, and one graph that holds them all.

In: a fitted learner and some TRAIN rows. Out: ``Candidates``. What the gate scores is what would be released: the
stacked graph differs from each single one in nothing but the list of temperatures.
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

from jumar.features.spec import FeatureSpec
from jumar.learn import OneStep
from jumar.learn.loop import Batch
from jumar.policy.graph import build_graph
from jumar.policy.path import advantage_scale, pessimistic_advantage, temperatures_along
from jumar.policy.scorer import Scorer

SMALLEST_SCALE = 1e-6


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
    """

    spec: FeatureSpec
    temperatures: tuple[float, ...]
    scale: float
    pessimism: float
    minimum: tuple[float, ...]
    models: tuple[bytes, ...]
    stacked: onnx.ModelProto

    @cached_property
    def hashes(self) -> list[str]:
        """SHA-256 of each graph."""
        return [hashlib.sha256(model).hexdigest() for model in self.models]

    def scorer(self, *outputs: str) -> Scorer:
        """The stacked graph, ready to run; with one candidate its pmf is [rows, actions]."""
        return Scorer(self.stacked, self.spec, outputs)


def build_candidates(
    learned: OneStep, rows: Batch, minimum: Sequence[float], count: int, pessimism: float
) -> Candidates:
    """Choose temperatures on TRAIN rows and export every candidate.

    Args:
        learned: the clone and the ensemble.
        rows: TRAIN rows to measure deviation on.
        minimum: [actions] exploration floor.
        count: how many candidates.
        pessimism: κ.
    """
    logits, q = jax.jit(learned.outputs)(rows)
    advantage = pessimistic_advantage(logits, q, pessimism)
    scale = max(advantage_scale(logits, advantage), SMALLEST_SCALE)
    floor = jnp.asarray(minimum, jnp.float32)
    temperatures = temperatures_along(logits, advantage / scale, floor, count)
    export: Any = partial(
        build_graph,
        learned.spec,
        jax.tree.map(np.asarray, learned.clone),
        jax.tree.map(np.asarray, learned.value),
        scale=scale,
        pessimism=pessimism,
        minimum=minimum,
        reward_mean=learned.reward_mean,
        reward_scale=learned.reward_scale,
    )
    return Candidates(
        spec=learned.spec,
        temperatures=temperatures,
        scale=scale,
        pessimism=pessimism,
        minimum=tuple(minimum),
        models=tuple(export(inverse_temperatures=[1 / t]).SerializeToString(deterministic=True) for t in temperatures),
        stacked=export(inverse_temperatures=[1 / t for t in temperatures]),
    )
