"""Plain networks as dictionaries of arrays: a stack of equal multilayer perceptrons, run as one batched product.

In: vectors [rows, width]. Out: [members, rows, outputs]. A single network is a stack of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Stack = list[dict[str, Array]]


def init_stack(rng: np.random.Generator, members: int, widths: Sequence[int]) -> Stack:
    """He-initialised layers; the last layer starts near zero, so that a fit starts from "no opinion".

    NumPy draws them: JAX would compile a program for every shape, which takes longer than a small fit.
    """
    layers: Stack = []
    pairs = list(pairwise(widths))
    for place, (fan_in, fan_out) in enumerate(pairs):
        gain = 0.1 if place == len(pairs) - 1 else 2.0**0.5
        weight = gain / fan_in**0.5 * rng.standard_normal((members, fan_in, fan_out), np.float32)
        layers.append({"weight": jnp.asarray(weight), "bias": jnp.zeros((members, 1, fan_out))})
    return layers


def apply_stack(layers: Stack, x: Array) -> Array:
    """Run every member on the same rows: [rows, width] → [members, rows, outputs]."""
    first, *rest = layers
    h = jnp.einsum("nd,edh->enh", x, first["weight"]) + first["bias"]
    for layer in rest:
        h = jnp.einsum("enh,ehk->enk", jax.nn.relu(h), layer["weight"]) + layer["bias"]
    return h


def with_last_layer(layers: Stack, linear: Callable[[Array], Array]) -> Stack:
    """The stack whose outputs are a linear map of what they were, worked into its last layer.

    Args:
        layers: a stack.
        linear: maps arrays along their last axis, [..., outputs] → [..., fewer outputs].
    """
    *hidden, last = layers
    return [*hidden, {name: linear(array) for name, array in last.items()}]


def dueling(out: Array) -> Array:
    """Q = V + A − Σ_b A(b)/actions from [..., 1 + actions] with V first, as one product: [..., actions].

    See "Dueling Network Architectures for Deep Reinforcement Learning" by Wang et al.
    (https://arxiv.org/abs/1511.06581).
    """
    actions = out.shape[-1] - 1
    mix = np.concatenate([np.ones((1, actions)), np.eye(actions) - 1.0 / actions]).astype(np.float32)
    return jnp.einsum("...k,ka->...a", out, mix)


def mean_of_quantiles(actions: int, out: Array) -> Array:
    """Averages of each action's quantiles: [..., actions · quantiles] → [..., actions]."""
    return out.reshape(*out.shape[:-1], actions, -1).mean(axis=-1)
