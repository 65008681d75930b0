"""Blocks of raw numbers and codes to one dense vector per row: a pure function in JAX.

In: ``Blocks`` as arrays, a ``FeatureSpec``, the learned embedding tables. Out: [rows, width] float32.
The exported graph (``policy.graph``) spells the same function in ONNX; a parity test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jumar.features.spec import CLIP, ONE_HOT_LIMIT, FeatureSpec, number_constants

MAX_EMBEDDING = 12


def embedding_width(size: int) -> int:
    """Columns of the embedding of a category with ``size`` codes."""
    return min(MAX_EMBEDDING, int(np.ceil(size**0.5)) + 1)


def embedded(spec: FeatureSpec) -> tuple[int, ...]:
    """Sizes of the columns that have a learned table: large categories first, then all id lists."""
    large = tuple(column.size for column in spec.categories if column.size > ONE_HOT_LIMIT)
    return large + tuple(column.size for column in spec.ids)


def init_tables(spec: FeatureSpec, rng: np.random.Generator) -> list[Array]:
    """Embedding tables, each [codes, embedding width]."""
    shapes = [(size, embedding_width(size)) for size in embedded(spec)]
    return [jnp.asarray(np.float32(0.3) * rng.standard_normal(shape, np.float32)) for shape in shapes]


def vector_width(spec: FeatureSpec) -> int:
    """Width of the vector that ``vectors`` returns."""
    one_hot = sum(column.size for column in spec.categories if column.size <= ONE_HOT_LIMIT)
    flags = sum(column.missing for column in spec.numbers) + sum(len(column.levels) for column in spec.numbers)
    tables = sum(embedding_width(size) for size in embedded(spec))
    return len(spec.numbers) + flags + one_hot + tables + len(spec.ids)


def vectors(spec: FeatureSpec, tables: Sequence[Array], numbers: Array, codes: Array, ids: Sequence[Array]) -> Array:
    """Dense vectors of some rows.

    Args:
        spec: the fitted specification (static).
        tables: embedding tables as ``init_tables`` makes them.
        numbers: [rows, number columns] float32, NaN where missing.
        codes: [rows, category columns] int32.
        ids: one [rows, length] int32 array per id-list column.

    Returns:
        [rows, width] float32.
    """
    parts: list[Array] = []
    if spec.numbers:
        centre, width, mean, scale = number_constants(spec)
        absent = jnp.isnan(numbers)
        squashed = (jnp.arcsinh((numbers - centre) / width) - mean) / scale
        parts.append(jnp.where(absent, 0.0, jnp.clip(squashed, -CLIP, CLIP)))
        flagged = [place for place, column in enumerate(spec.numbers) if column.missing]
        if flagged:
            parts.append(absent[:, jnp.array(flagged)].astype(jnp.float32))
        for place, column in enumerate(spec.numbers):
            if column.levels:
                levels = jnp.array(column.levels, jnp.float32)
                parts.append((numbers[:, place, None] == levels).astype(jnp.float32))
    remaining = list(tables)
    for place, column in enumerate(spec.categories):
        if column.size <= ONE_HOT_LIMIT:
            parts.append(jax.nn.one_hot(codes[:, place], column.size))
        else:
            parts.append(remaining.pop(0)[codes[:, place]])
    for entries in ids:
        present = (entries > 0).astype(jnp.float32)
        count = present.sum(axis=1, keepdims=True)
        total = (remaining.pop(0)[entries] * present[:, :, None]).sum(axis=1)
        parts.append(total / jnp.maximum(count, 1.0))
        parts.append(jnp.log1p(count))
    return jnp.concatenate(parts, axis=1)
