"""Overlapping reward windows are found, and logs without them are left in peace, whatever else moves in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jumar.logs import evidence_by_unit, read_log
from jumar.logs.audit_overlap import ends, follow, overlap
from jumar.logs.audits import audit, take_sample
from jumar.records import Finding


def test_follow_by_hand() -> None:
    """40 pairs: after reward 1 comes action 1 thirty times at 1/2, after reward 0 comes action 0 ten times at 1/4.

    c = 3/4. Action 1: ΣT = 30·2·¼ = 15; ΣT² = 30·(1·¼)² + 10·(¾)² = 7.5; the ratio's squares sum to 30·1 + 10 = 40 and
    the reward's variance is 3/16, so the other variance is 7.5 as well. Action 0 came too rarely for a z.
    """
    reward = np.repeat([1.0, 0.0], [30, 10])
    action, p = np.repeat([1, 0], [30, 10]), np.repeat([0.5, 0.25], [30, 10])
    means, scores = follow(reward, action, p, 2)
    np.testing.assert_allclose(means, [10 * 4 * -0.75 / 40, 15 / 40])
    np.testing.assert_allclose(scores, [0.0, 15 / np.sqrt(7.5)])


def test_a_skewed_sum_is_no_proof() -> None:
    """A rare action after rare rewards: √ΣT² alone would say z = −6 where nothing is unusual."""
    reward = np.zeros(10_000)
    reward[:50] = 1.0
    action = np.zeros(10_000, int)
    action[-100:] = 1
    means, scores = follow(reward, action, np.where(action == 1, 0.01, 0.99), 2)
    assert means[1] == pytest.approx(-0.005)
    assert -1 < scores[1] < 0


def visits(seed: int, units: int = 3_000, spill: float = 0.0, rare: float = 0.2) -> pd.DataFrame:
    """Users of different luck decide three times; with chance ``spill`` the next action becomes part of a reward.

    The policy prefers what its feature says, and the feature tells what the last reward was.
    """
    rng = np.random.default_rng(seed)
    luck = rng.beta(1, 4, units)
    rows, last = [], np.zeros(units)
    draws = np.zeros((3, units), int)
    for step in range(3):
        p = np.where(last > 0, 0.8, rare)
        draws[step] = rng.random(units) < p
        reward = (rng.random(units) < luck + 0.2 * draws[step]).astype(float)
        rows.append({"propensity": np.where(draws[step] == 1, p, 1 - p), "x": last, "reward": reward})
        last = reward
    frames = []
    for step, row in enumerate(rows):
        spilled = (rng.random(units) < spill) & (step < 2)
        row["reward"] = np.where(spilled, np.maximum(row["reward"], draws[min(step + 1, 2)]), row["reward"])
        time = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 3_600, units) + 86_400 * step, unit="s")
        frames.append(
            pd.DataFrame(row | {"action": draws[step], "user_id": [f"u{i}" for i in range(units)], "time": time})
        )
    return pd.concat(frames, ignore_index=True).assign(z=rng.normal(size=3 * units))


def found(frame: pd.DataFrame) -> Finding:
    return next(finding for finding in audit(read_log(frame)) if finding.name == "overlapping rewards")


def test_rewards_that_the_next_decision_helps_to_cause() -> None:
    finding = found(visits(0, spill=0.3))
    assert finding.verdict == "warning"
    assert finding.figures["by_unit"] == 1
    assert "counted by unit" in finding.sentence
    assert evidence_by_unit([finding])


def test_policies_that_know_the_last_reward_are_fine() -> None:
    finding = found(visits(0))
    assert finding.verdict == "ok"
    assert finding.figures["pairs"] == 6_000
    assert not evidence_by_unit([finding])


@pytest.mark.parametrize("rare", [0.2, 0.01])
def test_clean_logs_do_not_alarm(rare: float) -> None:
    """Two hundred clean worlds: no alarm, and z spreads no wider than chance lets it."""
    scores = []
    for seed in range(200):
        frame = visits(seed, units=600, rare=rare).sort_values(["user_id", "time"])
        log = frame.reward.to_numpy(), frame.action.to_numpy(), frame.propensity.to_numpy()
        same = frame.user_id.to_numpy()[1:] == frame.user_id.to_numpy()[:-1]
        scores.append(follow(log[0][:-1][same], log[1][1:][same], log[2][1:][same], 2)[1])
    z = np.concatenate(scores)
    assert np.abs(z).max() < 4.5
    assert z.std() < 1.1


def test_what_the_test_needs() -> None:
    frame = visits(0)
    for without in ("user_id", "time", "propensity"):
        log = read_log(frame.drop(columns=without))
        assert overlap(log, log.origin.arrow(log.part())) == []
    assert "Too few units" in found(frame.iloc[:3_050]).sentence


@pytest.mark.parametrize("afterwards", [True, False])
def test_ends_that_were_flagged_in_view_of_later_draws_are_found(afterwards: bool) -> None:
    """A visit is closed for some whose third decision came out as 1, or for as many whatever came."""
    frame = visits(4).sort_values(["user_id", "time"], ignore_index=True)
    rng = np.random.default_rng(4)
    third = frame["action"].to_numpy()[2::3] == 1
    closed = rng.random(len(third)) < (0.4 * third if afterwards else 0.15)
    frame["end"] = np.stack([closed, np.zeros_like(closed), np.ones_like(closed)], axis=1).ravel()
    log = read_log(frame, end="end")
    (found,) = ends(log, take_sample(log))
    assert (found.verdict, "by_unit" in found.figures) == (("warning", True) if afterwards else ("ok", False))
    assert [one.verdict for one in audit(log, ahead=True) if one.name == found.name] == [found.verdict]
    assert found.figures["pairs"] == 6_000
    assert all(one.name != found.name for one in audit(log))
    always = read_log(frame.assign(end=[False, False, True] * (len(frame) // 3)), end="end")
    assert ends(always, take_sample(always)) == []
