"""Following the registry: exchanges that nobody notices, and breakage that changes nothing."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from service_kit import CONTEXT, Caller, make_policy, make_registry

from jumar.policy import Policy
from jumar.policy.exploration import parse_exploration
from jumar.policy.sampling import draw, hash_key, uniforms
from jumar.serve import watching
from jumar.serve.counts import DayCounts, decided_today
from jumar.serve.decider import Decider
from jumar.serve.journal import Journal
from jumar.serve.metrics import Metrics
from jumar.serve.watching import Watcher

EXPLORE = parse_exploration("floor:0.05")


def decider_of(policy: Policy, version: str) -> Decider:
    return Decider(policy, EXPLORE, "salt", version=version)


class Service:
    """A caller whose desk follows a registry."""

    def __init__(self, registry: Any, sink: Any = None) -> None:
        self.caller = Caller(make_policy(), "floor:0.05", sink)
        self.desk, self.metrics = self.caller.desk, self.caller.metrics
        self.desk.serving = None
        self.watcher = Watcher(lambda: registry, self.desk, decider_of, self.metrics, 0.01)

    def look(self) -> None:
        self.watcher.apply(self.watcher.look())

    @property
    def versions(self) -> tuple[str | None, str | None, float]:
        serving = self.desk.serving
        assert serving is not None
        return serving.production.version, serving.challenger and serving.challenger.version, serving.share


@pytest.fixture
def three(tmp_path: Path) -> tuple[Any, list[str]]:
    return make_registry(tmp_path, *(make_policy(seed) for seed in (1, 2, 3)))


def test_promotions_canaries_and_rollbacks_are_followed(three: tuple[Any, list[str]]) -> None:
    registry, (one, two, _) = three
    service = Service(registry)
    service.look()
    assert service.versions == (one, None, 0.0)
    first = service.desk.serving
    service.look()
    assert service.desk.serving is first
    registry.promote(two, why="canary", share=0.05, forced=True)
    service.look()
    assert service.versions == (one, two, 0.05)
    challenger = service.desk.serving.challenger  # type: ignore[union-attr]
    registry.widen(0.25, why="no harm")
    service.look()
    assert service.versions == (one, two, 0.25)
    assert service.desk.serving.challenger is challenger  # type: ignore[union-attr]
    registry.widen(1.0, why="no harm")
    service.look()
    assert service.versions == (two, None, 0.0)
    assert service.desk.serving.production is challenger  # type: ignore[union-attr]
    registry.rollback(why="harm")
    service.look()
    assert service.versions == (one, None, 0.0)
    assert not service.watcher.problems
    text = service.metrics.text().decode()
    assert "jumar_swaps_total 4\n" in text
    assert text.count("jumar_policy_info{") == 1


@pytest.mark.parametrize("damage", ["hash", "missing", "graph"])
def test_a_broken_version_changes_nothing_and_is_told(
    three: tuple[Any, list[str]], tmp_path: Path, damage: str
) -> None:
    registry, (one, two, three_) = three
    service = Service(registry)
    service.look()
    graph = tmp_path / "registry/versions" / two / "policy.onnx"
    whole = graph.read_bytes()
    registry.promote(two, why="better", forced=True)
    if damage == "missing":
        graph.unlink()
    elif damage == "hash":
        graph.write_bytes(whole[:-1] + b"x")
    else:
        service.watcher._make = lambda policy, version: 1 / 0  # type: ignore[assignment,return-value]
    service.look()
    service.look()
    assert service.versions == (one, None, 0.0)
    assert "production" in service.watcher.problems
    assert 'jumar_watch_failures_total{what="production"}' in service.metrics.text().decode()
    assert service.caller.decide({"context": CONTEXT})[1]["policy"] == one
    graph.write_bytes(whole)
    service.watcher._make = decider_of
    service.watcher._broken = {two: (0.0, 0.01)}  # its time has come
    service.look()
    assert service.versions == (two, None, 0.0)
    assert not service.watcher.problems
    # A challenger that is broken decides about nobody.
    registry.promote(three_, why="canary", share=0.5, forced=True)
    shutil.rmtree(tmp_path / "registry/versions" / three_)
    service.look()
    assert service.versions == (two, None, 0.0)
    assert "challenger" in service.watcher.problems
    registry.abandon(why="broken")
    service.look()
    assert not service.watcher.problems


def test_a_graph_that_cannot_decide_is_broken(three: tuple[Any, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    registry, (one, two, _) = three
    service = Service(registry)
    service.look()
    registry.promote(two, why="better", forced=True)

    def nonsense(policy: Policy, version: str) -> Decider:
        decider = decider_of(policy, version)
        monkeypatch.setattr(decider._scorer, "run", lambda blocks: (np.full((len(blocks), 3), np.nan),) * 2)
        return decider

    service.watcher._make = nonsense
    service.look()
    assert service.versions[0] == one
    assert "cannot decide" in service.watcher.problems["production"]


def test_a_registry_that_is_away_changes_nothing(three: tuple[Any, list[str]], tmp_path: Path) -> None:
    registry, (one, two, _) = three
    service = Service(registry)
    service.look()
    (tmp_path / "registry").rename(tmp_path / "away")
    state = registry.state

    def unreachable() -> Any:
        raise OSError("no route to host")

    registry.state = unreachable
    service.look()
    assert service.versions[0] == one
    assert "no route" in service.watcher.problems["registry"]
    assert service.caller.decide({"context": CONTEXT})[0] == 200
    (tmp_path / "away").rename(tmp_path / "registry")
    registry.state = state
    registry.promote(two, why="better", forced=True)
    service.look()
    assert service.versions[0] == two
    assert not service.watcher.problems


def test_nothing_in_production_decides_nothing(tmp_path: Path) -> None:
    from jumar.release import Registry

    service = Service(Registry.create(str(tmp_path / "registry")))
    service.look()
    assert service.desk.serving is None
    assert service.caller.decide({"context": CONTEXT})[0] == 503


def test_promotions_under_load_drop_nothing_and_every_propensity_is_its_version_s(
    three: tuple[Any, list[str]], tmp_path: Path
) -> None:
    registry, versions = three
    with Journal(tmp_path / "log", durable=False) as journal:
        service = Service(registry, journal)
        service.look()
        answers: list[tuple[int, Any]] = []
        rng = np.random.default_rng(0)
        values = rng.normal(size=3_000)

        async def caller(part: int, done: asyncio.Event) -> None:
            for i in range(part, len(values), 20):
                if done.is_set():
                    return
                document = {"context": CONTEXT | {"x": float(values[i])}, "decision_id": f"d{i}", "unit": f"u{i % 70}"}
                answers.append(await service.caller.post("/decide", document))

        async def all_of_it() -> None:
            done = asyncio.Event()
            follower = asyncio.create_task(service.watcher.run())
            callers = [asyncio.create_task(caller(part, done)) for part in range(20)]
            for version in (versions[1], versions[2], versions[0]):
                while service.versions[0] == version or len(answers) < 200:
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(registry.promote, version, why="next", forced=True)
                while service.versions[0] != version:
                    await asyncio.sleep(0.005)
                seen = len(answers)
                while len(answers) < seen + 100 and not all(one.done() for one in callers):
                    await asyncio.sleep(0.005)
            await asyncio.gather(*callers)
            follower.cancel()

        asyncio.run(all_of_it())
    assert {status for status, _ in answers} == {200}
    logged = rows_of(tmp_path / "log")
    assert sorted(row["decision_id"] for row in logged) == sorted(one["decision_id"] for _, one in answers)
    told = {one["decision_id"]: one for _, one in answers}
    by_version = defaultdict(list)
    for row in logged:
        by_version[row["policy"]].append(row)
        assert row["propensity"] == told[row["decision_id"]]["propensity"]
    assert len(by_version) == 3
    for version, rows in by_version.items():
        check_replay(decider_of(registry.policy(version), version), rows)


def check_replay(decider: Decider, rows: list[dict[str, Any]]) -> None:
    """Every logged probability and action follows from the logged context, the id and the version."""
    columns = {name: [row[name] for row in rows] for name in decider.reader.features.names}
    moments = [row["when"].replace(tzinfo=None) - np.datetime64(0, "us").item() for row in rows]
    columns["when"] = [round(moment.total_seconds() * 1e6) for moment in moments]
    pmf = decider.exploration.pmf(decider.scores(columns, len(rows)))
    assert_allclose([row["pmf"] for row in rows], pmf, atol=1e-6)
    action, propensity = draw(
        pmf, uniforms(hash_key("draw", "salt", decider.version), [row["decision_id"] for row in rows])
    )
    assert [row["action"] for row in rows] == [decider.actions[place] for place in action]
    assert_allclose([row["propensity"] for row in rows], propensity, atol=1e-6)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [
        row for path in (folder / "decisions").rglob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()
    ]


# Counts


def test_a_restart_gives_nobody_a_second_random_decision(tmp_path: Path) -> None:
    units = [f"u{i}" for i in range(12)]
    told = []
    for start in range(3):
        with Journal(tmp_path, durable=False) as journal:
            caller = Caller(make_policy(minimum=0.2), "budget:4", journal)
            counts = DayCounts(4, "salt")
            today = datetime.datetime.now(datetime.UTC).date()
            counts.restore(today, decided_today(tmp_path, today))
            caller.desk._counts = counts
            asked = [
                {"context": CONTEXT, "unit": unit, "decision_id": f"{start}:{n}:{unit}"}
                for n in range(2)
                for unit in units
            ]
            told += caller.decide(asked)[1]
    for unit in units:
        mine = [one["exploration"] for one in told if one["decision_id"].endswith(f":{unit}")]
        assert mine == [f"budget:4:{min(n, 5)}" for n in range(1, 7)]


def test_several_processes_share_units_out() -> None:
    day = datetime.date(2026, 3, 1)
    units = [f"u{i}" for i in range(300)]
    ids = [f"d{i}" for i in range(300)]
    found = np.array([DayCounts(2, "salt", slot, 3).count(units, ids, day) for slot in range(3)])
    assert (found.sum(axis=0) == 1).all()
    assert (found.sum(axis=1) > 60).all()
    later = np.array(
        [DayCounts(2, "salt", slot, 3).count(units, ids, day + datetime.timedelta(1)) for slot in range(3)]
    )
    assert (later != found).any()


def test_counts_of_a_day_that_is_over_or_not_yet_told() -> None:
    day, counts = datetime.date(2026, 3, 2), DayCounts(2, "salt")
    assert counts.count(["u", None, "u", "u", "u"], ["a", "b", "c", "a", "d"], day) == [1, 0, 2, 1, 3]
    assert counts.count(["u"], ["e"], day - datetime.timedelta(1)) == [0]
    assert counts.count(["u"], ["e"], day + datetime.timedelta(1)) == [1]
    counts.restore(
        day, [("u", "a", "budget:2:1"), ("v", "b", "budget:9:1"), (None, "c", "budget:2:0"), ("w", "d", "policy")]
    )
    assert counts.count(["u", "v", "w", "u"], ["z", "z", "z", "a"], day) == [2, 3, 1, 1]


def test_metrics_of_processes_add_up(tmp_path: Path) -> None:
    one, two = Metrics(tmp_path, 0), Metrics(tmp_path, 1)
    one.add("jumar_rewards_total", 3)
    one.observe(0.004, "/decide")
    one.set("jumar_registry_record", 5)
    two.add("jumar_rewards_total", 4)
    two.observe(0.2, "/decide")
    two.set("jumar_registry_record", 6)
    two.set("jumar_workers", 1)
    two.leave()
    text = one.text().decode()
    assert "jumar_rewards_total 7\n" in text
    assert "jumar_registry_record 6\n" in text
    assert 'jumar_request_seconds_bucket{route="/decide",le="0.005"} 1\n' in text
    assert 'jumar_request_seconds_count{route="/decide"} 2\n' in text
    successor = Metrics(tmp_path, 1)
    assert "jumar_rewards_total 4\n" in successor.text().decode()
    assert "jumar_workers" not in successor.text().decode()
    (tmp_path / "metrics-7.json").write_bytes(b"{torn")
    assert "jumar_rewards_total 7\n" in one.text().decode()
    assert msgspec.json.decode((tmp_path / "metrics-1.json").read_bytes())


def test_a_look_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LATE_S", 0.05)
    goes_on = threading.Event()

    def hanging() -> Any:
        goes_on.wait(30.0)
        raise OSError("gone")

    async def follow() -> None:
        caller = Caller(make_policy())
        watcher = Watcher(hanging, caller.desk, decider_of, caller.metrics, 0.01)
        task = asyncio.create_task(watcher.run())
        for told in (True, False):
            while ("look" in watcher.problems) is not told:
                await asyncio.sleep(0.01)
            goes_on.set()
        assert "gone" in watcher.problems["registry"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    try:
        asyncio.run(asyncio.wait_for(follow(), 20.0))
    finally:
        goes_on.set()


def test_a_registry_that_does_not_answer_holds_up_no_end() -> None:
    """A disk that hangs keeps its thread for ever; the service must end all the same."""
    begun, never = threading.Event(), threading.Event()

    def hanging() -> Any:
        begun.set()
        never.wait(30.0)
        raise OSError("gone")

    async def follow() -> None:
        caller = Caller(make_policy())
        task = asyncio.create_task(Watcher(hanging, caller.desk, decider_of, caller.metrics, 0.01).run())
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    started = time.monotonic()
    try:
        asyncio.run(follow())
        assert time.monotonic() - started < 10.0
    finally:
        never.set()
