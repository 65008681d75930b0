"""The audit finds each planted fault, says so with numbers, and is silent on a sound log."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jumar.logs import evidence_by_unit, read_log
from jumar.logs.audit_leakage import explained_share
from jumar.logs.audits import audit
from jumar.records import Finding
from jumar.worlds import Notifications

FrameOf = Callable[..., pd.DataFrame]


def findings(frame: pd.DataFrame, **options: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in audit(read_log(frame, **options))}


def test_a_sound_log_has_nothing_but_ok(frame_of: FrameOf) -> None:
    found = findings(frame_of(8_000))
    assert {f.name: f.verdict for f in found.values() if f.verdict != "ok"} == {}
    assert len(found) == 15
    assert all(f.sentence.endswith(".") for f in found.values())
    assert found["contents"].figures["rows"] == 8_000
    assert "8,000 decisions" in found["contents"].sentence


def test_seeds_without_faults_block_nothing(frame_of: FrameOf) -> None:
    for seed in range(1, 6):
        verdicts = {f.verdict for f in findings(frame_of(3_000, seed)).values()}
        assert verdicts == {"ok"}


def test_missing_roles_are_named_with_their_cost(frame: pd.DataFrame) -> None:
    finding = findings(frame.drop(columns=["propensity", "user_id", "time"]))["roles"]
    assert finding.verdict == "warning"
    assert "conditional" in finding.sentence
    assert finding.figures["missing"] == "propensity, unit, time"


def test_deterministic_logging_is_blocked(frame: pd.DataFrame) -> None:
    finding = findings(frame.assign(propensity=1.0))["exploration"]
    assert finding.verdict == "blocked"
    assert "certainty" in finding.sentence


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_wrong_propensities_are_blocked(frame_of: FrameOf, factor: float) -> None:
    frame = frame_of(20_000)
    frame.loc[frame.action == "push", "propensity"] *= factor
    finding = findings(frame)["calibration"]
    assert finding.verdict == "blocked"
    assert finding.figures["worst_action"] == "push"
    assert finding.figures["worst_mean"] == pytest.approx(1 / factor, rel=0.05)


def test_rare_actions(frame: pd.DataFrame) -> None:
    frame.loc[:9, "action"] = "fax"
    finding = findings(frame)["support"]
    assert finding.verdict == "warning"
    assert "'fax' (10)" in finding.sentence


def test_with_an_arm_kept_for_good_evidence_is_counted_by_unit(frame_of: FrameOf) -> None:
    frame = frame_of(8_000)
    assert not evidence_by_unit(audit(read_log(frame)))
    first = frame.groupby("user_id")[["action", "propensity"]].transform("first")
    frame[["action", "propensity"]] = first
    found = findings(frame)
    assert found["shared randomness"].verdict == "warning"
    assert found["shared randomness"].figures["share_repeated"] == 1.0
    assert "counted by unit" in found["shared randomness"].sentence
    assert evidence_by_unit(found.values())
    assert "shared randomness" not in findings(frame.drop(columns="user_id"))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_world_whose_arms_persist_is_counted_by_unit(persistent: bool) -> None:
    log = read_log(Notifications(persistent=persistent).log(20_000, seed=1))
    found = {finding.name: finding for finding in audit(log)}
    assert evidence_by_unit(found.values()) == persistent
    assert found["calibration"].verdict == "ok"
    assert found["overlapping rewards"].verdict == "ok"
    assert "blocked" not in {finding.verdict for finding in found.values()}


def test_arms_that_take_turns_share_their_randomness_too(frame_of: FrameOf) -> None:
    """Each decision by itself is a fair coin, but the second is the opposite of the first."""
    frame = frame_of(8_000).sort_values(["user_id", "time"], ignore_index=True)
    place = frame.groupby("user_id").cumcount()
    coin = frame.user_id.map(hash_bit) + place
    frame = frame.assign(action=np.where(coin % 2 == 0, "a", "b"), propensity=0.5)
    found = findings(frame)
    assert found["shared randomness"].figures["by_unit"] == 1
    assert found["calibration"].verdict == "ok"


def hash_bit(text: str) -> int:
    return hashlib.md5(text.encode()).digest()[0] & 1


def test_habits_that_the_propensities_know_are_fine(frame_of: FrameOf) -> None:
    """A unit repeats its last action with probability 0.8, and the log says so."""
    frame = frame_of(8_000).sort_values(["user_id", "time"], ignore_index=True)
    rng, actions = np.random.default_rng(1), np.array(["mail", "none", "push"])
    taken, propensity = [], []
    for i, user in enumerate(frame.user_id):
        again = i > 0 and user == frame.user_id[i - 1]
        p = np.where(actions == taken[-1], 0.8, 0.1) if again else np.full(3, 1 / 3)
        draw = rng.choice(3, p=p)
        taken.append(actions[draw])
        propensity.append(p[draw])
    finding = findings(frame.assign(action=taken, propensity=propensity))["shared randomness"]
    assert finding.verdict == "ok"
    assert finding.figures["share_repeated"] == pytest.approx(0.8, abs=0.05)


def test_feature_that_knows_the_reward(frame: pd.DataFrame) -> None:
    frame["dwell"] = frame.reward * np.random.default_rng(0).uniform(1, 50, len(frame))
    found = findings(frame)
    assert found["reward leakage"].verdict == "warning"
    assert "'dwell'" in found["reward leakage"].sentence
    assert found["filled afterwards"].verdict == "warning"
    assert "zero" in found["filled afterwards"].sentence


def test_feature_that_knows_the_draw(frame: pd.DataFrame) -> None:
    frame["channel"] = frame.action.map({"mail": "smtp", "none": None, "push": "apns"})
    found = findings(frame)
    assert found["action leakage"].verdict == "blocked"
    assert "'channel'" in found["action leakage"].sentence
    assert "missing" in found["filled afterwards"].sentence
    assert findings(frame.drop(columns="propensity"))["action leakage"].verdict == "warning"


def test_propensities_that_follow_a_feature_are_no_leak(frame_of: FrameOf) -> None:
    frame, rng = frame_of(8_000), np.random.default_rng(1)
    liked = np.where(frame.country == "de", 0.95, 0.05)
    sent = rng.random(8_000) < liked
    frame["action"], frame["propensity"] = np.where(sent, "a", "b"), np.where(sent, liked, 1 - liked)
    found = findings(frame)
    assert found["action leakage"].verdict == "ok"
    assert found["calibration"].verdict == "ok"


def test_drift(frame_of: FrameOf) -> None:
    frame = frame_of(8_000)
    frame["x"] += np.arange(8_000) / 2_000
    finding = findings(frame)["drift"]
    assert finding.verdict == "warning"
    assert "feature 'x'" in finding.sentence
    frame = frame_of(8_000)
    frame.loc[7_000:, "reward"] = 1.0
    finding = findings(frame)["drift"]
    assert "the reward" in finding.sentence
    assert len(finding.figures["mean_rewards"]) == 10  # type: ignore[arg-type]
    assert finding.figures["mean_rewards"][-1] > 0.9  # type: ignore[index]


def test_gaps_and_repeated_rows(frame: pd.DataFrame) -> None:
    frame.loc[:1_499, "x"] = np.nan
    frame = pd.concat([frame, frame.iloc[:500].assign(decision_id=[f"again{i}" for i in range(500)])])
    found = findings(frame)
    assert found["missing values"].verdict == "warning"
    assert "'x' (80%)" in found["missing values"].sentence
    assert found["duplicates"].verdict == "warning"
    assert found["duplicates"].figures["share"] == pytest.approx(0.2)


def test_rewards_that_use_little_of_their_range(frame: pd.DataFrame) -> None:
    assert findings(frame, reward_range=(0, 100))["rewards"].verdict == "warning"
    assert findings(frame.assign(reward=1.0))["rewards"].verdict == "blocked"


def test_one_unit_with_most_rows_shows_in_the_shares(frame_of: FrameOf) -> None:
    frame = frame_of(4_000)
    frame["user_id"] = [f"u{i % 2}" for i in range(4_000)]
    finding = findings(frame)["sample ratio"]
    assert finding.verdict == "warning"
    frame["user_id"] = [f"u{i}" for i in range(4_000)]
    assert findings(frame)["sample ratio"].verdict == "ok"


def test_lists_times_and_unknown_propensities_are_audited(frame: pd.DataFrame) -> None:
    frame["seen"] = [[str(i % 3)] * (i % 4) for i in range(len(frame))]
    frame["born"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(frame)) % 900, unit="D")
    found = findings(frame.drop(columns=["propensity", "time"]))
    assert set(found["reward leakage"].figures["explained"]) == {"x", "country", "new", "seen", "born"}  # type: ignore[arg-type]
    assert "calibration" not in found
    assert "drift" not in found


def test_explained_share_by_hand() -> None:
    """Groups with means 1 and 3 about 2, so η² = 1/(10/6) = 0.6, and corrected 1 − 0.4·5/4 = 0.5."""
    codes = np.array([0, 0, 0, 1, 1, 1])
    target = np.array([0.0, 1.0, 2.0, 2.0, 3.0, 4.0])
    assert explained_share(codes, target) == pytest.approx(1 - 0.4 * 5 / 4)
    assert explained_share(codes, np.ones(6)) == 0.0
    assert explained_share(codes, np.repeat([0.0, 1.0], 3)) == 1.0
