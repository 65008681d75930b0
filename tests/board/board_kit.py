"""A registry, its gates and its loop as documents on disk: half a year of a story that has everything in it.

What the loop would write, written at once: incumbent, a first release, a second through a canary, a third that its
canary took back, a fourth in its canary, challengers that were retired, closed and are open. Figures follow a made-up
law; their hashes and chains are right, for whoever reads them checks.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jumar.evaluate.certificate import Certificate, ClaimResult, Deviation
from jumar.evaluate.plan import GatePlan
from jumar.loop.documents import CANARY, DAY_FILE, DAYS, LEARNED, LOOP, STEPS, WATCH, Day, LoopConfig, Step
from jumar.release.canary_plan import STAGES, CanaryDay, CanaryMetric, CanaryPlan, CanaryRecord, MetricLook
from jumar.release.canary_state import Canary, nobody
from jumar.release.documents import Attempt, Ledger, Look, Manifest, State, encoded, sha256
from jumar.release.ledger import share_of, write_ledger
from jumar.release.registry.documents import Aliases, Opening, RegistryRecord, VersionCard, sealed
from jumar.release.registry.registry import GATES
from jumar.release.registry.versions import name_for
from jumar.release.store import state_name
from jumar.release.watch import Watch, WatchDay, WatchMetric, WatchPlan

FIRST = datetime.date(2026, 3, 2)
LAST = datetime.date(2026, 7, 18)
NOW = datetime.datetime(2026, 7, 20, 6, 12, tzinfo=datetime.UTC)
CONFIDENCE, ATTEMPTS = 0.999, 52
ALPHA = share_of(CONFIDENCE, ATTEMPTS)
POLICIES = [(sha256(f"graph {k}".encode()), sha256(f"card {k}".encode())) for k in range(5)]
V = [name_for(*one) for one in POLICIES]
HOSTILE = "<script>document.title = 'owned'</script> & \"quoted\""


def at(month: int, day: int, hour: int = 5) -> datetime.datetime:
    return datetime.datetime(2026, month, day, hour, 20, tzinfo=datetime.UTC)


def populated(root: Path, *, hostile: bool = False) -> Path:
    """Write everything.

    Args:
        root: folder of the registry, which is made.
        hostile: names and reasons that would be markup if they were not escaped.
    """
    root.mkdir(parents=True)
    write_registry(root, steps(hostile))
    write_gates(root / GATES, hostile)
    write_loop(root / LOOP, hostile)
    return root


# the registry


def steps(hostile: bool = False) -> list[dict[str, Any]]:
    one, two, three, four = V[:4]
    first, second = Aliases(production=one), Aliases(production=two, previous=one)
    canary = msgspec.structs.replace
    return [
        record("promote", one, first, at(4, 24), "d20260413 passed its gate. Its capital reached 1/α at look 11.", "d20260413"),
        record("canary", two, canary(first, challenger=two), at(5, 20), "d20260508 passed its gate.", "d20260508", 0.01),
        record("widen", two, canary(first, challenger=two), at(5, 23), "Canary: No harm was found among 410 units.", "d20260508", 0.05),
        record("widen", two, canary(first, challenger=two), at(5, 26), "Canary: No harm was found among 1,620 units.", "d20260508", 0.25),
        record("promote", two, second, at(6, 3), "Canary: No harm was found among 7,950 units.", "d20260508"),
        record("canary", three, canary(second, challenger=three), at(6, 27), "d20260618 passed its gate.", "d20260618", 0.01),
        record("abandon", three, second, at(7, 1), "Canary: 'complaint' is worse than is tolerated: +0.0021 per unit.", "d20260618"),
        record("canary", four, canary(second, challenger=four), at(7, 12), HOSTILE if hostile else "d20260705 passed its gate.", "d20260705", 0.01, who=HOSTILE if hostile else "cron"),
        record("widen", four, canary(second, challenger=four), at(7, 14), "Canary: No harm was found among 388 units.", "d20260705", 0.05),
        record("widen", four, canary(second, challenger=four), at(7, 16), "Canary: No harm was found among 1,544 units.", "d20260705", 0.25),
    ]  # fmt: skip


def record(
    what: str, version: str, aliases: Aliases, when: datetime.datetime, why: str, attempt: str = "", share: float = 0.0, **more: Any
) -> dict[str, Any]:  # fmt: skip
    given = {"what": what, "version": version, "aliases": aliases, "at": when, "why": why, "attempt": attempt}
    base = {"forced": False, "alpha": ALPHA, "share": share, "certificate_sha256": "", "who": "cron"}
    return base | {"salt": f"{version}:1" if aliases.challenger else ""} | given | more


def write_registry(root: Path, given: list[dict[str, Any]], versions: int = 4) -> None:
    opening = sealed(
        Opening(format=1, created_at=at(3, 1), created_by="anna", single_writer=False, jumar_version="0.1.0")
    )
    (root / "registry.json").write_bytes(opening)
    (root / "records").mkdir()
    before = opening
    for number, fields in enumerate(given, 1):
        data = sealed(
            RegistryRecord(
                format=1, number=number, previous_sha256=sha256(before), token=f"{number:016x}", jumar_version="0.1.0",
                **fields,
            )
        )  # fmt: skip
        (root / "records" / f"{number:012d}.json").write_bytes(data)
        before = data
    for k in range(versions):
        write_version(root, k)


def write_version(root: Path, k: int, certificate: Certificate | None = None) -> None:
    place = root / "versions" / V[k]
    place.mkdir(parents=True)
    held = {} if certificate is None else {"certificate.json": encoded(certificate)}
    for name, data in held.items():
        (place / name).write_bytes(data)
    files = {name: sha256(data) for name, data in held.items()}
    card = VersionCard(
        format=1, version=V[k], policy_sha256=POLICIES[k][0], card_sha256=POLICIES[k][1], files=files,
        registered_at=at(4, 24), registered_by="cron", why="", source="gates", jumar_version="0.1.0",
    )  # fmt: skip
    (place / "version.json").write_bytes(sealed(card))


def certificate(estimate: float, lower: float, changed: float, kl: float, **more: Any) -> Certificate:
    given: dict[str, Any] = {
        "verdict": "certified", "confidence": 0.9, "metric": "reward", "claim": "not worse", "estimate": estimate,
        "lower_bound": lower, "relative_estimate": estimate / 0.042, "relative_lower_bound": lower / 0.042,
        "production_value": 0.042, "rows": 260_000, "units": 90_000, "temperature": 0.5,
        "deviation": Deviation(kl=kl, changed=changed, ess=190_000.0, max_weight=8.5),
    }  # fmt: skip
    return Certificate(**given | more)


# the gates

# name, opened, days looked at, outcome, gain at the end, share of the evidence it ended with
STORY = [
    ("d20260323", datetime.date(2026, 3, 23), 18, "retired", 0.012, 0.31),
    ("d20260413", datetime.date(2026, 4, 13), 11, "passed", 0.061, 1.08),
    ("d20260508", datetime.date(2026, 5, 8), 12, "passed", 0.094, 1.05),
    ("d20260608", datetime.date(2026, 6, 8), 9, "closed", 0.021, 0.18),
    ("d20260618", datetime.date(2026, 6, 18), 9, "passed", 0.057, 1.02),
    ("d20260705", datetime.date(2026, 7, 5), 7, "passed", 0.072, 1.11),
    ("by-hand", datetime.date(2026, 7, 9), 9, "open", 0.038, 0.62),
]
AGAINST = dict(zip([name for name, *_ in STORY], ["incumbent", "incumbent", V[0], V[1], V[1], V[1], V[1]], strict=True))
DEVIATIONS = {
    "d20260413": (0.18, 0.11),
    "d20260508": (0.12, 0.07),
    "d20260618": (0.21, 0.16),
    "d20260705": (0.09, 0.05),
}


def write_gates(folder: Path, hostile: bool = False) -> None:
    folder.mkdir(parents=True)
    rows = []
    for k, (name, opened, days, outcome, gain, part) in enumerate(STORY):
        policy = POLICIES[{"d20260413": 0, "d20260508": 1, "d20260618": 2, "d20260705": 3}.get(name, 4)]
        place = folder / name
        place.mkdir()
        when = datetime.datetime.combine(opened, datetime.time(5, 20), datetime.UTC)
        frozen = encoded(manifest(name, when, policy))
        (place / "manifest.json").write_bytes(frozen)
        seen = looks(k, opened, days, gain, part, hostile)
        state = encoded(State(format=1, manifest_sha256=sha256(frozen), looks=seen, gate={}))
        (place / state_name(days)).write_bytes(state)
        decided = None if outcome == "open" else when + datetime.timedelta(days=days + 1)
        words = {"passed": f"Its capital reached 1/α at look {days}, and no audit blocks.", "open": "",
                 "retired": "It did not pass on the 180,000 decisions that it was given.",
                 "closed": HOSTILE if hostile else "production was replaced"}  # fmt: skip
        rows.append(
            Attempt(
                name=name, alpha=ALPHA, opened_at=when, opened_by="cron", manifest_sha256=sha256(frozen),
                policy_sha256=policy[0], outcome=outcome, decided_at=decided, why=words[outcome],  # type: ignore[arg-type]
                looks=days, rows=seen[-1].rows_so_far, counted_until=seen[-1].last, state_sha256=sha256(state),
            )
        )  # fmt: skip
    write_ledger(folder, Ledger(format=1, confidence=CONFIDENCE, attempts=ATTEMPTS, rows=rows))


def manifest(name: str, opened: datetime.datetime, policy: tuple[str, str]) -> Manifest:
    plan = GatePlan(
        confidence=1 - ALPHA, alpha=ALPHA, rows_planned=140_000, seed=0, candidates=[], claims=[], order=[],
        gammas=[0.0], gamma_orders=[[]], primary=0, bound_alpha=[ALPHA], supported=[True, True], propensity_floor=0.05,
        estimated_propensities=False, validation_rows=50_000, validation_pieces=50_000, reward_low=0.0, reward_high=1.0,
        log_source="counted.parquet", split={}, schema_sha256="", jumar_version="0.1.0",
    )  # fmt: skip
    return Manifest(
        format=1, name=name, policy_sha256=policy[0], card_sha256=policy[1], metric="reward", metrics=[],
        actions=["hold", "send"], unit="unit", train_units_below=0.5, confidence=CONFIDENCE, attempts=ATTEMPTS,
        rows_most=280_000, opened_at=opened, influence_until=opened, counts_after=opened, after="log", audits=[],
        plan=plan, jumar_version="0.1.0",
    )  # fmt: skip


def looks(seed: int, opened: datetime.date, days: int, gain: float, part: float, hostile: bool) -> list[Look]:
    """Evidence that grows about as it would: its square root of noise, then its drift."""
    chance, value, found = np.random.default_rng(seed), 0.042, []
    needs = -math.log(ALPHA)
    noise = np.cumsum(chance.normal(0, 0.35, days))
    noise -= np.linspace(0, noise[-1], days)
    for k in range(days):
        done = (k + 1) / days
        capital = part * needs * done**1.15 + float(noise[k]) * 1.4 - 0.6 * (1 - done)
        estimate = value * gain * (1 + 0.9 * float(chance.normal()) * (1 - done) / math.sqrt(k + 1))
        least = estimate - value * gain * (1.6 / math.sqrt(done) - (1.0 if part >= 1 else 0.55))
        if k + 1 == days and part >= 1:
            least = abs(least) * 0.8 + 1e-5
        moment = datetime.datetime.combine(opened + datetime.timedelta(days=k + 1), datetime.time(23, 59), datetime.UTC)
        passed = part >= 1 and k + 1 == days
        name = HOSTILE if hostile else "complaint"
        found.append(
            Look(
                number=k + 1, at=moment + datetime.timedelta(hours=30), source="counted.parquet", rows=15_480,
                left_out=15_300, first=moment - datetime.timedelta(days=1), last=moment, content_sha256=f"{k:064x}",
                rows_so_far=15_480 * (k + 1), log_capital=capital, estimate=estimate, lower_bound=least,
                production_value=value,
                claims=[
                    claim("value", "reward", "higher", "the policy brings more than production", value, estimate, least, capital),
                    claim("metric", name, "lower", f"{name} rises by less than 10%", 0.0081, 0.0006, -0.0001, capital + 2.1),
                ],
                verdict="certified" if passed else "refused",
                reasons=[] if passed else ["About 190,000 decisions in all would be enough by what was seen so far."],
            )
        )  # fmt: skip
    return found


def claim(kind: str, metric: str, better: str, said: str, production: float, estimate: float, least: float, capital: float) -> ClaimResult:  # fmt: skip
    return ClaimResult(
        kind=kind, metric=metric, better=better, margin=0.1, most=None, required=True, claim=said,  # type: ignore[arg-type]
        production=production, change=estimate if kind == "value" else -0.0001, estimate=estimate, lower_bound=least,
        log_capital=capital, verdict="passed" if capital >= -math.log(ALPHA) else "failed",
    )  # fmt: skip


# the loop


def dates() -> Iterator[datetime.date]:
    for ordinal in range(FIRST.toordinal(), LAST.toordinal() + 1):
        yield datetime.date.fromordinal(ordinal)


def write_loop(root: Path, hostile: bool = False) -> None:
    chance = np.random.default_rng(5)
    opened = {day: name for name, day, *_ in STORY if name != "by-hand"}
    for date in dates():
        place = root / DAYS / f"date={date.isoformat()}"
        place.mkdir(parents=True)
        name = opened.get(date, "")
        if name in DEVIATIONS:
            changed, kl = DEVIATIONS[name]
            (place / LEARNED).mkdir()
            (place / LEARNED / "certificate.json").write_bytes(encoded(certificate(0.003, 0.0007, changed, kl)))
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
    said = {
        "join": [f"{rows:,} decisions with {round(rows * 0.31):,} rewards; {rows - 40:,} of them by {production}."],
        "audit": [HOSTILE if hostile else "Propensities are off by a tenth where the hour is 23.", "Nothing is opened or promoted today."] if blocked else ["No finding blocks."],
        "gates": ["by-hand: open after 139,320 decisions; gain +0.0016 a decision, 6.7 nats of evidence."] if last else ["No challenger is open."],
        "canary": ["No harm was found among 7,310 units that are new to the challenger."] if last else ["No canary is in progress."],
        "watch": ["No harm was found in 28 days."],
        "release": ["Nothing has passed that is not in already."],
        "learn": [f"{opened} was opened, which promises +6.2%; about 140,000 decisions will judge it."] if opened else ["A canary is in progress."],
    }  # fmt: skip
    figures: dict[str, dict[str, float]] = {
        "join": {"counted": float(rows - 40), "reward": reward, **shares},
        "canary": {"reward.production": 0.121, "reward.change": 0.0093, "reward.at_least": 0.0011, "reward.at_most": 0.0174}
        if date in (datetime.date(2026, 6, 2), LAST)
        else {"reward.production": 0.121, "reward.change": -0.0038, "reward.at_least": -0.0131, "reward.at_most": 0.0049}
        if date == datetime.date(2026, 6, 30)
        else {},
    }  # fmt: skip
    serving = next((version for first, last, version in SERVING if first <= date <= last), None)
    done = [
        Step(name=name, said=said[name], attention=name == "audit" and blocked, figures=figures.get(name, {}))
        for name in STEPS
    ]
    return Day(
        format=1, date=date, production=production, challenger=serving, record=9,
        steps=done, opened=opened, config=LoopConfig(guardrail=["complaint:lower:0.1"]), jumar_version="0.1.0",
    )  # fmt: skip


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
        MetricLook(name="reward", production=0.121, challenger=0.130, change=0.0093, at_least=0.0011, at_most=0.0174, cut=4,
                   log_harm=-2.9, harm_needs=plan.harm_alpha and -math.log(plan.harm_alpha)),
        MetricLook(name=name, production=0.0233, challenger=0.0241, change=0.0008, at_least=-0.0021, at_most=0.0038, cut=0,
                   log_harm=3.9, harm_needs=-math.log(plan.harm_alpha), log_proof=1.4, proof_needs=-math.log(plan.proof_alpha)),
    ]  # fmt: skip
    days = [
        CanaryDay(
            date=LAST - datetime.timedelta(days=5 - k), stage=min(k // 2, 2), day=k % 2 + 1, decision="wait", share=0.25,
            reasons=["At least 7 days must pass; this was day 2."], exposed=7310, others=21_830, astray=0.0006,
            log_ratio=-0.8, metrics=seen if k == 5 else [],
        )
        for k in range(6)
    ]  # fmt: skip
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
            date=first + datetime.timedelta(days=k), day=k, decision="done" if k == 28 else "wait",
            reasons=["No harm was found in 28 days."] if k == 28 else [f"No harm after day {k} of 28."],
            rows=30_000 * (k + 1), log_harm=walk[k].tolist(), at_least=[-0.01, -0.01], needs=needs,
        )
        for k in range(29)
    ]  # fmt: skip
    return Watch(format=1, plan=plan, outcome="done", capital=None, days=days)
