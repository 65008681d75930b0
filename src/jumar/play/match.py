"""Whole games between pools of players, thousands at once, in one compiled program.

In: a stack of maps, and for each side a ``Policy`` with a pool of parameters. Out: a ``Result`` for every pairing on
every map. The red side moves first; as every map looks the same from both sides, changing sides is changing who moves
first, and ``both_sides`` plays either way. ``play_on`` goes on from games that have begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jumar.play import limits, rules, senses
from jumar.play.errors import PlayError
from jumar.play.maps import ACTIONS, PLAYERS, Field
from jumar.play.rules import BLUE, PLAYING, RED, ROUNDS, STEPS, TURN, Side, State

Sense = Callable[[Field, Side, Side, Any], Any]
Decide = Callable[[Any, Any, Any, Any], Any]


@dataclass(frozen=True)
class Policy:
    """How a side decides; the four players decide at once, before each of the three sweeps of a turn.

    Attributes:
        decide: (params, sensed, mask [4, 5], key) → logits [4, 5] for one board. An action is drawn by their softmax
            among those that the mask allows. Pure, and the same object for every call, or each call compiles anew.
        sense: (field, mine, theirs, tick) → what ``decide`` is given, of one board; by default ``senses.block``.
    """

    decide: Decide
    sense: Sense = senses.block


class Result(NamedTuple):
    """How games ended; arrays [reds, blues, maps], or [pairs, 1, maps].

    Attributes:
        winner: ``rules.RED``, ``BLUE`` or ``DRAW``.
        ending: ``rules.HOME``, ``JAILED`` or ``LIMIT``; at the limit the score named the winner.
        score: [..., 2] the graded score of red and blue.
        state: the last states, with all counts of tags, packs and rescues.
        actions: [..., ticks] what each step was, for replays; None unless kept. After the end they mean nothing.
    """

    winner: Any
    ending: Any
    score: Any
    state: State
    actions: Any


def play(
    fields: Field,
    red: Policy,
    red_params: Any,
    blue: Policy,
    blue_params: Any,
    key: Any,
    *,
    rounds: int = ROUNDS,
    paired: bool = False,
    keep: bool = False,
) -> Result:
    """Every red against every blue on every map.

    Args:
        fields: a stack of maps.
        red: moves first.
        red_params: its pool: a tree of arrays with a leading axis [reds]. A policy without parameters still needs one
            array there that says how many, such as ``jnp.zeros(1)``.
        blue: moves second.
        blue_params: its pool, [blues].
        key: of all chance; a game depends on it and on its own place in the result only.
        rounds: after which the score decides.
        paired: red i meets only blue i.
        keep: also return all actions.

    Raises:
        PlayError: for pools that do not say how many they are, or that do not pair; for no rounds, or too many.
    """
    reds, blues = pool_size(red_params, "red_params"), pool_size(blue_params, "blue_params")
    if paired and reds != blues:
        raise PlayError(f"Pairs need two pools of one size, and these have {reds} and {blues}", where="paired",
                        remedy="Leave out paired to let every red meet every blue.")  # fmt: skip
    if fields.flag.ndim != 1:
        raise PlayError("Games need a stack of maps, with an axis in front", where="fields",
                        example=fields.flag.shape, remedy="Draw them with maps.draw(seed, count).")  # fmt: skip
    limits.within("rounds", rounds, 1, limits.ROUNDS)
    begun = _begun(fields, rounds)
    return _play(
        fields, begun, red_params, blue_params, key, red=red, blue=blue, rounds=rounds, paired=paired, keep=keep
    )


def play_on(
    fields: Field, states: State, red: Policy, red_params: Any, blue: Policy, blue_params: Any, key: Any, *,
    rounds: int = ROUNDS, keep: bool = False,
) -> Result:  # fmt: skip
    """Every red against every blue from the same states, one on every map, whoever has played until then.

    Args:
        fields: a stack of maps.
        states: a stack of games of which red moved first and is to begin a round, or which have ended.
        red: plays red from here.
        red_params: its pool, as in ``play``.
        blue: plays blue from here.
        blue_params: its pool.
        key: of all chance from here.
        rounds: how many more are played at most; what goes on after them has no winner.
        keep: also return all actions, from here.

    Raises:
        PlayError: for pools that do not say how many they are, no rounds, or states that are not where a round begins.
    """
    limits.within("rounds", rounds, 1, limits.ROUNDS)
    one_each = states.tick.shape == fields.flag.shape
    if not one_each or ((states.winner == PLAYING) & (states.tick % (2 * TURN) + (states.first != RED) > 0)).any():
        raise PlayError("Games go on from states at the beginning of a round of red's, one for each map",
                        where="states", example=states.tick.tolist(),
                        remedy=f"Give states whose tick is a multiple of {2 * TURN}.")  # fmt: skip
    return _play(
        fields, states, red_params, blue_params, key, red=red, blue=blue, rounds=rounds, paired=False, keep=keep
    )


def both_sides(
    fields: Field, one: Policy, one_params: Any, other: Policy, other_params: Any, key: Any, *, rounds: int = ROUNDS,
    paired: bool = False,
) -> jax.Array:  # fmt: skip
    """What ``one`` makes of ``other``, moving first and moving second.

    Returns:
        [2, ones, others, maps] 1 for a win, 0 for a draw, −1 for a loss; first with ``one`` as red.
    """
    ahead, behind = jax.random.split(key)
    first = play(fields, one, one_params, other, other_params, ahead, rounds=rounds, paired=paired)
    second = play(fields, other, other_params, one, one_params, behind, rounds=rounds, paired=paired)
    swapped = outcome(second, BLUE)
    return jnp.stack([outcome(first, RED), swapped if paired else swapped.swapaxes(0, 1)])


def outcome(result: Result, side: int) -> jax.Array:
    """1 where the side has won, −1 where it has lost, 0 for a draw."""
    return jnp.where(result.winner == side, 1, jnp.where(result.winner == 1 - side, -1, 0))


def pool_size(params: Any, where: str) -> int:
    """How many players a pool of parameters holds."""
    sizes = {leaf.shape[0] if jnp.ndim(leaf) else None for leaf in jax.tree.leaves(params)}
    if len(sizes) != 1 or None in sizes:
        raise PlayError("Every array of a pool needs one leading axis of the same length", where=where,
                        example=sorted(map(str, sizes)),
                        remedy="Stack the parameters of all players; without any, give jnp.zeros(1).")  # fmt: skip
    return sizes.pop() or 0


@jax.jit
def _begun(fields: Field, rounds: Any) -> State:
    return jax.vmap(lambda field: rules.start(field, RED, rounds))(fields)


@partial(jax.jit, static_argnames=("red", "blue", "rounds", "paired", "keep"))
def _play(
    fields: Field, begun: State, red_params: Any, blue_params: Any, key: Any, *, red: Policy, blue: Policy, rounds: int,
    paired: bool, keep: bool,
) -> Result:  # fmt: skip
    reds, blues = pool_size(red_params, "red_params"), pool_size(blue_params, "blue_params")
    shape = (reds, 1 if paired else blues, fields.flag.shape[0])
    keys = jax.random.split(key, shape)
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape[1:]), begun)
    since, most = state.tick, 2 * rounds * STEPS
    actions = jnp.zeros((most if keep else 0, *shape, PLAYERS), jnp.int8)
    sides = (
        (RED, red, red_params, (True, False)),
        (BLUE, blue, blue_params, (True, False) if paired else (False, True)),
    )

    def one_round(carry: tuple[Any, State, Any]) -> tuple[Any, State, Any]:
        for side, policy, params, axes in sides:
            carry = jax.lax.fori_loop(0, STEPS, partial(one_sweep, side, policy, params, axes), carry)
        return carry

    def one_sweep(
        side: int, policy: Policy, params: Any, axes: tuple[bool, bool], _: Any, carry: tuple[Any, State, Any]
    ) -> tuple[Any, State, Any]:
        count, state, actions = carry
        chosen = _on_boards(lambda some, field, now, more: choose(side, policy, some, field, now, *more), axes)(
            params, fields, state, (keys, since + count * PLAYERS)
        )
        state = _on_boards(lambda _, field, now, acts: rules.sweep(field, now, side, acts), axes)(
            params, fields, state, chosen
        )
        if keep:
            actions = jax.lax.dynamic_update_index_in_dim(actions, chosen.astype(jnp.int8), count, 0)
        return count + 1, state, actions

    def goes_on(carry: tuple[Any, State, Any]) -> Any:
        return (carry[0] < most) & (carry[1].winner == PLAYING).any()

    _, state, actions = jax.lax.while_loop(goes_on, one_round, (jnp.int32(0), state, actions))
    kept = jnp.moveaxis(actions, 0, -2).reshape(*shape, 2 * rounds * TURN) if keep else None
    score = jnp.stack([rules.score(state.red, state.blue), rules.score(state.blue, state.red)], axis=-1)
    return Result(state.winner, state.ending, score, state, kept)


def _on_boards(function: Callable[..., Any], axes: tuple[bool, bool]) -> Callable[..., Any]:
    """(params, fields, state, more of each board) on all boards: parameters lie along the reds or along the blues."""
    by_map = jax.vmap(function, (None, 0, 0, 0))
    by_blue = jax.vmap(by_map, (0 if axes[1] else None, None, 0, 0))
    return jax.vmap(by_blue, (0 if axes[0] else None, None, 0, 0))


def choose(side: int, policy: Policy, params: Any, field: Field, state: State, key: Any, tick: Any) -> jax.Array:
    """[4] actions of one side on one board, drawn from its policy among the legal ones."""
    mine, theirs = rules.swap(side == BLUE, state.red, state.blue)
    to_decide, to_draw = jax.random.split(jax.random.fold_in(key, tick))
    allowed = rules.mask(field, mine)
    logits = policy.decide(params, policy.sense(field, mine, theirs, tick), allowed, to_decide)
    return draw(logits, allowed, jax.random.uniform(to_draw, (PLAYERS,)))


def draw(logits: Any, allowed: Any, chance: Any) -> jax.Array:
    """Actions by the softmax of logits among the allowed, [4] from [4, 5]; ``chance`` is uniform, one per player."""
    weights = jnp.where(allowed, jnp.exp(logits - jnp.where(allowed, logits, -jnp.inf).max(axis=1, keepdims=True)), 0)
    below = jnp.cumsum(weights, axis=1)
    return (below <= chance[:, None] * below[:, -1:])[:, : len(ACTIONS) - 1].sum(axis=1)
