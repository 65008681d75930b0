"""The board's tables of policies and challengers, ready for the template.

In: a ``Board`` and its parts. Out: dicts of strings and SVG that the template escapes and places. Only ``page`` imports
this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jumar.board import pictures
from jumar.board.view import Board, ChallengerView, Gain, PolicyView
from jumar.board.wording import alpha, day, grounds, moment, nats, short, version_name
from jumar.evaluate.certificate import ClaimResult
from jumar.report import words

_ROLES = {
    "production": "ok",
    "challenger": "blue",
    "previous": "",
    "replaced": "",
    "rolled back": "bad",
    "taken back": "bad",
}
_OUTCOMES = {"open": "blue", "passed": "ok", "retired": "", "closed": ""}
DECIDED_SHOWN = 1  # decided challengers that are folded out


# policies


def policy_rows(board: Board) -> list[dict[str, Any]]:
    """The table of releases; gains of all rows share one axis."""
    domain = _domain(board.policies)
    return [_policy_row(one, domain) for one in board.policies]


def _policy_row(one: PolicyView, domain: tuple[float, float]) -> dict[str, Any]:
    return {
        "number": one.number,
        "version": version_name(one.version),
        "role": one.role,
        "tone": _ROLES[one.role],
        "forced": one.forced,
        "days": f"decided on {words.plural(one.days, 'day')}" if one.days else "no counted day in production",
        "certified": _certified(one.certified, domain) if one.certified else None,
        "why_no_gain": "forced, without a certificate" if one.forced else "its look is not there",
        "canary": _canaried(one, domain),
        "served": _served(one),
        "why_no_days": "days not recorded" if one.days else "no day in production",
        "deviation": None
        if one.deviation is None
        else {
            "changed": words.share(one.deviation.changed),
            "kl": f"KL {words.amount(one.deviation.kl, figures=2)} nats",
        },
        "at": day(one.at.date()),
        "grounds": grounds(one),
    }


def _certified(gain: Gain, domain: tuple[float, float]) -> dict[str, Any]:
    scale = words.Scale(gain.production)
    kind = "" if gain.passed else "off"
    passed = "" if gain.passed else "not certified; "
    return {
        "least": f"at least {scale.show(gain.lower_bound, down=True)}",
        "said": f"{passed}estimated {scale.show(gain.estimate)}, {words.count(gain.rows)} decisions",
        "drawing": pictures.interval(scale.of(gain.lower_bound), scale.of(gain.estimate), domain, kind=kind)
        if scale.relative
        else "",
    }


def _canaried(one: PolicyView, domain: tuple[float, float]) -> dict[str, Any] | None:
    gain = one.canary
    if gain is None:
        return None
    scale = words.Scale(gain.production)
    kind = "harmed" if gain.at_most < 0 else "off" if gain.at_least <= 0 else ""
    low, high = scale.of(gain.at_least), scale.of(gain.at_most)
    return {
        "change": scale.show(gain.change),
        "said": f"{scale.show(gain.at_least, down=True)} to {scale.show(gain.at_most)} per unit, {day(gain.date)}",
        "drawing": pictures.interval(low, high, domain, point=scale.of(gain.change), kind=kind)
        if scale.relative
        else "",
    }


def _served(one: PolicyView) -> dict[str, str] | None:
    seen = one.served
    if seen is None:
        return None
    scale = words.Scale(seen.before)
    spans = f"{seen.days_before} and {seen.days_after} days"
    return {
        "change": scale.show(seen.after - seen.before),
        "said": f"{words.amount(seen.before)} → {words.amount(seen.after)}, {spans}",
    }


def _domain(policies: Sequence[PolicyView]) -> tuple[float, float]:
    """An axis for the relative gains of all policies; wide canary intervals are cut."""
    shown = [0.0, 0.01]
    for one in policies:
        if one.certified and words.Scale(one.certified.production).relative:
            scale = words.Scale(one.certified.production)
            shown += [scale.of(one.certified.estimate), scale.of(one.certified.lower_bound)]
        if one.canary and words.Scale(one.canary.production).relative:
            change = words.Scale(one.canary.production).of(one.canary.change)
            shown += [change, 1.4 * change]
    high = max(shown) * 1.15
    return max(min(min(shown) * 1.15, -0.25 * high), -2 * high), high


# challengers


def challenger_rows(board: Board) -> list[dict[str, Any]]:
    """Those that are open and the latest decided one are folded out."""
    decided = [one.name for one in board.challengers if one.outcome != "open"][:DECIDED_SHOWN]
    going = any(one.outcome == "open" for one in board.challengers)
    return [
        _challenger_row(one, folded_out=one.outcome == "open" or (not going and one.name in decided))
        for one in board.challengers
    ]


def _challenger_row(one: ChallengerView, *, folded_out: bool) -> dict[str, Any]:
    scale = words.Scale(one.gain.production if one.gain else 0.0)
    first, second = pictures.evidence(one.walk, one.needs), pictures.gains(one.walk, scale)
    capital = one.walk[-1].log_capital if one.walk else 0.0
    line = "not looked at yet"
    if one.gain is not None:
        least = scale.show(one.gain.lower_bound, down=True)
        line = f"{scale.show(one.gain.estimate)}, at least {least} after {words.plural(one.rows, 'decision')}"
    return {
        "name": words.clean(one.name, 64),
        "outcome": one.outcome,
        "tone": _OUTCOMES[one.outcome],
        "meter": {"passed": "ok", "open": "blue"}.get(one.outcome, "none"),
        "open": folded_out,
        "closest": one.closest,
        "evidence": nats(capital, one.needs),
        "line": line,
        "pictures": [first, second] if first and second else [],
        "why_no_look": "The gate has not looked yet." if one.rows == 0 else "Its looks cannot be read; see the top.",
        "counted_by": "against production" if scale.relative else "per decision",
        "facts": _facts(one),
        "claims": [_claim_row(claim, one.needs) for claim in one.claims],
        "said": [said for said in (*one.reasons, one.why) if said],
    }


def _facts(one: ChallengerView) -> list[tuple[str, str]]:
    facts = [
        ("opened", moment(one.opened_at)),
        ("judged against", short(one.against) if one.against else "not recorded"),
    ]
    if one.decided_at is not None:
        facts.append((one.outcome, moment(one.decided_at)))
    planned = "not known" if one.rows_planned is None else f"{words.count(one.rows_planned)} decisions"
    most = "" if one.rows_most is None else f"; retired at {words.count(one.rows_most)}"
    facts += [("planned for", planned + most), ("α spent on it", alpha(one.alpha))]
    if one.promise is not None:
        scale = words.Scale(one.promise.production)
        facts.append(("promised when learned", scale.show(one.promise.estimate)))
    if one.deviation is not None:
        facts.append(("decisions it changes", words.share(one.deviation.changed)))
        facts.append(("KL from production", f"{words.amount(one.deviation.kl, figures=2)} nats a decision"))
    else:
        facts.append(("deviation", "not recorded: its run is not there"))
    return facts


def _claim_row(claim: ClaimResult, needs: float) -> dict[str, str]:
    return {
        "claim": claim.claim,
        "production": words.amount(claim.production),
        "change": words.amount(claim.change, signed=True),
        "estimate": words.amount(claim.estimate, signed=True),
        "least": words.amount(claim.lower_bound, signed=True, down=True),
        "capital": nats(claim.log_capital, needs) if claim.required else "not asked for",
    }
