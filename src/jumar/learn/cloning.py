"""Behaviour cloning: production's clone as it is, which every other learner has to beat.

In: a fitted base. Out: ``Steered`` by preferences that are zero everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jumar.features.spec import FeatureSpec
from jumar.learn.loop import Batch, Chunks, FitResult, Progress
from jumar.learn.one_step import OneStep, init_group
from jumar.learn.steered import Steered
from jumar.learn.steps import StepsConfig, steer


@dataclass(frozen=True)
class CloningConfig(StepsConfig):
    """Behaviour cloning, "ALVINN" by Pomerleau (1988): the clone is the base's, so that there is nothing to choose."""


def fit_cloning(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: CloningConfig,
    progress: Progress | None = None,
) -> Steered:
    """Leave the clone as it is; no row is looked at. Arguments as in ``learn.learners``."""
    del chunks, held_out
    group = jax.tree.map(jnp.zeros_like, init_group(spec, np.random.default_rng(config.seed), 1, (1,), actions))
    if progress is not None:
        progress(1.0, 0.0)
    return steer("cloning", base, FitResult(group, 0.0), group)
