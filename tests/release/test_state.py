"""A gate's sums survive the way to a file and back, bit for bit, or are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jumar.evaluate import Gate, GatePlan, plan_gate
from jumar.release import ReleaseError
from jumar.release import state as states
from jumar.release.state import gate_from_json, gate_to_json

ROWS, ACTIONS = 400, 3


def plan(rows_planned: int = 1_000, seed: int = 0) -> GatePlan:
    rng = np.random.default_rng(7)
    w = rng.gamma(2.0, 0.5, (200, 1))
    d = (w - 1) * (rng.random((200, 1)) < 0.3)
    return plan_gate(
        validation_d=d,
        validation_w=w,
        temperatures=[1.0],
        policy_sha256=["p"],
        rows_planned=rows_planned,
        supported=[True, True, False],
        confidence=0.999,
        seed=seed,
    )


def gate(of: GatePlan, seed: int) -> Gate:
    rng = np.random.default_rng(seed)
    made = Gate(of, ["a", "b", "c"])
    made.update(
        rng.dirichlet(np.ones(ACTIONS), ROWS)[:, None, :],
        propensity=rng.uniform(0.1, 1.0, ROWS),
        reward=rng.random(ROWS),
        action=rng.integers(0, ACTIONS, ROWS),
        value=rng.random(ROWS),
    )
    return made


def through_json(made: Gate) -> Gate:
    return gate_from_json(msgspec.json.decode(msgspec.json.encode(gate_to_json(made))), made.plan)


def test_a_gate_comes_back_bit_for_bit() -> None:
    made = gate(plan(), 1)
    again = through_json(made)
    assert msgspec.json.encode(gate_to_json(again)) == msgspec.json.encode(gate_to_json(made))
    assert again.result() == made.result()
    assert again.rows == ROWS


def test_an_empty_gate_comes_back() -> None:
    assert through_json(Gate(plan(), ["a", "b", "c"])).rows == 0


def test_going_on_from_a_file_is_going_on() -> None:
    first, second = gate(plan(), 1), gate(plan(), 2)
    assert gate_to_json(through_json(first).merge(second)) == gate_to_json(first.merge(second))
    total = through_json(first)
    total.update(
        np.full((1, 1, 3), 1 / 3), propensity=np.array([0.5]), reward=np.array([1.0]), action=np.array([0]),
        value=np.array([0.5]),
    )  # fmt: skip
    assert total.rows == ROWS + 1
    assert first.rows == ROWS


def test_every_sum_is_saved() -> None:
    """Whatever two gates of one plan differ in is part of the state: nothing that rows change is left out."""
    a, b = gate_to_json(gate(plan(), 1))["sums"], gate_to_json(gate(plan(), 2))["sums"]
    empty = gate_to_json(Gate(plan(), ["a", "b", "c"]))["sums"]
    assert a != b
    assert set(empty) == set(a)
    kept = {path for path in leaves(a) if leaves(a)[path] != leaves(empty)[path]}
    for word in ("capitals", "audit", "moments", "too_much", "too_little", "action_growth", "top"):
        assert any(word in path for path in kept), word


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        tree = dict(enumerate(tree))
    if isinstance(tree, dict):
        return {k: v for key, one in tree.items() for k, v in leaves(one, f"{path}.{key}").items()}
    return {path: tree}


def test_the_state_of_another_plan_is_refused() -> None:
    saved = gate_to_json(gate(plan(), 1))
    for other in (plan(rows_planned=2_000), plan(seed=1)):
        with pytest.raises(ReleaseError, match="plan"):
            gate_from_json(saved, other)


def test_the_state_of_another_gate_is_refused() -> None:
    of = plan()

    def spoilt(change: Any) -> dict[str, Any]:
        tree = msgspec.json.decode(msgspec.json.encode(gate_to_json(gate(of, 1))))
        change(tree["sums"])
        return tree

    changes = [
        lambda sums: sums.pop("audit"),
        lambda sums: sums["audit"].pop("moments"),
        lambda sums: sums["audit"].update(invented=1),
        lambda sums: sums["audit"]["moments"].update(shape=[2, 2]),
        lambda sums: sums["audit"].update(rows=1.5),
        lambda sums: sums["audit"]["too_much"]["fractions"][0].__setitem__(0, 0.123),
        lambda sums: sums["audit"]["too_much"].update(count=-1),
        lambda sums: sums["audit"]["guided"].pop(),
        lambda sums: sums.update(actions="abc"),
    ]
    for change in changes:
        with pytest.raises(ReleaseError, match="not saved by this version"):
            gate_from_json(spoilt(change), of)


@dataclasses.dataclass
class Sums:
    """Anything with attributes."""

    vector: np.ndarray
    number: float
    whole: int
    flag: bool
    words: str | None
    nested: list[Any]


numbers = st.floats(allow_nan=False)


@given(st.lists(numbers, max_size=5), numbers, st.integers(-(2**53), 2**53), st.booleans())
def test_any_numbers_come_back_exactly(values: list[float], number: float, whole: int, flag: bool) -> None:
    made = Sums(np.array(values, np.float64), number, whole, flag, "x", [np.array([whole]), {"k": number}])
    empty = Sums(np.zeros(len(values)), 0.0, 0, False, "x", [np.zeros(1, np.int64), {"k": 1.0}])
    tree = msgspec.json.decode(msgspec.json.encode(states._out(made)))
    again = states._into(empty, tree, "sums")
    assert np.array_equal(again.vector, made.vector)
    assert np.array_equal(np.signbit(again.vector), np.signbit(made.vector))
    assert (again.number, again.whole, again.flag) == (number, whole, flag)
    assert math.copysign(1, again.number) == math.copysign(1, number)
    assert again.nested[0][0] == whole
    assert again.nested[1] == {"k": number}
