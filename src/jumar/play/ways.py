"""Shortest ways on a field, by flooding sets of cells that are kept as rows of bits.

In: rows of bits [..., height], in which bit x stands for column x. Out: which steps lead to a goal by a shortest way.
Bots use it, within the compiled match: one flood moves a whole row of a field by one operation on one word.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jumar.play.maps import ACTIONS


def rows_of(cells: Any, chosen: Any, width: int, height: int) -> jax.Array:
    """The set of the chosen cells: [..., n] cells and booleans to [..., height] rows of bits."""
    bits = jnp.where(chosen, jnp.uint32(1) << (cells % width).astype(jnp.uint32), jnp.uint32(0))
    lines = jnp.where((cells // width)[..., None] == jnp.arange(height), bits[..., None], jnp.uint32(0))
    return jax.lax.reduce(lines, jnp.uint32(0), jax.lax.bitwise_or, (lines.ndim - 2,))


def columns(low: int, high: int) -> int:
    """The bits of columns ``low`` to ``high − 1``."""
    return (1 << high) - (1 << low)


def spread(rows: Any) -> jax.Array:
    """A set of cells and all cells next to them; bits may run over the edges."""
    return rows | rows << 1 | rows >> 1 | _lifted(rows, 1) | _lifted(rows, -1)


def _lifted(rows: Any, by: int) -> jax.Array:
    empty = jnp.zeros_like(rows[..., :1])
    return jnp.concatenate([rows[..., 1:], empty] if by > 0 else [empty, rows[..., :-1]], axis=-1)


SLOW = 4


def ways(start: Any, goals: Any, quick: Any, passable: Any, width: int, most: int) -> jax.Array:
    """Which first steps lead from a cell to the nearest goal by a shortest way.

    The flood starts at the goals and stops where it meets the start: what it had reached just before are the cells next
    to the start from which the way is shortest. Rows are separate arrays, so that one iteration is a single pass.

    Args:
        start: [...] cells; they need not be passable.
        goals: [..., height] rows of bits; goals that are not passable do not count.
        quick: [..., height] rows of bits, cells that count one step.
        passable: [..., height] rows of bits, those and cells that are entered only if the way round them is long:
            the flood goes on to them in every fourth iteration.
        width: of the field.
        most: iterations; a way that takes more is not found.

    Returns:
        [..., 5] for each action whether it is such a step; to stay where the start is a goal, none where no way leads.
    """
    height = goals.shape[-1]
    column = jnp.uint32(1) << (start % width).astype(jnp.uint32)
    me = [jnp.where(start // width == row, column, jnp.uint32(0)) for row in range(height)]
    open_rows = [passable[..., row] for row in range(height)]
    quick_rows = [quick[..., row] for row in range(height)]
    none = jnp.zeros_like(me[0])

    def on(step: Any, carry: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
        reached, arrived = carry
        beside = [none, *reached, none]
        grown = [r | r << 1 | r >> 1 | beside[i] | beside[i + 2] for i, r in enumerate(reached)]
        meets = none
        for mine, here in zip(me, grown, strict=True):
            meets |= mine & here
        arrived = arrived | (meets != 0)
        slow = jnp.where(step % SLOW == SLOW - 1, jnp.uint32(0xFFFFFFFF), jnp.uint32(0))
        free = [few | many & slow for few, many in zip(quick_rows, open_rows, strict=True)]
        # What has been reached stays so, though it may be closed to others in this iteration.
        reached = [
            jnp.where(arrived, old, old | new & now) for old, new, now in zip(reached, grown, free, strict=True)
        ]  # fmt: skip
        return reached, arrived

    already = none
    for row in range(height):
        already |= me[row] & goals[..., row]
    begun = [goals[..., row] & open_rows[row] for row in range(height)]
    reached, arrived = jax.lax.fori_loop(0, most, on, (begun, already != 0))
    rows = jnp.stack(reached, axis=-1)
    back = _stepped(jnp.stack(me, axis=-1), width)
    onto = ((back & rows[..., None, :]) != 0).any(axis=-1)
    stays = jnp.arange(len(ACTIONS)) == 0
    return jnp.where((already != 0)[..., None], stays, onto & arrived[..., None] & ~stays)


def _stepped(rows: Any, width: int) -> jax.Array:
    """[..., 5, height] the set moved by each action; what leaves the field is gone."""
    inside = jnp.uint32(columns(0, width))
    moved = [rows, _lifted(rows, 1), rows << 1 & inside, _lifted(rows, -1), rows >> 1]
    return jnp.stack(moved, axis=-2)
