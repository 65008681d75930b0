"""Growth: Σ log(1 + λ·d) for many bets λ at once, several times faster than one logarithm per row and bet.

In: rows of a bounded variable d, and bets. Out: their sums. Evidence (``capital``, ``star``) imports this module.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_GROUP = 8  # rows multiplied out into one polynomial of the bet
_FOLDED = 16  # groups multiplied before one logarithm is taken: 8 · 16 = 128 rows
_LARGE = 50.0  # (1 + 0.95·50)^128 and 0.05^128 are both far inside float64
_ROWS_AT_ONCE = 32_768
# OpenBLAS starts threads above 2^18 multiplications. They spin, and on shared cores that costs thirty times.
_MULTIPLICATIONS_AT_ONCE = 2**18 - 1


def log_growth(d: Floats, fractions: Floats, bound: float = 1.0) -> Floats:
    """Σ_i log(1 + λ·d_i) for many bets λ at once.

    Rows with d = 0 cost nothing. Eight rows are multiplied out into one polynomial of the bet, so that one
    matrix product does the work of all bets; 128 rows share one logarithm. With u = d/bound + 1 ≥ 0 and
    s = λ·bound the polynomial is Σ_j s^j·(1 − s)^(8−j)·e_j(u), where e_j is the elementary symmetric
    polynomial: no term is negative, so nothing cancels.

    Args:
        d: [rows] values ≥ −bound.
        fractions: [bets] bets in (0, 0.95 / bound].
        bound: the least value of d is −bound.

    Returns:
        [bets] sums.
    """
    d = d[d != 0.0]
    stakes = fractions * bound
    weights = _weights(stakes)
    total = np.zeros_like(fractions)
    for start in range(0, d.size, _ROWS_AT_ONCE):
        block = d[start : start + _ROWS_AT_ONCE] / bound
        large = np.abs(block) > _LARGE
        if large.any():
            total += np.log1p(np.multiply.outer(stakes, block[large])).sum(axis=1)
            block = block[~large]
        if block.size:
            total += _moderate_growth(block, weights)
    return total


def column_growth(d: Floats, fractions: Floats, bound: float = 1.0) -> Floats:
    """``log_growth`` of every column by itself.

    Args:
        d: [rows, columns] values ≥ −bound; at most a few ten thousand at a time.
        fractions: [bets] bets in (0, 0.95 / bound].
        bound: the least value of d is −bound.

    Returns:
        [columns, bets] sums.
    """
    rows, columns = d.shape
    stakes, total = fractions * bound, np.zeros((columns, fractions.size))
    eights = -(-rows // _GROUP)
    u = np.ones((eights * _GROUP, columns))
    np.divide(d, bound, out=u[:rows])
    large = np.abs(u[:rows]) > _LARGE
    if large.any():
        _, column = np.nonzero(large)
        np.add.at(total, column, np.log1p(np.multiply.outer(u[:rows][large], stakes)))
        u[:rows][large] = 0.0
    u[:rows] += 1.0
    symmetric = _elementary_symmetric(u.reshape(_GROUP, -1)).reshape(_GROUP + 1, eights, columns)
    weights = _weights(stakes)
    width = max(_MULTIPLICATIONS_AT_ONCE // weights.size, 1)
    for left in range(0, columns, width):
        part = slice(left, left + width)
        total[part] += _folded_logs(weights, symmetric[:, :, part])
    return total


def _folded_logs(weights: Floats, symmetric: Floats) -> Floats:
    """[columns, bets] from symmetric [9, eights, columns]; sixteen eights are multiplied before each logarithm."""
    _, eights, columns = symmetric.shape
    step = max(_MULTIPLICATIONS_AT_ONCE // weights.size // columns, 1)
    total, product, folded = np.zeros((weights.shape[0], columns)), np.ones((weights.shape[0], columns)), 0
    for start in range(0, eights, step):
        some = symmetric[:, start : start + step].reshape(_GROUP + 1, -1)
        factors = (weights @ some).reshape(weights.shape[0], -1, columns)
        for each in range(factors.shape[1]):
            product *= factors[:, each]
            folded += 1
            if folded == _FOLDED:
                total += np.log(product)
                product, folded = np.ones_like(product), 0
    return (total + np.log(product)).T


def _weights(stakes: Floats) -> Floats:
    """[bets, 9] what e_0 … e_8 are multiplied by."""
    powers = np.arange(_GROUP + 1)
    weights = stakes[:, None] ** powers * (1.0 - stakes[:, None]) ** (_GROUP - powers)
    return weights / (weights @ [float(math.comb(_GROUP, j)) for j in powers])[:, None]


def _moderate_growth(block: Floats, weights: Floats) -> Floats:
    """``log_growth`` of values of moderate size; weights [bets, 9] multiply e_0 … e_8."""
    whole = _GROUP * _FOLDED
    u = np.ones(-(-block.size // whole) * whole)
    u[: block.size] += block
    symmetric = _elementary_symmetric(u.reshape(_GROUP, -1))
    columns = max(_MULTIPLICATIONS_AT_ONCE // weights.size // _FOLDED, 1) * _FOLDED
    total = np.zeros(weights.shape[0])
    for start in range(0, symmetric.shape[1], columns):
        total += _log_of_products(weights @ symmetric[:, start : start + columns])
    return total


def _log_of_products(product: Floats) -> Floats:
    """Row sums of logarithms, sixteen columns multiplied before each logarithm."""
    columns = product.shape[1]
    folded = columns // _FOLDED
    while columns > folded:
        columns //= 2
        product = product[:, :columns] * product[:, columns:]
    return np.log(product).sum(axis=1)


def _elementary_symmetric(u: Floats) -> Floats:
    """e_0 … e_8 of the eight entries of every column: u [8, groups] gives [9, groups]."""
    a1, a2 = u[:4] + u[4:], u[:4] * u[4:]
    b1 = a1[:2] + a1[2:]
    b2 = a2[:2] + a2[2:] + a1[:2] * a1[2:]
    b3 = a1[:2] * a2[2:] + a2[:2] * a1[2:]
    b4 = a2[:2] * a2[2:]
    (p1, q1), (p2, q2), (p3, q3), (p4, q4) = b1, b2, b3, b4
    e = np.empty((_GROUP + 1, u.shape[1]))
    e[0] = 1.0
    e[1] = p1 + q1
    e[2] = p2 + q2 + p1 * q1
    e[3] = p3 + q3 + p1 * q2 + p2 * q1
    e[4] = p4 + q4 + p1 * q3 + p3 * q1 + p2 * q2
    e[5] = p1 * q4 + p4 * q1 + p2 * q3 + p3 * q2
    e[6] = p2 * q4 + p4 * q2 + p3 * q3
    e[7] = p3 * q4 + p4 * q3
    e[8] = p4 * q4
    return e
