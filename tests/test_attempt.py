"""What an attempt puts to the gate with a discount: whose decisions count, up to what, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jumar.attempt import counting_units, horizon_of
from jumar.logs import Log, read_log, timeline_of


def log_of(units: int, decisions: int, reward: np.ndarray, end: np.ndarray | None = None) -> Log:
    """Units that decide every day; [units, decisions] rewards, and which decisions end an episode."""
    rng, rows = np.random.default_rng(0), units * decisions
    columns = {
        "unit": np.repeat(np.arange(units), decisions),
        "time": np.tile(86_400 * np.arange(decisions), units),
        "x": rng.normal(size=rows),
        "action": np.where(rng.random(rows) < 0.5, "a", "b"),
        "propensity": np.full(rows, 0.5),
        "reward": reward.ravel().astype(float),
    }
    if end is not None:
        columns["end"] = end.ravel()
    return read_log(pa.table(columns), end=None if end is None else "end", reward_range=(0.0, 1.0))


def test_the_last_decision_of_units_that_are_all_alike_counts():
    """What all of a hundred decisions lead to must not fall behind the ninety-nine that hold most of the rows."""
    reward = np.zeros((60, 100))
    reward[:, -1] = 1.0
    log = log_of(60, 100, reward)
    counting = counting_units(log, [])
    assert counting.most_per_unit == 100
    horizon = horizon_of(log, timeline_of(0.999), 100)
    assert horizon.cap == pytest.approx(0.999**99, rel=0.01)
    assert (horizon.beyond, horizon.later) == (0.0, 0.0)


def test_what_does_not_count_is_said():
    """Every unit begins a second episode; one in a hundred brings ten times as much as the others in its first."""
    reward = np.full((3_000, 4), 0.1)
    reward[::100, :2] = 1.0
    horizon = horizon_of(
        log_of(3_000, 4, reward, np.tile([False, True, False, False], (3_000, 1))), timeline_of(0.5), 4
    )
    assert horizon.later == pytest.approx(0.5)
    assert any("50.0% of the training rows' decisions come after" in said for said in horizon.sentences)
    assert horizon.cap == pytest.approx(1.5)  # 1 + 0.5·1: to leave out one unit in a hundred would leave out a tenth
    assert horizon.beyond == 0.0
    cut = horizon_of(log_of(3_000, 4, reward), timeline_of(0.5), 3)
    assert cut.later == pytest.approx(0.25)
