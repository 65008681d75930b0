"""What a tilt is: the clone moved by an advantage, kept above an exploration floor.

In: clone logits, an advantage or a preference. Out: pmfs. ``policy.path`` goes along it, ``learn.direct`` trains
through it, ``policy.graph`` spells it in ONNX.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def tilt(logits: Array, advantage: Array, inverse_temperature: float | Array, minimum: Array) -> Array:
    """One point of the path: production's clone, tilted by the advantage, kept above the floor.

    Args:
        logits: [rows, actions] of the clone.
        advantage: [rows, actions], standardised.
        inverse_temperature: 1/β; 0 gives the clone itself.
        minimum: [actions] least probability of each action, where the clone gives it that much.

    Returns:
        [rows, actions] pmf.
    """
    clone = jax.nn.softmax(logits)
    tilted = jax.nn.softmax(jax.nn.log_softmax(logits) + advantage * inverse_temperature)
    return keep_exploring(tilted, clone, minimum)


def keep_exploring(pmf: Array, clone: Array, minimum: Array) -> Array:
    """Lift a pmf so that no action falls below ``minimum``, or below the clone where that is lower still.

    With b = min(π₀, minimum): π ↦ b + (1 − Σb)·(π − b)⁺/Σ(π − b)⁺. The clone is mapped to itself, a greedy policy
    to one that keeps exactly the floor, and actions that production never takes get nothing from it.
    """
    floor = jnp.minimum(clone, minimum)
    excess = jnp.maximum(pmf - floor, 0.0)
    return floor + (1.0 - floor.sum(-1, keepdims=True)) * excess / excess.sum(-1, keepdims=True)
