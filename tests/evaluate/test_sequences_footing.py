"""What rewards count from: exact gains where policies change how long units last, whatever the range of rewards."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jumar.errors import JumarError
from jumar.evaluate.claims import Claim, ClaimRows, UnitRows, per_unit
from jumar.evaluate.judging import ties_of
from jumar.evaluate.sequences import episode_variable, single_deviation_variable
from jumar.evaluate.sequences.footing import Footing
from jumar.evaluate.sequences.returns import cap_of
from jumar.logs import timeline_of

from .paths import Floats, Paths, Process, paths, random_policy, random_process, release_rate

RANGES = [(-2.0, 1.0), (-3.0, -1.0), (1.0, 3.0), (0.0, 5.0)]


def own_returns(path: Paths, low: float, high: float) -> Floats:
    """[paths] Σ γ^t·(low + (high − low)·r), in the reward's own units."""
    ends = [*path.starts[1:], path.state.size]
    steps = [np.cumprod(np.r_[1.0, path.discount[a : b - 1]]) for a, b in zip(path.starts, ends, strict=True)]
    return np.add.reduceat(np.concatenate(steps) * (low + (high - low) * path.reward), path.starts)


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("seed", range(4))
def test_gains_in_own_units_are_exact(low: float, high: float, seed: int):
    rng = np.random.default_rng(seed)
    process = random_process(rng)
    production, policy = 0.9 * random_policy(rng) + 0.05, random_policy(rng)
    path = paths(process)
    even = timeline_of(0.7) if process.gamma < 1 else timeline_of(0.7, per="day")
    footing = Footing.of(low, high, even, 3)
    cap = footing.above + 4.0
    units = UnitRows(path.starts, path.discount, cap, 3, footing=footing)
    rows = ClaimRows(path.weight(policy, production)[:, None], path.reward, path.action, units=units)
    chance, brought = path.chance(production), own_returns(path, low, high)
    scale = cap * footing.width
    d = per_unit(Claim(kind="return", metric="reward"), rows)[:, 0]
    assert scale * (chance @ d) == pytest.approx((path.chance(policy) - chance) @ brought, abs=1e-12)
    assert d.min() >= -1.0
    once = per_unit(Claim(kind="deviation", metric="reward"), rows)[:, 0]
    changed = path.chance_of_one(policy, production, 3) - chance
    assert scale * (chance @ once) == pytest.approx(changed @ brought, abs=1e-12)
    assert once.min() >= -1.0
    assert units.brought(path.reward) == pytest.approx((brought / footing.width + footing.above).sum() / cap)


def test_a_longer_unit_is_not_better_by_itself():
    """Every decision costs, whatever is done; action 1 keeps units longer. Counted from the range's low end it pays."""
    move = np.zeros((1, 2, 2))
    move[0, 0] = [0.6, 0.4]
    move[0, 1] = [0.95, 0.05]
    process = Process(np.ones(1), move, np.full((1, 2), 0.5), decisions=4)
    production, policy = np.array([[0.5, 0.5]]), np.array([[0.4, 0.6]])
    path = paths(process)
    chance, w = path.chance(production), path.weight(policy, production)
    assert (path.chance(policy) - chance) @ own_returns(path, -1.0, 0.0) < -0.01
    footing = Footing.of(-1.0, 0.0, timeline_of(0.9, per="day"), 4)
    units = UnitRows(path.starts, path.discount, footing.above, 4, footing=footing)
    claim = Claim(kind="return", metric="reward")
    d = per_unit(claim, ClaimRows(w[:, None], path.reward, path.action, units=units))[:, 0]
    facts = {"alpha": 0.01, "episodes": 5_000, "runs": 1_000}
    assert release_rate(d, chance, **facts, seed=1) <= 0.01
    lengthened = episode_variable(w, path.reward, path.discount, path.starts, cap=4.0)
    assert release_rate(lengthened, chance, **facts, seed=2) >= 0.99


def test_footings_by_hand():
    found = Footing.of(-1.0, 3.0, timeline_of(0.5), 3)
    assert (found.offset, found.slope, found.width, found.nothing, found.longest) == (0.0, 1.0, 4.0, 0.25, 1.75)
    # Two decisions at discounts 1 and 0.5; what is left of 1.75 is paid 0.25 each.
    assert found.closing(np.array([0.5, 0.0]), np.array([0])) == pytest.approx([0.25 * 0.25])
    assert Footing.of(2.0, 4.0, timeline_of(0.5), 3).rewards(np.array([0.0, 1.0])) == pytest.approx([0.5, 1.0])
    assert Footing.of(0.0, 4.0, timeline_of(0.5), 3).closing(np.zeros(2), np.array([0])) is None
    assert Footing.of(-1.0, 3.0, timeline_of(0.5, per="day"), 3).longest == 3.0


def test_a_cap_leaves_out_little_of_what_units_bring():
    few = np.r_[np.ones(997), np.full(3, 200.0)]  # three units of a thousand bring more than a third of the whole
    assert cap_of(few) == 200.0
    assert cap_of(np.ones(1_000)) == 1.0
    spread = np.arange(1.0, 1_001.0)
    cap = cap_of(spread)
    assert 995.0 <= cap < 1_000.0
    assert np.maximum(spread - cap, 0).sum() <= 0.01 * spread.sum()
    assert cap_of(np.zeros(0)) == cap_of(np.zeros(5)) == 1e-3
    assert cap_of(np.full(5, 1.2345)) == 1.24
    # What is brought counts from 0, not from the floor: here the two rich units bring half of it.
    assert cap_of(np.r_[np.full(998, 50.001), np.full(2, 50.5)], above=50.0) == 50.5


def test_ties_are_read_within_units():
    """The last row kept of a unit may have a next one that is not here; that is no tie of the next unit's first."""
    columns = {"__hash": ["a", "a", "a", "b", "b", "c"], "__wait": [0.0, 5.0, 0.0, 0.0, None, None]}
    found = ties_of(pa.RecordBatch.from_pydict(columns))
    assert found is not None
    assert found.tolist() == [False, True, False, False, True, False]
    assert ties_of(pa.RecordBatch.from_pydict({"__hash": ["a"]})) is None


def test_ties_and_closings_that_cannot_be_are_refused():
    columns = np.ones(2), np.zeros(2), np.ones(2), np.array([0])
    for bad in ([True, False], [False]):
        with pytest.raises(JumarError, match="ties must say"):
            episode_variable(*columns, cap=1.0, tied=bad)
    with pytest.raises(JumarError, match="behind last rows"):
        episode_variable(*columns, cap=1.0, closing=[-1.0])
    with pytest.raises(JumarError, match="count from the start"):
        single_deviation_variable(*columns, cap=1.0, most_per_unit=2, counted_from="decision", tied=[False, True])
