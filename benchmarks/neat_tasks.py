"""Tasks on which neuroevolution is compared: XOR, two poles on a cart, and finding the larger of two boxes.

In: a stack of networks. Out: fitness, and which of them solve the task. All networks of a generation run in one
program, whoever bred them; ``neat_standards.py`` breeds.

Two poles: Wieland, "Evolving Neural Network Controllers for Unstable Systems", IJCNN 1991, with the constants that
Gomez and Miikkulainen, "Solving Non-Markovian Control Tasks with Neuroevolution", IJCAI 1999, use. Boxes: Stanley,
D'Ambrosio and Gauci, Artificial Life 15(2), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play.evolve.genome import Shape
from jumar.play.evolve.hyper import Substrate, grid
from jumar.play.evolve.networks import Stack, answers

XOR_IN = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_OUT = np.array([0, 1, 1, 0], np.float32)
BALANCED = 100_000  # steps of 0.02 seconds: half an hour and a little
SIDE, TRIALS, SOLVED_WITHIN = 11, 75, 0.5


class Found(NamedTuple):
    """What a generation is worth: fitness [networks], and which solve the task."""

    fitness: np.ndarray
    solved: np.ndarray


@partial(jax.jit, static_argnames=("shape", "steps"))
def _xor(stack: Stack, shape: Shape, steps: int) -> Any:
    return jax.vmap(lambda one: answers(one, shape, steps, jnp.asarray(XOR_IN))[:, 0])(stack)


def xor(stack: Stack, shape: Shape, steps: int) -> Found:
    """The four rows of exclusive or."""
    out = np.asarray(_xor(stack, shape, steps))
    right = ((out > 0.5) == (XOR_OUT > 0.5)).all(axis=1)
    return Found((4.0 - np.abs(out - XOR_OUT).sum(axis=1)) ** 2, right)


def _pull(state: Any, force: Any) -> Any:
    """Derivatives of a cart's place and speed, and of two poles' angles and speeds; [..., 6]."""
    _, speed, *poles = (state[..., place] for place in range(6))
    pushed, mass, terms = force, 1.0, []
    for angle, turn, weight, half in ((poles[0], poles[1], 0.1, 0.5), (poles[2], poles[3], 0.01, 0.05)):
        rub = 2e-6 * turn / (weight * half)
        down = -9.8 * jnp.sin(angle)
        pushed += weight * half * turn**2 * jnp.sin(angle) + 0.75 * weight * jnp.cos(angle) * (rub + down)
        mass += weight * (1.0 - 0.75 * jnp.cos(angle) ** 2)
        terms.append((angle, turn, half, rub + down))
    quick = pushed / mass
    found = [speed, quick]
    for angle, turn, half, pull in terms:
        found += [turn, -0.75 * (quick * jnp.cos(angle) + pull) / half]
    return jnp.stack(found, axis=-1)


def _moved(state: Any, force: Any) -> Any:
    """One step of 0.01 seconds: Runge-Kutta of fourth order."""
    tau = 0.01
    one = _pull(state, force)
    two = _pull(state + tau / 2 * one, force)
    three = _pull(state + tau / 2 * two, force)
    four = _pull(state + tau * three, force)
    return state + tau / 6 * (one + 2 * two + 2 * three + four)


@partial(jax.jit, static_argnames=("shape", "steps", "most"))
def _poles(stack: Stack, shape: Shape, steps: int, most: int) -> Any:
    size = jnp.array([4.8, 2.0, 0.52, 2.0, 0.52, 2.0])
    count = stack.bias.shape[0]
    began = jnp.zeros((count, 6)).at[:, 2].set(0.07)

    def goes_on(carry: Any) -> Any:
        return carry[2].any() & (carry[0] < most)

    def go(carry: Any) -> Any:
        tick, state, alive, lasted = carry
        out = jax.vmap(lambda one, seen: answers(one, shape, steps, seen)[0])(stack, state / size)
        force = (jnp.clip(out, 0.0, 1.0) - 0.5) * 20.0
        state = _moved(_moved(state, force), force)
        alive &= (jnp.abs(state[:, 0]) < 2.4) & (jnp.abs(state[:, 2]) < 0.6283) & (jnp.abs(state[:, 4]) < 0.6283)
        return tick + 1, jnp.where(alive[:, None], state, 0.0), alive, lasted + alive

    start = (jnp.int32(0), began, jnp.ones(count, bool), jnp.zeros(count, jnp.int32))
    return jax.lax.while_loop(goes_on, go, start)[3]


def poles(stack: Stack, shape: Shape, steps: int, most: int = BALANCED) -> Found:
    """Two poles on one cart, with speeds among the inputs: how long neither falls."""
    lasted = np.asarray(_poles(stack, shape, steps, most))
    return Found(lasted.astype(float), lasted >= most)


def boxes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [trials, 121] with a box of 3 × 3 and one of a point, and centres [trials, 2] of the larger."""
    rng = np.random.default_rng(seed)
    pictures, centres = np.zeros((TRIALS, SIDE, SIDE), np.float32), []
    for picture in pictures:
        row, column = rng.integers(1, SIDE - 1, 2)
        picture[row - 1 : row + 2, column - 1 : column + 2] = 1.0
        free = np.argwhere(picture == 0)
        picture[tuple(rng.choice(free))] = 1.0
        centres.append((row, column))
    return pictures.reshape(TRIALS, -1), np.array(centres, np.float32)


def field() -> Substrate:
    """A plane that sees, above a plane that points."""
    return Substrate((grid(SIDE, SIDE), grid(SIDE, SIDE)))


def _missed(said: Any, centres: Any) -> Any:
    """Mean distance from where a network points to the centre of the larger box."""
    at = said.argmax(axis=-1)
    return jnp.sqrt((at // SIDE - centres[:, 0]) ** 2 + (at % SIDE - centres[:, 1]) ** 2).mean(axis=-1)


@partial(jax.jit, static_argnames=("shape", "steps", "substrate"))
def _painted_boxes(stack: Stack, shape: Shape, steps: int, substrate: Substrate, pictures: Any, centres: Any) -> Any:
    def one(painter: Stack) -> Any:
        return _missed(substrate.run(substrate.painted(painter, shape, steps), pictures), centres)

    return jax.lax.map(one, stack, batch_size=16)


@partial(jax.jit, static_argnames=("shape", "steps"))
def _direct_boxes(stack: Stack, shape: Shape, steps: int, pictures: Any, centres: Any) -> Any:
    return jax.lax.map(lambda one: _missed(answers(one, shape, steps, pictures), centres), stack, batch_size=16)


def missed(stack: Stack, shape: Shape, steps: int, substrate: Substrate | None, task: Sequence[Any]) -> np.ndarray:
    """[networks] how far off each is, painted by way of a substrate or direct."""
    if substrate is None:
        return np.asarray(_direct_boxes(stack, shape, steps, *task))
    return np.asarray(_painted_boxes(stack, shape, steps, substrate, *task))
