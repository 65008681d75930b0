"""Another outcome than the reward, predicted for every action: what "sort by tap probability" sorts by.

In: training rows that carry ``outcome``. Out: ``Outcome``, which predicts. It decides nothing: the report draws it as a
baseline beside the frontier. The main job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jumar.features.raw import Blocks
from jumar.features.spec import FeatureSpec
from jumar.features.vectors import init_tables, vector_width, vectors
from jumar.learn.data import block_columns
from jumar.learn.loop import Batch, Chunks, FitConfig, Params, fit
from jumar.learn.networks import apply_stack, init_stack

ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Outcome:
    """A fitted network for one outcome.

    Attributes:
        spec: fitted features.
        params: {"tables", "net"}.
    """

    spec: FeatureSpec
    params: Params

    def predict(self, blocks: Blocks) -> NDArray[np.float64]:
        """[rows, actions] expected outcome on [0, 1]."""
        run = jax.jit(lambda batch: _expected(self.spec, self.params, batch))
        columns = block_columns(blocks)
        starts = range(0, len(blocks), ROWS_AT_ONCE)
        pieces = [run({name: values[at : at + ROWS_AT_ONCE] for name, values in columns.items()}) for at in starts]
        return np.concatenate([np.asarray(piece, np.float64) for piece in pieces])


def fit_outcome(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    config: FitConfig,
    hidden: tuple[int, ...] = (32, 32),
) -> Outcome:
    """Regress the outcome of the action taken, by squared error.

    Args:
        spec: fitted features.
        actions: number of actions.
        chunks, held_out: rows with ``outcome`` [rows] in [0, 1].
        config: how long and how fast; its seed draws the first parameters.
        hidden: widths of the hidden layers.
    """
    rng = np.random.default_rng(config.seed)

    def loss(params: Params, batch: Batch) -> Array:
        taken = jnp.take_along_axis(_expected(spec, params, batch), batch["action"][:, None], axis=1)[:, 0]
        return jnp.square(taken - batch["outcome"]).mean()

    start = {"tables": init_tables(spec, rng), "net": init_stack(rng, 1, (vector_width(spec), *hidden, actions))}
    return Outcome(spec, fit(loss, start, chunks, held_out, config).params)


def _expected(spec: FeatureSpec, params: Params, batch: Batch) -> Array:
    """[rows, actions] between 0 and 1."""
    ids = [batch[f"ids:{place}"] for place in range(len(spec.ids))]
    x = vectors(spec, params["tables"], batch["numbers"], batch["codes"], ids)
    return jax.nn.sigmoid(apply_stack(params["net"], x)[0])
