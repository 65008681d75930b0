"""A stack of networks says what each of them says by itself; painted weights lie where they belong."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import ACTIVATIONS, Genome, Innovations, Shape, least
from jumar.play.evolve.hyper import Substrate, grid
from jumar.play.evolve.networks import activated, answers, nothing, outputs, stacked, step, steps_for

from .test_genomes import SHAPE, grown

FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-4.9 * x)),
    "tanh": np.tanh,
    "gauss": lambda x: np.exp(-2 * x * x),
    "sine": np.sin,
    "linear": lambda x: x,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0),
    "step": lambda x: (x > 0) * 1.0,
}


def by_hand(genome: Genome, shape: Shape, inputs: np.ndarray) -> np.ndarray:
    """Node by node, by recursion."""
    known = dict(enumerate(inputs))

    def value(node: int) -> float:
        if node not in known:
            place = int(np.flatnonzero(genome.nodes == node)[0])
            total = genome.bias[place]
            for link in np.flatnonzero((genome.target == node) & genome.enabled):
                total += genome.weight[link] * value(int(genome.source[link]))
            known[node] = FUNCTIONS[ACTIVATIONS[genome.activation[place]]](total)
        return known[node]

    return np.array([value(node) for node in range(shape.inputs, shape.fixed)])


def test_a_stack_says_what_each_says_by_itself() -> None:
    book = Innovations(SHAPE.fixed)
    genomes = [grown(seed, book, times=4 * seed) for seed in range(6)]
    x = np.random.default_rng(0).normal(size=(5, SHAPE.inputs)).astype(np.float32)
    found = jax.vmap(lambda one: answers(one, SHAPE, steps_for(genomes), x))(stacked(genomes))
    for genome, said in zip(genomes, found, strict=True):
        assert said == pytest.approx(np.array([by_hand(genome, SHAPE, row) for row in x]), abs=2e-4)


def test_every_activation() -> None:
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    for place, name in enumerate(ACTIVATIONS):
        assert activated(np.full(9, place), x) == pytest.approx(FUNCTIONS[name](x), abs=1e-5)


def test_a_circle_remembers() -> None:
    shape = Shape(1, 1, "linear", recurrent=True)
    one = np.array([1.0])
    genome = Genome(np.arange(2), np.zeros(2), np.full(2, ACTIVATIONS.index("linear")), np.arange(2), np.array([0, 1]),
                    np.array([1, 1]), np.array([1.0, 1.0]), np.array([True, True]))  # fmt: skip
    network = jax.tree.map(lambda leaf: leaf[0], stacked([genome]))
    values = nothing(network)
    for _ in range(3):
        values = step(network, shape, values, one)
    assert outputs(shape, values) == pytest.approx([3.0])  # what came, added up


def test_painted_weights_lie_where_they_belong() -> None:
    """A painter that says the target's x, times a number, paints that and nothing else."""
    substrate = Substrate((grid(3, 1), grid(2, 2)), least=0.0, reach=1.0)
    shape = substrate.painter()
    fixed = shape.fixed
    genome = Genome(np.arange(fixed), np.zeros(fixed), np.full(fixed, ACTIVATIONS.index("linear")), np.array([0]),
                    np.array([2]), np.array([shape.inputs]), np.array([0.5]), np.array([True]))  # fmt: skip
    painter = jax.tree.map(lambda leaf: leaf[0], stacked([genome]))
    ((weights, bias),) = substrate.painted(painter, shape, 1)
    assert weights == pytest.approx(np.repeat([[-0.5], [0.5], [-0.5], [0.5]], 3, axis=1))
    assert bias == pytest.approx(np.zeros(4))
    assert substrate.run([(weights, bias)], np.array([1.0, 2.0, 3.0])) == pytest.approx([-3, 3, -3, 3])
    assert substrate.links == 12
    quiet = Substrate(substrate.layers, least=0.6).painted(painter, shape, 1)
    assert not np.asarray(quiet[0][0]).any()


def test_wires_lead_past_layers() -> None:
    """Two inputs, each with its own painter's output; one of them also leads straight to the end."""
    substrate = Substrate((grid(2, 1), grid(3, 1), grid(2, 1), grid(1, 1)), ((0, 2), (1, 2), (0, 3), (2, 3)))
    assert substrate.painter().outputs == 6
    assert substrate.links == 4 + 6 + 2 + 2
    rng = np.random.default_rng(0)
    first, last = (rng.normal(size=(2, 5)), rng.normal(size=2)), (rng.normal(size=(1, 4)), rng.normal(size=1))
    x = rng.normal(size=5)
    middle = np.tanh(first[0] @ x + first[1])
    expected = last[0] @ np.concatenate([x[:2], middle]) + last[1]
    assert substrate.run([first, last], x) == pytest.approx(expected, abs=1e-5)
    painter = jax.tree.map(lambda leaf: leaf[0], stacked([least(substrate.painter(), Innovations(0), rng)]))
    painted = substrate.painted(painter, substrate.painter(), 1)
    assert [weights.shape for weights, _ in painted] == [(2, 5), (1, 4)]


@pytest.mark.parametrize(
    ("layers", "more", "said"),
    [
        ((grid(2, 2),), {}, "two layers or more"),
        ((grid(2, 2), grid(2, 2, 1.0)), {}, "same number of coordinates"),
        ((grid(2, 2), grid(2, 2)), {"least": 1.0}, "Links are left out"),
        ((grid(2, 2), grid(2, 2), grid(2, 2)), {"wires": ((0, 1),)}, "A wire leads"),
        ((grid(2, 2), grid(2, 2), grid(2, 2)), {"wires": ((2, 1), (1, 2))}, "A wire leads"),
    ],
)
def test_substrates_that_are_none(layers: tuple[np.ndarray, ...], more: dict[str, Any], said: str) -> None:
    with pytest.raises(PlayError, match=said):
        Substrate(layers, **more)
