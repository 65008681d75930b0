"""The gate's benchmark in small: worlds are what they say, counts are rows, and what must be noticed is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from gate import (
    adaptive,
    audits,
    boosted,
    cases,
    documents,
    episodes,
    null_worlds,
    nulls,
    pipeline,
    power,
    tables,
    year,
)
from gate.core import ALPHAS, Outcomes, draw, expanded, log_capital, lower_limit, t_level, upper_limit
from jumar.evaluate.capital import Capital, default_bets
from jumar.evaluate.star import passes
from table import Row, print_table

each_case = pytest.mark.parametrize("case", cases.CASES, ids=lambda case: f"{case.name}, {case.control_name}")


@each_case
def test_counts_are_rows(case: cases.Case) -> None:
    assert expanded(case.outcomes(2_000), 2_000, seed=0) < 1e-9


@each_case
def test_a_release_is_false_in_every_world(case: cases.Case) -> None:
    gains = case.outcomes(20_000).means[-1]
    if case.mean is not None:
        assert gains[0] == pytest.approx(case.mean, abs=1e-15)
        assert case.mean > 0
    else:
        assert gains.min() <= 1e-12
        assert gains.min() > -0.01  # and none is so bad that nobody would release it


def test_outcomes_by_hand() -> None:
    greedy = null_worlds.explored(0.05, 0.06)
    rows, y = greedy.rows, greedy.of(null_worlds.VALUE)[:, 0]
    won = {action: y[(rows.action == action) & (rows.reward == 1) & (greedy.context == 0)] for action in (0, 1)}
    assert won[0] == pytest.approx([-1.0])
    assert won[1] == pytest.approx([1 / 0.15 - 1])
    assert greedy.chance @ y == pytest.approx(0.85 * 0.06 - 0.85 * 0.05)
    # the guardrail: y = (w − 1)(1 − c) + m·c, w = 2 for the policy's action and 0 for the other
    outcomes = null_worlds.guardrail(1_000)
    assert sorted(set(np.round(outcomes.y[:, 1], 12))) == pytest.approx([-1.0, 0.1, 1.0])
    assert outcomes.means[-1][0] > 0.04
    # at the margin: (w − 1 + m)·r
    assert sorted(set(np.round(null_worlds.margin(1).y[:, 0], 9))) == pytest.approx([-0.95, 0.0, 0.05, 1 / 0.15 - 0.95])


def test_episode_by_hand() -> None:
    world = episodes.tiring(0.1)
    chance, whole, steps = world.chance, world.whole(), world.own_rewards()
    assert chance.sum() == pytest.approx(1.0)
    # action 1 three times, paid each time: ρ is r, r², r³ with r = 7/3
    r = 0.7 / 0.3
    assert whole[-1] == pytest.approx((r + r**2 + r**3 - 3) / 3)
    assert steps[-1] == pytest.approx(r - 1)
    assert chance[-1] == pytest.approx(0.3**3 * 0.4 * 0.3 * 0.3)
    assert world.once()[-1] == pytest.approx((r - 1) * (3 + 2 + 1) / 9)


def test_worlds_of_sequences_are_what_they_say() -> None:
    """χ² sums to 4; a cap of one reward; deviating once gains where deviating always does not."""
    eight = episodes.eight()
    assert eight.chance @ np.multiply.reduceat(eight.weight, eight.starts) ** 2 == pytest.approx(1.5**8)
    full = episodes.full()
    brought = np.add.reduceat(full.reward, full.starts)
    assert full.chance[brought == 2].sum() > 0.1
    assert full.whole() == pytest.approx(
        [
            (w[0] - 1) * r[0] + (w.prod() - 1) * r[1] * (1 - r[0])
            for w, r in zip(full.weight.reshape(-1, 2), full.reward.reshape(-1, 2), strict=True)
        ]
    )
    assert full.chance @ full.shared_out() > 0.01
    exhausted = episodes.exhausted()
    assert exhausted.chance @ exhausted.once() > 0.01
    for world in (eight, full, exhausted, episodes.tired_in_the_end()):
        assert -1e-12 < world.chance @ world.whole() <= 0


def test_the_gate_holds_and_the_t_test_does_not() -> None:
    """The whole path of one line; a rare loss pays for a small sure gain."""
    index = [case.name for case in cases.CASES].index("rare loss")
    line = nulls.run(index, 20_000, 3_000)
    assert line.sound
    assert line.breaks
    assert lower_limit(line.control_hits[-1], line.runs) >= nulls.BREAKS_AT
    assert line == nulls.run(index, 20_000, 3_000)


def test_a_gate_without_weights_below_one_would_be_noticed() -> None:
    """(w − 1)·r kept only where it is positive flatters every policy: the line is not sound."""
    case = next(case for case in cases.CASES if case.name == "ε-greedy, 8 looks")

    def flattered(rows: int) -> Outcomes:
        honest = case.outcomes(rows)
        return replace(honest, y=np.maximum(honest.y, -0.9))

    outcomes = flattered(100_000)
    counts = draw(np.random.default_rng(0), case.outcomes(100_000), 100_000, 400)
    levels = np.exp(-log_capital(counts[:, -1], outcomes.y[:, 0], outcomes.bets(100_000)[0]))
    hits = [int((levels <= alpha).sum()) for alpha in ALPHAS]
    assert not nulls.Rates("", "", 100_000, 400, hits, hits).sound


def test_limits_are_those_of_the_binomial() -> None:
    assert lower_limit(0, 100) == 0.0
    assert upper_limit(100, 100) == 1.0
    assert binom.sf(7 - 1, 200, lower_limit(7, 200)) == pytest.approx(0.01)
    assert binom.cdf(7, 200, upper_limit(7, 200)) == pytest.approx(0.01)


def test_t_level_by_hand() -> None:
    counts, y = np.array([30.0, 60.0, 10.0]), np.array([1.0, 0.0, -1.0])
    mean, square = 0.2, 0.4
    z = mean / np.sqrt((square - mean**2) / 100)
    assert t_level(counts, y) == pytest.approx(1 - 0.5 * (1 + _erf(z / np.sqrt(2))), rel=1e-9)
    assert t_level(counts[::-1], y) == 1.0


def _erf(x: float) -> float:
    from math import erf

    return erf(x)


@pytest.mark.parametrize("rule", [0, 1])
def test_adaptive_logs_against_a_plain_loop(rule: int) -> None:
    """One log, decision by decision in Python, from the same draws."""
    rows, runs = 400, 3
    logs, best = adaptive.simulate(rule, rows, 1, runs, np.random.default_rng(5))
    rng, low, high = np.random.default_rng(5), *adaptive.SECOND[rule]
    won, tried, favoured, d = np.zeros((runs, 2)), np.zeros((runs, 2)), [False] * runs, np.zeros((rows, runs))
    for row in range(rows):
        picks, pays = rng.random(runs), rng.random(runs)
        for run in range(runs):
            if rule == 0:
                rates = [won[run, arm] * tried[run, 1 - arm] for arm in (0, 1)]
                favoured[run] = rates[1] > rates[0]
            elif won[run, 1] - won[run, 0] > adaptive.WINS * max(won[run].sum(), adaptive.LEAST_VARIANCE) ** 0.5:
                favoured[run] = True
            second = high if favoured[run] else low
            arm, paid = int(picks[run] < second), float(pays[run] < adaptive.RATE)
            tried[run, arm] += 1
            won[run, arm] += paid
            d[row, run] = ((1.0 / second if arm else 0.0) - 1.0) * paid
    bets = default_bets(adaptive.RATE * ((1 - low) + low * (1 / low - 1) ** 2), rows, 0.001)
    capital, highest = Capital([bets] * runs), np.full(runs, -np.inf)
    for part in np.split(d, adaptive.LOOKS):
        highest = np.maximum(highest, capital.update(part).log_value)
    assert best == pytest.approx(highest, abs=1e-9)
    assert logs.counts.sum() == rows * runs


def test_boosted_lines_use_the_booster_itself() -> None:
    for index in range(len(boosted.NAMES)):
        line = boosted.run(index, 20_000, 60)
        assert line.difference is not None
        assert line.difference < 1e-9
    counts = boosted.blocks_of(np.random.default_rng(0), np.array([0.5, 0.5]), 4_000, 5)
    assert counts.shape == (200, 5, 2)
    assert (counts.sum(axis=2) == 20).all()
    star = boosted.filled(counts, np.array([-1.0, 1.0]), 1.0, 4_000)
    assert star.count == 4_000
    assert passes(np.zeros(5), star, 0.05).shape == (5,)


def test_a_year_by_brute_force() -> None:
    chance, d = np.array([0.2, 0.3, 0.5]), np.array([[1.0, 0.5], [-1.0, -1.0 / 3.0], [0.2, 0.0]])
    assert (chance @ d)[0] == pytest.approx(0.0)
    days = np.random.default_rng(1).multinomial(50, chance, size=(4, year.DAYS)).astype(float)
    total = np.concatenate([np.zeros((4, 1, 3)), np.cumsum(days, axis=1)], axis=1)
    levels = year._attempt(total, d, chance, 350)
    bets = default_bets(float(chance @ d[:, 0] ** 2), year.WINDOW * year.DAY_ROWS, 0.001)
    for one in range(4):
        capital, best = Capital(bets), 0.0
        for day in range(350, year.DAYS):
            capital.update(np.repeat(d[:, 0], days[one, day].astype(int)))
            best = max(best, capital.log_value)
        assert levels[one] == pytest.approx(np.exp(-best), rel=1e-9)
    parts = [year.Years(name, 2, [1, 0, 0], [2, 1, 0], [2, 2, 1]) for name in year.NAMES for _ in range(3)]
    assert year.joined(parts)[0] == year.Years(year.NAMES[0], 6, [3, 0, 0], [6, 3, 0], [6, 6, 3])


def test_power_world_is_worth_what_it_says() -> None:
    for spread in (0.0, power.SPREAD):
        world = power.better(0.2, spread)
        rows = world.rows
        assert world.chance @ rows.reward == pytest.approx(0.2)
        assert world.chance @ (rows.weight[:, 0] * rows.reward) == pytest.approx(0.21)
    rows = np.array([80.0, 100.0, 120.0])
    assert power.crossing(rows, np.array([0.7, 0.8, 0.87])) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("which", range(len(audits.NAMES)))
def test_audits_are_put_together_from_rows(which: int) -> None:
    assert audits.difference(which, 4_000) < 1e-8


def test_audits_see_what_the_mean_weight_hides() -> None:
    misplaced = audits.run(audits.MISPLACED, 3)
    assert (misplaced.large, misplaced.within, misplaced.unguided) == (3, 3, 0)
    clean = audits.run(0, 3)
    assert (clean.large, clean.small) == (0, 0)


@pytest.mark.parametrize("kind", pipeline.KINDS)
def test_pipeline_worlds_hold_nothing_to_gain(kind: str) -> None:
    """No policy that explores as much as it must is better than production, and the fitted rows add up alike."""
    one, another = pipeline.world(kind, 0), pipeline.world(kind, 1)
    least = 0.05
    best = np.where(one.value == one.value.max(axis=1, keepdims=True), 1.0, 0.0)
    best = least + (1 - 2 * least) * best / best.sum(axis=1, keepdims=True)

    class Policy:
        actions = pipeline.ACTIONS[::-1].tolist()

        def __init__(self, pmf: np.ndarray) -> None:
            self.kept = pmf

        def pmf(self, contexts: Any) -> np.ndarray:
            assert contexts.num_rows == 16
            return self.kept[:, ::-1]

    assert one.gain(Policy(one.production)) == 0.0
    assert one.gain(Policy(best)) <= 1e-12
    users = len(set(one.log["user"].to_pylist()))
    fit = pipeline._place_of_unit(users)[np.asarray(one.log["user"])] < 0.35
    sums = [float(np.asarray(world.log["reward"])[fit].sum()) for world in (one, another)]
    assert sums[0] == sums[1]
    assert one.log != another.log
    assert one.log["x"].equals(another.log["x"])


def test_pipeline_table_and_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = [
        pipeline.Judged(kind, True, (False, False), (True, at < 20)) for kind in pipeline.KINDS for at in range(80)
    ]
    assert print_table(pipeline.targets(quiet, quick=False)) == 0
    loud = [replace(one, false=(True, at % 10 == 0)) if at % 5 == 0 else one for at, one in enumerate(quiet)]
    assert print_table(pipeline.targets(loud, quick=False)) == 1
    silent = [replace(one, control=(False, False)) for one in quiet]
    assert print_table(pipeline.targets(silent, quick=False)) == 1
    assert "MISSED" in capsys.readouterr().out
    assert pipeline._as_table(loud).rows[-1][:4] == ["all", "400", "100%", "20.000%"]
    kept = tmp_path / "rare-reward-8-2.json"
    kept.write_bytes(msgspec.json.encode(quiet[:2]))
    assert pipeline.run(str(tmp_path), str(tmp_path), "rare reward", 8, 2) == quiet[:2]


def test_missed_targets_and_silent_controls_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    good = nulls.Rates("rare loss", "t-test", 20_000, 10_000, [100, 10, 1], [900, 300, 200], 1e-12)
    assert print_table(tables.null_targets([good])) == 0
    for broken in (
        replace(good, hits=[700, 10, 1]),
        replace(good, hits=[100, 10, 40]),
        replace(good, control_hits=[400, 50, 5]),
        replace(good, difference=1e-6),
    ):
        assert print_table(tables.null_targets([broken])) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, Any]:
    figures, document = tmp_path / "figures.json", tmp_path / "page.md"
    table = tables.Table("small", "A title", ["case", "rate"], [["one", "0.1%"]], "A note.")
    documents.store("small", table, [Row("a", "1", "≤ 2", True)], "python benchmarks/gate_bench.py", figures)
    documents.store("other", None, [Row("b", "3", "≤ 2", False)], "x", figures)
    document.write_text("Before.\n\n<!-- figures:small -->\nold\n<!-- end of figures:small -->\n\nAfter.\n")
    return {"documents": [document], "path": figures}


def test_documents_are_filled_and_checked(kept: dict[str, Any]) -> None:
    (document,) = kept["documents"]
    assert documents.stale(**kept) == [document]
    assert documents.write(**kept) == [document]
    text = document.read_text()
    assert "| one | 0.1% |" in text
    assert "| a | 1 | ≤ 2 | met |" in text
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert documents.stale(**kept) == []
    document.write_text(text.replace("0.1%", "0.2%"))
    assert documents.stale(**kept) == [document]


def test_the_documents_quote_the_figures_that_were_measured() -> None:
    assert documents.stale() == []
