"""Documents of a registry and of its gates, written at once: half a year of a story that has everything in it.

An incumbent, a first release, a second through a canary, a third that its canary took back, a fourth in its canary;
challengers that passed, were retired or closed, and one that is open. Figures follow a made-up law; hashes and chains
are right, for whoever reads them checks.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jumar.evaluate.certificate import Certificate, ClaimResult, Deviation
from jumar.evaluate.plan import GatePlan
from jumar.release.documents import Attempt, Ledger, Look, Manifest, State, encoded, sha256
from jumar.release.ledger import share_of, write_ledger
from jumar.release.registry.documents import Aliases, Opening, RegistryRecord, VersionCard, sealed
from jumar.release.registry.versions import name_for
from jumar.release.store import state_name

FIRST = datetime.date(2026, 3, 2)
LAST = datetime.date(2026, 7, 18)
NOW = datetime.datetime(2026, 7, 20, 6, 12, tzinfo=datetime.UTC)
CONFIDENCE, ATTEMPTS = 0.999, 52
ALPHA = share_of(CONFIDENCE, ATTEMPTS)
POLICIES = [(sha256(f"graph {k}".encode()), sha256(f"card {k}".encode())) for k in range(5)]
V = [name_for(*one) for one in POLICIES]
NO_HARM = "Canary: No harm was found among 1,620 units that are new to the challenger."
HOSTILE = "<script>document.title = 'owned'</script> & \"quoted\""


def at(month: int, day: int, hour: int = 5) -> datetime.datetime:
    return datetime.datetime(2026, month, day, hour, 20, tzinfo=datetime.UTC)


# the registry


def steps(hostile: bool = False) -> list[dict[str, Any]]:
    one, two, three, four = V[:4]
    first, second = Aliases(production=one), Aliases(production=two, previous=one)
    canary = msgspec.structs.replace
    why, who = (HOSTILE, HOSTILE) if hostile else ("d20260705 passed its gate.", "cron")
    began = "d20260508 passed its gate."
    return [
        record("promote", one, first, at(4, 24), "d20260413 passed its gate.", "d20260413"),
        record("canary", two, canary(first, challenger=two), at(5, 20), began, "d20260508", 0.01),
        record("widen", two, canary(first, challenger=two), at(5, 23), NO_HARM, "d20260508", 0.05),
        record("widen", two, canary(first, challenger=two), at(5, 26), NO_HARM, "d20260508", 0.25),
        record("promote", two, second, at(6, 3), NO_HARM, "d20260508"),
        record("canary", three, canary(second, challenger=three), at(6, 27), "It passed.", "d20260618", 0.01),
        record("abandon", three, second, at(7, 1), "Canary: 'complaint' is worse than is tolerated.", "d20260618"),
        record("canary", four, canary(second, challenger=four), at(7, 12), why, "d20260705", 0.01, who=who),
        record("widen", four, canary(second, challenger=four), at(7, 14), NO_HARM, "d20260705", 0.05),
        record("widen", four, canary(second, challenger=four), at(7, 16), NO_HARM, "d20260705", 0.25),
    ]


def record(
    what: str,
    version: str,
    aliases: Aliases,
    when: datetime.datetime,
    why: str,
    attempt: str = "",
    share: float = 0.0,
    **more: Any,
) -> dict[str, Any]:
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
                format=1,
                number=number,
                previous_sha256=sha256(before),
                token=f"{number:016x}",
                jumar_version="0.1.0",
                **fields,
            )
        )
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
        format=1,
        version=V[k],
        policy_sha256=POLICIES[k][0],
        card_sha256=POLICIES[k][1],
        files=files,
        registered_at=at(4, 24),
        registered_by="cron",
        why="",
        source="gates",
        jumar_version="0.1.0",
    )
    (place / "version.json").write_bytes(sealed(card))


def certificate(estimate: float, lower: float, changed: float, kl: float, **more: Any) -> Certificate:
    given: dict[str, Any] = {
        "verdict": "certified",
        "confidence": 0.9,
        "metric": "reward",
        "claim": "not worse",
        "estimate": estimate,
        "lower_bound": lower,
        "relative_estimate": estimate / 0.042,
        "relative_lower_bound": lower / 0.042,
        "production_value": 0.042,
        "rows": 260_000,
        "units": 90_000,
        "temperature": 0.5,
        "deviation": Deviation(kl=kl, changed=changed, ess=190_000.0, max_weight=8.5),
    }
    return Certificate(**given | more)


# the gates

# name, opened, days looked at, outcome, gain at the end, share of the evidence it ended with
STORY: list[tuple[str, datetime.date, int, Any, float, float]] = [
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
        words = {
            "passed": f"Its capital reached 1/α at look {days}, and no audit blocks.",
            "open": "",
            "retired": "It did not pass on the 180,000 decisions that it was given.",
            "closed": HOSTILE if hostile else "production was replaced",
        }
        rows.append(
            Attempt(
                name=name,
                alpha=ALPHA,
                opened_at=when,
                opened_by="cron",
                manifest_sha256=sha256(frozen),
                policy_sha256=policy[0],
                outcome=outcome,
                decided_at=decided,
                why=words[outcome],
                looks=days,
                rows=seen[-1].rows_so_far,
                counted_until=seen[-1].last,
                state_sha256=sha256(state),
            )
        )
    write_ledger(folder, Ledger(format=1, confidence=CONFIDENCE, attempts=ATTEMPTS, rows=rows))


def manifest(name: str, opened: datetime.datetime, policy: tuple[str, str]) -> Manifest:
    plan = GatePlan(
        confidence=1 - ALPHA,
        alpha=ALPHA,
        rows_planned=140_000,
        seed=0,
        candidates=[],
        claims=[],
        order=[],
        gammas=[0.0],
        gamma_orders=[[]],
        primary=0,
        bound_alpha=[ALPHA],
        supported=[True, True],
        propensity_floor=0.05,
        estimated_propensities=False,
        validation_rows=50_000,
        validation_pieces=50_000,
        reward_low=0.0,
        reward_high=1.0,
        log_source="counted.parquet",
        split={},
        schema_sha256="",
        jumar_version="0.1.0",
    )
    return Manifest(
        format=1,
        name=name,
        policy_sha256=policy[0],
        card_sha256=policy[1],
        metric="reward",
        metrics=[],
        actions=["hold", "send"],
        unit="unit",
        train_units_below=0.5,
        confidence=CONFIDENCE,
        attempts=ATTEMPTS,
        rows_most=280_000,
        opened_at=opened,
        influence_until=opened,
        counts_after=opened,
        after="log",
        audits=[],
        plan=plan,
        jumar_version="0.1.0",
    )


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
                number=k + 1,
                at=moment + datetime.timedelta(hours=30),
                source="counted.parquet",
                rows=15_480,
                left_out=15_300,
                first=moment - datetime.timedelta(days=1),
                last=moment,
                content_sha256=f"{k:064x}",
                rows_so_far=15_480 * (k + 1),
                log_capital=capital,
                estimate=estimate,
                lower_bound=least,
                production_value=value,
                claims=[
                    claim(
                        "value", "reward", "higher", "it brings more than production", value, estimate, least, capital
                    ),
                    claim("metric", name, "lower", f"{name} is within 10%", 0.0081, 0.0006, -0.0001, capital + 2.1),
                ],
                verdict="certified" if passed else "refused",
                reasons=[] if passed else ["About 190,000 decisions in all would be enough by what was seen so far."],
            )
        )
    return found


def claim(
    kind: Any, metric: str, better: Any, said: str, production: float, estimate: float, least: float, capital: float
) -> ClaimResult:
    return ClaimResult(
        kind=kind,
        metric=metric,
        better=better,
        margin=0.1,
        most=None,
        required=True,
        claim=said,
        production=production,
        change=estimate if kind == "value" else -0.0001,
        estimate=estimate,
        lower_bound=least,
        log_capital=capital,
        verdict="passed" if capital >= -math.log(ALPHA) else "failed",
    )
