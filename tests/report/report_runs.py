"""Finished runs with plausible figures, and hostile ones: what the report's tests render."""

from __future__ import annotations

from typing import Literal

import msgspec

from jumar.evaluate.certificate import (
    Certificate,
    ChangeSummary,
    CloneCheck,
    Deviation,
    Finding,
    LogSummary,
    RunSummary,
    Segment,
    WalkPoint,
)

HOSTILE = "</script><script>document.title='owned'</script>" + '<img src=x onerror="document.title=1">\'"&{{7*7}}'
TURNED = "\u202eevil\x1b[31m\x00 naïve 日本語 🧗🏽\u200d♀️"


def point(
    changed: float,
    gain: float,
    least: float,
    verdict: Literal["passed", "failed", "not tested"] = "passed",
    *,
    order: int = 0,
    released: bool = False,
) -> WalkPoint:
    return WalkPoint(
        temperature=0.02 / max(changed, 1e-9),
        deviation=Deviation(kl=changed**2, changed=changed, ess=150_000 / (1 + 9 * changed), max_weight=19.34),
        validation_gain=gain * 0.97,
        validation_z=4.1 - changed,
        test_order=order,
        estimate=gain,
        lower_bound=least,
        log_capital=least * 9_000,
        verdict=verdict,
        released=released,
    )


def walk() -> list[WalkPoint]:
    return [
        point(0.031, 0.00060, 0.00034, order=9),
        point(0.064, 0.00121, 0.00083, order=8),
        point(0.112, 0.00203, 0.00152, order=5),
        point(0.171, 0.00287, 0.00219, order=4),
        point(0.236, 0.00355, 0.00259, order=3),
        point(0.312, 0.00393, 0.00270, order=1, released=True),
        point(0.371, 0.00402, 0.00188, order=2),
        point(0.433, 0.00391, -0.00055, "failed", order=6),
        point(0.478, 0.00366, -0.00310, "not tested", order=7),
    ]


def certified() -> RunSummary:
    path = walk()
    chosen = path[5]
    return RunSummary(
        certificate=Certificate(
            verdict="certified",
            confidence=0.999,
            metric="value",
            claim="On decisions like those of the log, the policy's average value is not below production's.",
            estimate=chosen.estimate,
            lower_bound=chosen.lower_bound,
            relative_estimate=chosen.estimate / 0.0517,
            relative_lower_bound=chosen.lower_bound / 0.0517,
            production_value=0.0517,
            rows=150_122,
            units=48_077,
            temperature=chosen.temperature,
            deviation=chosen.deviation,
            audits=[
                Finding(
                    name="weights",
                    verdict="ok",
                    sentence="The weights average 1.0003, as they must if the propensities are right.",
                    figures={"mean": 1.0003, "log capital": 0.31, "largest": 19.34},
                ),
                Finding(
                    name="support",
                    verdict="ok",
                    sentence="Every action the policy takes was tried in the log.",
                ),
                Finding(
                    name="concentration",
                    verdict="warning",
                    sentence="The ten largest contributions make up 6% of the evidence.",
                    figures={
                        "share": 0.061,
                        "actions": {"send": 0.04, "hold": 0.02},
                        "largest": [3.1, 2.9, 2.8],
                    },
                ),
            ],
            assumptions=[
                "The logged propensities are the probabilities with which production decided.",
                "Tomorrow's decisions are like those of the log.",
                "One unit's decisions do not change what another unit does.",
            ],
            manifest_sha256="9f2c" * 16,
            policy_sha256="41ab" * 16,
            jumar_version="0.1.0",
        ),
        log=LogSummary(
            source="decisions.parquet",
            rows=300_000,
            units=96_210,
            train_rows=149_878,
            gate_rows=150_122,
            actions=["hold", "send"],
            features=["days_since_visit", "requests_waiting", "likes_ratio", "hour", "country", "tap_rate"],
            notes=["Column 'owner' was taken as the unit.", "Column 'p' was taken as the propensity."],
        ),
        walk=path,
        clone=CloneCheck(
            equivalent=True,
            confidence=0.99,
            rows=30_014,
            log_loss=0.3402,
            entropy=0.3391,
            agreement=0.893,
            expected_agreement=0.894,
            calibration=0.0061,
            value_difference=0.00002,
            value_lower=-0.00019,
            value_upper=0.00023,
            tolerance=0.0005,
            sentence="Equivalent to production: yes, within ±0.5%.",
        ),
        change=ChangeSummary(
            actions=["hold", "send"],
            rates_before=[0.482, 0.518],
            rates_after=[0.634, 0.366],
            changed=0.312,
            segments=[
                Segment(
                    feature=feature,
                    label=label,
                    share=part,
                    changed=changed,
                    rates_before=[1 - before, before],
                    rates_after=[1 - after, after],
                )
                for feature, label, part, changed, before, after in [
                    ("days_since_visit", "under 1", 0.284, 0.613, 0.841, 0.232),
                    ("tap_rate", "0.31 and more", 0.251, 0.547, 0.902, 0.377),
                    ("requests_waiting", "none", 0.412, 0.401, 0.466, 0.118),
                    ("days_since_visit", "14 to 30", 0.117, 0.288, 0.207, 0.495),
                    ("country", "Côte d’Ivoire", 0.0062, 0.262, 0.511, 0.402),
                    ("hour", "missing", 0.00004, 0.024, 0.51, 0.5),
                ]
            ],
        ),
        log_findings=[
            Finding(name="propensities", verdict="ok", sentence="Between 0.05 and 0.95; none is missing."),
            Finding(name="duplicates", verdict="ok", sentence="No decision id occurs twice."),
            Finding(
                name="drift",
                verdict="warning",
                sentence="The average of likes_ratio moved by 0.4 standard deviations over the log.",
                figures={"first": 0.912, "last": 1.284},
            ),
        ],
        seconds={"read": 1.9, "learn": 21.4, "gate": 3.2, "report": 0.8},
    )


