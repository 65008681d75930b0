"""Values of production on timelines: exact on small problems, and nothing learned across ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jumar.learn.data import Columns, MemoryChunks, SpilledChunks, concatenate
from jumar.learn.loop import FitConfig
from jumar.learn.one_step import OneStepConfig, fit_one_step
from jumar.learn.transitions import ReturnTally, average_return, observed, return_targets, transitions

from .small_mdps import FADING, WALK, SmallMDP

FIT = FitConfig(batch_rows=1_024, updates=1_200, learning_rate=1e-2, weight_decay=0.0, patience=100, evaluations=10)
CONFIG = OneStepConfig(members=2, hidden=(16,), clone_hidden=(8,), clone_fit=FIT, value_fit=FIT)


@pytest.mark.parametrize(
    ("mdp", "units", "config"),
    [
        (FADING, 150_000, CONFIG),
        (WALK, 150_000, CONFIG),
        (WALK, 150_000, replace(CONFIG, mix=0.0, settled=0.0005)),  # a step at a time, so that it settles slowly
    ],
    ids=["two states", "chain", "chain step by step"],
)
def test_values_are_productions_own_within_one_per_cent(mdp: SmallMDP, units: int, config: OneStepConfig):
    """On a log as even as chance allows, so large that the bootstrap of the ensemble scatters by less than that."""
    columns = mdp.timelines(units, 1, open_share=0.05)
    held_out = {name: values[-60_000:] for name, values in columns.items()}
    learned = fit_one_step(mdp.spec, 2, MemoryChunks.of(columns, 0), held_out, (0.0, 1.0), config)
    found = learned.outputs(mdp.all_states)[1].mean(axis=0)
    assert_allclose(found, mdp.values(mdp.production), rtol=0.01)


def test_what_lies_behind_an_end_changes_nothing():
    """Two units in one piece: the second one's rewards must never reach the first one's returns or transitions."""
    columns = WALK.timelines(100, 3, open_share=0.1)
    cut = int(np.flatnonzero(columns["unit"][1:] != columns["unit"][:-1])[20]) + 1
    other = {name: values.copy() for name, values in columns.items()}
    other["reward"][cut:] += 7.0
    value = np.zeros((len(columns["reward"]), 2), np.float32)
    for follow in (lambda c: return_targets(c, value, 0.9), transitions(1), transitions(3)):
        one, two = follow(columns), follow(other)
        for name in ("target", "step_reward"):
            if name in one:
                assert_allclose(one[name][:cut], two[name][:cut])
                assert not np.allclose(one[name][cut:], two[name][cut:])
    # The negative control: with the ends taken away, rewards do run across.
    other["gamma"] = np.where(np.arange(len(value)) < len(value) - 1, WALK.discount, 0.0).astype(np.float32)
    plain = {**other, "reward": columns["reward"]}
    one, two = (return_targets(c, value, 0.9)["target"][:cut] for c in (plain, other))
    assert not np.allclose(one, two)


def test_transitions_by_hand():
    columns: Columns = {
        "numbers": np.arange(4, dtype=np.float32)[:, None],
        "action": np.array([0, 1, 0, 1], np.int32),
        "reward": np.array([1.0, 2.0, 3.0, 4.0], np.float32),
        "gamma": np.array([0.5, 0.0, 0.5, np.nan], np.float32),
        "unit": np.array([7, 7, 9, 9], np.uint32),
    }
    found = transitions(2)(columns)
    assert_allclose(found["step_reward"], [2.0, 2.0, 3.0, 0.0])
    assert_allclose(found["discount"], [0.0, 0.0, 0.5, 0.0])
    assert_allclose(found["observed"], [1, 1, 1, 0])
    assert found["next:numbers"][2, 0] == 3.0
    assert found["next:action"][2] == 1


def test_tally_counts_what_is_known():
    tally = ReturnTally()
    tally.see({"target": np.array([[1.0], [3.0], [99.0]], np.float32), "observed": np.array([1.0, 1.0, 0.0])})
    assert (tally.mean, tally.deviation) == (2.0, 1.0)
    assert average_return({"reward": np.array([0.5, 9.0]), "gamma": np.array([0.5, np.nan])}) == 1.0
    assert observed(np.array([0.0, np.nan])).tolist() == [1.0, 0.0]


def units_of(*lengths: int) -> Columns:
    unit = np.repeat(np.arange(len(lengths), dtype=np.uint32) * 3, lengths)  # all in one pile, if dealt by remainders
    return {"unit": unit, "action": np.zeros(len(unit), np.int32)}


def test_piles_are_level_however_large_units_are():
    # One unit of 900 rows, then many of 10: the giant fills a pile by itself, the others share the rest.
    spilled = SpilledChunks.of([units_of(900), units_of(*[10] * 60), units_of(*[10] * 120)], 3, 0, by_unit=True)
    assert spilled.sizes is not None
    assert sorted(spilled.sizes.tolist()) == [900, 900, 900]
    assert spilled.rows == 900
    even = SpilledChunks.of([units_of(*[7] * 30), units_of(*[5] * 30)], 4, 0, by_unit=True)
    assert even.sizes is not None
    assert even.sizes.sum() == 360
    assert even.sizes.max() - even.sizes.min() <= 14


def test_fewer_units_than_piles_leave_piles_empty():
    spilled = SpilledChunks.of([units_of(30, 20)], 5, 0, by_unit=True)
    spilled.extend(lambda columns: {"seen": np.full(len(columns["unit"]), 1.0)})
    pieces = list(spilled.visit(np.random.default_rng(0)))
    assert spilled.rows == 20
    assert [len(piece["seen"]) for piece in pieces] == [20, 20]
    assert {int(unit) for piece in pieces for unit in np.asarray(piece["unit"])} == {0, 3}


def test_piles_hold_whole_units_in_order_and_agree_with_memory():
    columns = WALK.timelines(750, 5, open_share=0.1)
    half = len(columns["unit"]) // 2
    pieces = [{name: values[:half] for name, values in columns.items()}, {n: v[half:] for n, v in columns.items()}]
    value = np.zeros((len(columns["reward"]), 2), np.float32)
    memory = MemoryChunks.of(columns, 0)
    memory.extend(lambda c: return_targets(c, value[: len(c["reward"])], 1.0))
    spilled = SpilledChunks.of(pieces, 3, 0, by_unit=True)
    spilled.extend(lambda c: return_targets(c, value[: len(c["reward"])], 1.0))
    rng = np.random.default_rng(0)
    (whole,) = list(memory.visit(rng))
    piled: list[Columns] = []
    spilled.extend(lambda c: piled.append(c) or {})
    parts = concatenate(piled)
    key = lambda c: np.lexsort((np.asarray(c["target"])[:, 0], np.asarray(c["unit"])))  # noqa: E731
    assert_allclose(np.asarray(whole["target"])[key(whole)], parts["target"][key(parts)], rtol=1e-6)
    assert sum(len(set(one["unit"].tolist())) for one in piled) == len(set(columns["unit"].tolist()))
