"""The join against one in plain Python, on random streams whose moments lie on every edge."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import HOUR, START_US, aside, at, decision, joined, log, reward

names = st.sampled_from(["a", "b", "c", "d", "e"])
hours = st.sampled_from([-25.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 23.5, 24.0, 24.5, 26.0, 47.0, 48.0, 50.0, 72.0])
decision_rows = st.builds(
    decision, names, hours, action=st.sampled_from(["send", "hold"]), fallback=st.booleans(), age=st.floats(0, 1)
)
metrics = st.dictionaries(st.sampled_from(["tapped", "activated"]), st.sampled_from([0.0, 1.0, math.nan]), max_size=2)
reward_rows = st.builds(
    reward,
    st.sampled_from(["a", "b", "c", "d", "e", "ghost"]),
    hours,
    st.sampled_from([None, 0.0, 1.0, -2.5, math.nan]),
    reward_id=st.sampled_from([None, None, "r", "s"]),
    metrics=metrics,
)
rules_of = st.fixed_dictionaries(
    {
        "wait": st.sampled_from(["30m", "1h", "24h", "25h"]),
        "reward": st.sampled_from(["sum", "first", "last", "max"]),
        "default": st.sampled_from([0.0, 0.25]),
        "watermark": st.sampled_from([0.5, 1.5, 24.0, 48.0, 96.0, 500.0]).map(at),
        "fallbacks": st.booleans(),
        "activation": st.sampled_from(["reported", "required"]),
    }
)
WAITS = {"30m": HOUR // 2, "1h": HOUR, "24h": 24 * HOUR, "25h": 25 * HOUR}
DAY = 24 * HOUR


def days(row: dict[str, Any]) -> int:
    return (row["time"] - START_US) // DAY


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def fates_of(
    rewards: list[dict[str, Any]], homes: dict[str, dict[str, Any]], wait: int, reach: int, watermark: int
) -> tuple[dict[str, int], dict[str, list[dict[str, Any]]]]:
    """How many rewards have which fate, and those that are used, by decision and in order."""
    seen: set[Any] = set()
    counts: dict[str, int] = dict.fromkeys(("used", "late", "unknown", "repeated", "ahead"), 0)
    events: dict[str, list[dict[str, Any]]] = {}
    for _, place in sorted((row["time"], place) for place, row in enumerate(rewards) if -1 <= days(row) <= reach):
        row, name = rewards[place], rewards[place]["decision_id"]
        value, home = finite(row["value"]), homes.get(name)
        key = (name, row["reward_id"]) if row["reward_id"] else (name, row["time"], value, str(row["metrics"]))
        again = key in seen
        seen.add(key)
        if days(home or row) != 0:
            continue
        if row["time"] > watermark:
            fate = "ahead"
        elif again:
            fate = "repeated"
        elif home is None:
            fate = "unknown"
        else:
            fate = "late" if row["time"] > home["time"] + wait else "used"
        counts[fate] += 1
        if fate == "used":
            events.setdefault(name, []).append(row | {"value": value})
    return counts, events


def plainly(decisions: list[dict[str, Any]], rewards: list[dict[str, Any]], rules: dict[str, Any]) -> dict[str, Any]:
    """The same join, row by row."""
    wait = WAITS[rules["wait"]]
    reach = 1 + wait // DAY
    watermark = min(int(rules["watermark"].timestamp()) * 1_000_000, START_US + (reach + 1) * DAY)
    homes: dict[str, dict[str, Any]] = {}
    for _, place in sorted((row["time"], place) for place, row in enumerate(decisions) if -reach <= days(row) <= 1):
        homes.setdefault(decisions[place]["decision_id"], decisions[place])
    counts, events = fates_of(rewards, homes, wait, reach, watermark)
    how = {"sum": sum, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1]}[rules["reward"]]
    rows, fates = [], dict.fromkeys(("held_back", "fallback", "never", "written"), 0)
    for name, row in sorted(homes.items(), key=lambda one: (one[1]["time"], one[0])):
        if days(row) != 0:
            continue
        mine = events.get(name, [])
        said, taps = (
            [value for e in mine if (value := finite(e["metrics"].get(metric))) is not None]
            for metric in ("activated", "tapped")
        )
        active = max(said) > 0 if said else rules["activation"] == "reported"
        if row["time"] + wait > watermark:
            fates["held_back"] += 1
        elif row["fallback"] and not rules["fallbacks"]:
            fates["fallback"] += 1
        elif not active:
            fates["never"] += 1
        else:
            fates["written"] += 1
            values = [e["value"] for e in mine if e["value"] is not None]
            outcome = how(values) if values else rules["default"]
            rows.append((name, row["action"], row["age"], outcome, how(taps) if taps else 0.0))
    duplicates = sum(days(row) == 0 for row in decisions) - sum(fates.values())
    return {"rows": rows, "counts": counts, "fates": fates, "duplicates": duplicates}


CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=25, deadline=None, suppress_health_check=CALM)
@given(
    decisions=st.lists(decision_rows, max_size=14),
    rewards=st.lists(reward_rows, max_size=30),
    rules=rules_of,
)
def test_against_a_plain_join(
    tmp_path: Path, decisions: list[dict[str, Any]], rewards: list[dict[str, Any]], rules: dict[str, Any]
) -> None:
    decisions = [decision("sure", 0.25), *decisions]  # a day without decisions is refused
    folder = tmp_path / "log"
    shutil.rmtree(folder, ignore_errors=True)
    report, rows = joined(log(folder, decisions, rewards), **rules)
    expected = plainly(decisions, rewards, rules)
    found = [(r["decision_id"], r["action"], r["age"], r["reward"], r.get("tapped", 0.0)) for r in rows]
    assert found == expected["rows"]
    assert {name: getattr(report, f"rewards_{name}") for name in expected["counts"]} == expected["counts"]
    assert report.duplicate == expected["duplicates"]
    assert expected["fates"] == {
        "held_back": report.held_back,
        "fallback": report.fallback_excluded,
        "never": report.never_activated,
        "written": report.written,
    }
    assert (len(aside(folder, "late")), len(aside(folder, "unknown"))) == (report.rewards_late, report.rewards_unknown)
