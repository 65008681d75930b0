"""Drawing actions: the same decision always draws the same one.

In: pmfs and one uniform number per decision. Out: action positions and their exact propensities.
"""

from __future__ import annotations

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
