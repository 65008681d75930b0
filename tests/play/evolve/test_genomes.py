"""Genomes and what changes them: numbers stay in order, the same change is the same innovation, no circle comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jumar.play.errors import PlayError
from jumar.play.evolve.genome import Genome, Innovations, Shape, least
from jumar.play.evolve.variation import Rates, crossed, distance, linked, mutated, with_link, with_node

BUSY = Rates(add_node=0.6, add_link=0.6, toggle=0.3, activation=0.5)
SHAPE = Shape(3, 2, hidden=("tanh", "gauss"))


def grown(seed: int, book: Innovations, shape: Shape = SHAPE, times: int = 12) -> Genome:
    rng = np.random.default_rng(seed)
    genome = least(shape, book, rng)
    for _ in range(times):
        genome = mutated(genome, shape, BUSY, book, rng)
    return genome


def assert_whole(genome: Genome, shape: Shape) -> None:
    assert (np.diff(genome.nodes) > 0).all()
    assert (np.diff(genome.number) > 0).all()
    assert np.isin(genome.source, genome.nodes).all()
    assert np.isin(genome.target, genome.nodes[shape.inputs :]).all()
    assert (genome.bias[: shape.inputs] == 0).all()
    pairs = list(zip(genome.source.tolist(), genome.target.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_children_are_whole_and_without_circles(one: int, two: int) -> None:
    book = Innovations(SHAPE.fixed)
    mother, father = grown(one, book), grown(two, book)
    child = crossed(mother, father, BUSY, np.random.default_rng(one))
    for genome in (mother, father, child):
        assert_whole(genome, SHAPE)
        assert genome.depth < len(genome.nodes)
    assert child.number.tolist() == mother.number.tolist()
    assert distance(mother, father) == pytest.approx(distance(father, mother))
    assert distance(mother, mother) == 0.0


def test_the_same_change_is_the_same_innovation() -> None:
    book, rng = Innovations(SHAPE.fixed), np.random.default_rng(0)
    start = least(SHAPE, book, rng)
    same = [with_node(start, SHAPE, book, np.random.default_rng(7)) for _ in range(2)]
    assert same[0].nodes.tolist() == same[1].nodes.tolist()
    assert same[0].number.tolist() == same[1].number.tolist()
    assert distance(same[0], same[1]) == 0.0


def test_a_link_that_is_split_twice_gets_two_nodes() -> None:
    """Split, switched on again, split again: the second node is another one."""
    shape, book = Shape(1, 1), Innovations(2)
    genome = linked(_bare(), 0, 1, 0.5, book)
    once = with_node(genome, shape, book, np.random.default_rng(0))
    on = Genome(**{**vars_of(once), "enabled": np.array([True, False, False])})
    twice = with_node(on, shape, book, np.random.default_rng(0))
    assert twice.nodes.tolist() == [0, 1, 2, 3]
    assert book.splits == {(0, 0): 2, (0, 1): 3}


def vars_of(genome: Genome) -> dict[str, np.ndarray]:
    return {name: getattr(genome, name) for name in Genome.__dataclass_fields__}


def _bare() -> Genome:
    none = np.array([], np.int64)
    return Genome(np.arange(2), np.zeros(2), np.zeros(2, np.int64), none, none, none, np.array([]), none.astype(bool))


def test_circles_only_where_they_may_be() -> None:
    for recurrent in (False, True):
        shape, book, rng = Shape(1, 1, recurrent=recurrent), Innovations(2), np.random.default_rng(0)
        genome = linked(_bare(), 0, 1, 0.5, book)
        for _ in range(30):
            genome = with_link(genome, shape, Rates(), book, rng)
        assert ((1, 1) in book.links) is recurrent


def test_no_node_beyond_the_most() -> None:
    shape = Shape(2, 1, most_nodes=5)
    assert len(grown(3, Innovations(3), shape, 60).nodes) == 5


@pytest.mark.parametrize(
    ("inputs", "outputs", "more", "said"),
    [
        (0, 1, {}, "needs an input"),
        (2, 2, {"most_nodes": 3}, "room for both"),
        (1, 1, {"output": "cosine"}, "no such activation"),
        (1, 1, {"hidden": ()}, "needs an activation"),
    ],
)
def test_shapes_that_are_none(inputs: int, outputs: int, more: dict[str, object], said: str) -> None:
    with pytest.raises(PlayError, match=said):
        Shape(inputs, outputs, **more)  # type: ignore[arg-type]
