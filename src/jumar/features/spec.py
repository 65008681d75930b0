"""What a policy knows about its raw columns: fitted once on TRAIN, shipped inside the policy.

In: nothing. Out: frozen records. ``fit`` makes them; ``raw``, ``vectors`` and the exported graph obey them.
"""

from __future__ import annotations

import msgspec
import numpy as np

CLIP = 4.0
ONE_HOT_LIMIT = 12


class NumberColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the numeric block: x ↦ (asinh((x − centre)/width) − mean)/scale, clipped to ±limit.

    Attributes:
        name: the column of the log; ``part`` says which reading of a timestamp it is, else "".
        centre, width: median and robust spread on TRAIN, in units of the column.
        mean, scale: of the squashed values on TRAIN.
        missing: TRAIN had missing values, so the vector carries an indicator.
        levels: the distinct values of a small integer column, each with an indicator of its own; else empty.
    """

    name: str
    part: str
    centre: float
    width: float
    mean: float
    scale: float
    missing: bool
    levels: tuple[float, ...]


class CategoryColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A category: code 0 is missing, 1 is any value not in ``vocabulary``, 2… follow its order."""

    name: str
    vocabulary: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.vocabulary) + 2


class IdsColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A list of ids, read up to ``length`` entries: code 0 is padding, 1 any unknown id, 2… the vocabulary."""

    name: str
    vocabulary: tuple[str, ...]
    length: int

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.vocabulary) + 2


class FeatureSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that turns raw columns into vectors. Order of columns is the order of the blocks."""

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    ids: tuple[IdsColumn, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the raw columns that are read, each once."""
        blocks = (*self.numbers, *self.categories, *self.ids)
        return tuple(dict.fromkeys(column.name for column in blocks))


def number_constants(spec: FeatureSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre, width, mean and scale of the numeric block, each [number columns] float32."""
    rows = [(c.centre, c.width, c.mean, c.scale) for c in spec.numbers]
    centre, width, mean, scale = np.asarray(rows, np.float32).reshape(-1, 4).T
    return centre, width, mean, scale