def refused() -> RunSummary:
    run = certified()
    assert run.clone is not None
    path = [
        point(0.024, 0.00006, -0.00041, "not tested", order=4),
        point(0.071, 0.00019, -0.00092, "not tested", order=3),
        point(0.143, 0.00031, -0.00160, "failed", order=0),
        point(0.236, 0.00024, -0.00344, "not tested", order=1),
        point(0.353, -0.00049, -0.01270, "not tested", order=2),
    ]
    return msgspec.structs.replace(
        run,
        certificate=msgspec.structs.replace(
            run.certificate,
            verdict="refused",
            estimate=path[2].estimate,
            lower_bound=path[2].lower_bound,
            relative_estimate=path[2].estimate / 0.0517,
            relative_lower_bound=path[2].lower_bound / 0.0517,
            temperature=None,
            deviation=None,
            policy_sha256=None,
            reasons=["The best candidate gained 0.6% on the rows kept aside, too little to tell from chance."],
            rows_needed=2_840_000,
        ),
        walk=path,
        change=None,
        clone=msgspec.structs.replace(
            run.clone,
            equivalent=False,
            value_upper=0.0012,
            sentence="Equivalent to production: no, the difference may be as large as 2.4%.",
        ),
    )


def blocked() -> RunSummary:
    run = refused()
    finding = Finding(
        name="exploration",
        verdict="blocked",
        sentence="Every decision was taken with probability 1: nothing else was ever tried.",
    )
    return msgspec.structs.replace(
        run,
        certificate=msgspec.structs.replace(
            run.certificate,
            estimate=None,
            lower_bound=None,
            relative_estimate=None,
            relative_lower_bound=None,
            production_value=-0.25,
            reward_low=-1.0,
            audits=[finding],
            reasons=["The log holds no exploration."],
            rows_needed=None,
        ),
        walk=[],
        clone=None,
        change=None,
        log_findings=[],
        seconds={},
    )


def conditional() -> RunSummary:
    run = certified()
    return msgspec.structs.replace(
        run,
        certificate=msgspec.structs.replace(
            run.certificate,
            verdict="conditional",
            confidence=0.99,
            gamma=0.1,
            reasons=["The policy that promised most was not released; one that deviates less was."],
        ),
    )


def crowded() -> RunSummary:
    """200 actions with hostile names, one candidate, production worth nothing."""
    run = certified()
    n = 200
    names = [HOSTILE, TURNED, "x" * 3_000, *(f"article {i} about something" for i in range(3, n))]
    before = [2 * (n - i) / (n * (n + 1)) for i in range(n)]
    after = before[::-1]
    bad = Finding(name=HOSTILE, verdict="warning", sentence=HOSTILE + "y" * 2_000, figures={HOSTILE: HOSTILE})
    return msgspec.structs.replace(
        run,
        certificate=msgspec.structs.replace(
            run.certificate,
            metric=HOSTILE,
            claim=HOSTILE,
            production_value=0.0,
            relative_estimate=None,
            relative_lower_bound=None,
            assumptions=[HOSTILE],
            reasons=[TURNED],
            guardrails=[{HOSTILE: 1.0, "name": HOSTILE}],
            jumar_version=HOSTILE,
        ),
        log=msgspec.structs.replace(
            run.log, source="/" + "a" * 400, actions=names, features=[HOSTILE, TURNED] * 200, notes=[HOSTILE]
        ),
        walk=[run.walk[5]],
        change=ChangeSummary(
            actions=names,
            rates_before=before,
            rates_after=after,
            changed=0.5,
            segments=[
                Segment(
                    feature=feature,
                    label=label,
                    share=0.05,
                    changed=0.9,
                    rates_before=before,
                    rates_after=after,
                )
                for feature, label in [(HOSTILE, TURNED), *(("z" * 90, str(i)) for i in range(20))]
            ],
        ),
        log_findings=[bad],
        seconds={HOSTILE: 61.0},
    )


ALL = {f.__name__: f for f in (certified, refused, blocked, conditional, crowded)}
