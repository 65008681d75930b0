"""Documents of a loop for the same story: days, a canary, a watch."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from board_papers import DEVIATIONS, FIRST, HOSTILE, LAST, STORY, V, certificate

from jumar.loop.documents import STEPS, Day, LoopConfig, Step
from jumar.loop.folders import CANARY, DAY_FILE, LEARNED, WATCH, Folders
from jumar.release.canary_plan import STAGES, CanaryDay, CanaryMetric, CanaryPlan, CanaryRecord, MetricLook
from jumar.release.canary_state import Canary, nobody
from jumar.release.documents import encoded
from jumar.release.watch import Watch, WatchDay, WatchMetric, WatchPlan


def dates() -> Iterator[datetime.date]:
    for ordinal in range(FIRST.toordinal(), LAST.toordinal() + 1):
        yield datetime.date.fromordinal(ordinal)


def write_loop(root: Path, hostile: bool = False) -> None:
    chance = np.random.default_rng(5)
    opened = {day: name for name, day, *_ in STORY if name != "by-hand"}
    for date in dates():
        place = Folders(root).of(date)
        place.mkdir(parents=True)
        name = opened.get(date, "")
        if name in DEVIATIONS:
            changed, kl = DEVIATIONS[name]
            (place / LEARNED).mkdir()
            (place / LEARNED / "screening.json").write_bytes(encoded(certificate(0.003, 0.0007, changed, kl)))
        (place / DAY_FILE).write_bytes(encoded(a_day(date, chance, name, hostile)))
    (root / CANARY).write_bytes(Canary(canary(hostile), nobody(2)).to_bytes())
    (root / WATCH).write_bytes(msgspec.json.encode(watch()))


def a_day(date: datetime.date, chance: np.random.Generator, opened: str, hostile: bool) -> Day:
    production = (
        V[1] if date >= datetime.date(2026, 6, 4) else V[0] if date >= datetime.date(2026, 4, 25) else "incumbent"
    )
    lift = {V[1]: 1.15, V[0]: 1.055}.get(production, 1.0)
    season = 1 + 0.06 * math.cos(2 * math.pi * (date.weekday() - 5) / 7) + 0.03 * math.sin(date.toordinal() / 40)
    reward = 0.042 * lift * season * (1 + 0.018 * float(chance.normal()))
    send = {V[1]: 0.36, V[0]: 0.40}.get(production, 0.47) + 0.01 * float(chance.normal())
    digest = HOSTILE if hostile else "digest"
    shares = {"share:send": send, f"share:{digest}": 0.14, "share:hold": 1 - send - 0.14}
    rows = 31_000 + round(600 * float(chance.normal()))
    blocked = date == LAST - datetime.timedelta(days=2)
    last = date == LAST
    warned = [HOSTILE if hostile else "Propensities are off by a tenth where the hour is 23."]
    said = {
        "join": [f"{rows:,} decisions with {round(rows * 0.31):,} rewards; {rows - 40:,} of them by {production}."],
        "audit": [*warned, "Nothing is opened or promoted today."] if blocked else ["No finding blocks."],
        "gates": ["by-hand: open after 139,320 decisions."] if last else ["No challenger is open."],
        "canary": ["At least 7 days must pass; this was day 2."] if last else ["No canary is in progress."],
        "watch": ["No harm was found in 28 days."],
        "release": ["Nothing has passed that is not in already."],
        "learn": [f"{opened} was opened, which promises +6.2%."] if opened else ["A canary is in progress."],
    }
    figures: dict[str, dict[str, float]] = {
        "join": {"counted": float(rows - 40), "reward": reward, **shares},
        "canary": LOOKED.get(date, {}),
    }
    serving = next((version for first, last, version in SERVING if first <= date <= last), None)
    done = [
        Step(name=name, said=said[name], attention=name == "audit" and blocked, figures=figures.get(name, {}))
        for name in STEPS
    ]
    return Day(
        format=1,
        date=date,
        production=production,
        challenger=serving,
        record=9,
        steps=done,
        opened=opened,
        config=LoopConfig(guardrail=["complaint:lower:0.1"]),
        jumar_version="0.1.0",
    )


def looked(change: float, at_least: float, at_most: float) -> dict[str, float]:
    told = {"production": 0.121, "change": change, "at_least": at_least, "at_most": at_most}
    return {f"reward.{name}": figure for name, figure in told.items()}


LOOKED = {
    datetime.date(2026, 6, 2): looked(0.0093, 0.0011, 0.0174),
    datetime.date(2026, 6, 30): looked(-0.0038, -0.0131, 0.0049),
    LAST: looked(0.0093, 0.0011, 0.0174),
}
SERVING = [
    (datetime.date(2026, 5, 20), datetime.date(2026, 6, 2), V[1]),
    (datetime.date(2026, 6, 27), datetime.date(2026, 6, 30), V[2]),
    (datetime.date(2026, 7, 12), LAST, V[3]),
]


def canary(hostile: bool = False) -> CanaryRecord:
    name = HOSTILE if hostile else "complaint"
    metrics = [
        CanaryMetric(name="reward", high=3.0),
        CanaryMetric(name=name, better="lower", tolerance=0.1, margin=0.2),
    ]
    plan = CanaryPlan(
        salt=f"{V[3]}:1", production=V[1], challenger=V[3], metrics=metrics, stages=list(STAGES), watch=None
    )
    seen = [
        MetricLook(
            name="reward",
            production=0.121,
            challenger=0.130,
            change=0.0093,
            at_least=0.0011,
            at_most=0.0174,
            cut=4,
            log_harm=-2.9,
            harm_needs=-math.log(plan.harm_alpha),
        ),
        MetricLook(
            name=name,
            production=0.0233,
            challenger=0.0241,
            change=0.0008,
            at_least=-0.0021,
            at_most=0.0038,
            cut=0,
            log_harm=3.9,
            harm_needs=-math.log(plan.harm_alpha),
            log_proof=1.4,
            proof_needs=-math.log(plan.proof_alpha),
        ),
    ]
    days = [
        CanaryDay(
            date=LAST - datetime.timedelta(days=5 - k),
            stage=min(k // 2, 2),
            day=k % 2 + 1,
            decision="wait",
            share=0.25,
            reasons=["At least 7 days must pass; this was day 2."],
            exposed=7310,
            others=21_830,
            astray=0.0006,
            log_ratio=-0.8,
            metrics=seen if k == 5 else [],
        )
        for k in range(6)
    ]
    return CanaryRecord(format=1, plan=plan, stage=2, day=2, rows=60_000, astray=36, days=days)


def watch() -> Watch:
    plan = WatchPlan(
        current=V[1],
        previous=V[0],
        metrics=[WatchMetric(name="reward"), WatchMetric(name="complaint", better="lower")],
        days=28,
    )
    chance, needs = np.random.default_rng(2), math.log(2 / 0.05)
    first = datetime.date(2026, 6, 4)
    walk = np.cumsum(chance.normal([-0.12, -0.02], 0.22, (29, 2)), axis=0)
    days = [
        WatchDay(
            date=first + datetime.timedelta(days=k),
            day=k,
            decision="done" if k == 28 else "wait",
            reasons=["No harm was found in 28 days."] if k == 28 else [f"No harm after day {k} of 28."],
            rows=30_000 * (k + 1),
            log_harm=walk[k].tolist(),
            at_least=[-0.01, -0.01],
            needs=needs,
        )
        for k in range(29)
    ]
    return Watch(format=1, plan=plan, outcome="done", capital=None, days=days)
