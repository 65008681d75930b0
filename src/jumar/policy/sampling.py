"""Drawing actions: the same decision always draws the same one.

In: pmfs and one uniform number per decision. Out: action positions and their exact propensities.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def draw(pmf: NDArray[np.float64], uniform: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Invert the distribution function at one uniform number per row.

    Args:
        pmf: [rows, actions], summing to one.
        uniform: [rows] in [0, 1).

    Returns:
        Positions [rows] and the probability of each drawn action [rows].
    """
    edges = np.cumsum(pmf, axis=1)
    edges /= edges[:, -1:]  # actions without probability behind the last one that has some end at 1, too
    action = (uniform[:, None] >= edges).sum(axis=1)
    return action, np.take_along_axis(pmf, action[:, None], axis=1)[:, 0]


def hash_key(*parts: str) -> bytes:
    """The key of one stream of numbers: who knows it can replay them, and nobody else can foresee one."""
    lengths = "".join(f"{len(part.encode())}:{part}" for part in parts)  # so that no two lists of parts read alike
    return blake2b(lengths.encode(), digest_size=32).digest()


def uniforms(key: bytes, names: Iterable[str]) -> NDArray[np.float64]:
    """Numbers [rows] in [0, 1), one that belongs to each name: the top 53 bits of its keyed BLAKE2b over 2⁵³.

    The same number in Python::

        digest = hashlib.blake2b(name.encode(), digest_size=8, key=key).digest()
        (int.from_bytes(digest, "little") >> 11) / 2**53

    Args:
        key: from ``hash_key``: what the number is for, such as ("draw", salt, version of the policy).
        names: decision ids or units.
    """
    digests = b"".join(blake2b(name.encode(), digest_size=8, key=key).digest() for name in names)
    return (np.frombuffer(digests, "<u8") >> np.uint64(11)) / 2.0**53
