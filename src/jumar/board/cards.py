"""The board's cards and lists: canary, watch, ledger, guardrails, days, records, ready for the template.

In: a ``Board`` and its parts. Out: dicts of strings and SVG that the template escapes and places. Only ``page`` imports
this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jumar.board import pictures
from jumar.board.view import Board, DayView, Guardrail
from jumar.board.wording import alpha, day, moment, nats, short, version_name
from jumar.loop.documents import STEPS
from jumar.release.canary_plan import MetricLook
from jumar.release.registry.documents import RegistryRecord
from jumar.report import words

_WHAT = {"promote": "ok", "canary": "blue", "widen": "blue", "abandon": "bad", "rollback": "bad", "create": ""}
_GUARDS = {
    "shown": ("ok", "shown"),
    "no harm": ("ok", "no harm found"),
    "open": ("warn", "not shown yet"),
    "harm": ("bad", "harm"),
}


def canary_row(board: Board) -> dict[str, Any] | None:
    """The canary's card."""
    one = board.canary
    if one is None:
        return None
    state = {"open": ("blue", "in progress"), "rollback": ("bad", "taken back"), "done": ("ok", "done")}
    tone, word = state[one.outcome] if one.running or one.outcome != "open" else ("", "ended by hand")
    look = f"The next look is at the end of day {one.next_look}." if one.running and one.next_look else ""
    counts = (
        f"{words.count(one.exposed)} units new to it, {words.count(one.others)} beside them in this stage; "
        f"{words.share(one.astray)} of its rows went astray."
    )
    return {
        "challenger": version_name(one.challenger),
        "production": short(one.production),
        "tone": tone,
        "word": word,
        "said": " ".join([*one.reasons[:4], look]),
        "stages": [*(_stage(board, k) for k in range(len(one.shares))), _last_stage(one.outcome)],
        "counts": counts if one.days else "No day was counted yet.",
        "metrics": [_metric(look) for look in one.metrics],
    }


def _stage(board: Board, k: int) -> dict[str, Any]:
    one = board.canary
    assert one is not None
    kind = "done" if k < one.stage or one.outcome == "done" else "" if k > one.stage else "now"
    if kind == "now" and one.outcome == "rollback":
        kind = "back"
    ahead = one.next_look or one.day or 1
    return {"share": words.share(one.shares[k]), "kind": kind, "part": min(one.day / ahead, 1.0)}


def _last_stage(outcome: str) -> dict[str, Any]:
    return {"share": "100%", "kind": "done" if outcome == "done" else "", "part": 0.0}


def _metric(look: MetricLook) -> dict[str, Any]:
    scale = words.Scale(look.production)
    reach = 1.1 * max(
        abs(look.change) * 1.5, min(max(abs(look.at_least), abs(look.at_most)), abs(look.production) or 1e9)
    )
    near = look.log_harm / look.harm_needs
    kind = "harmed" if near >= 1 else "" if look.at_least > 0 or look.at_most < 0 else "off"
    proof = None
    if look.log_proof is not None and look.proof_needs is not None:
        proof = min(max(look.log_proof / look.proof_needs, 0.0), 1.0)
    return {
        "name": look.name,
        "change": scale.show(look.change),
        "at_least": scale.show(look.at_least, down=True),
        "at_most": scale.show(look.at_most),
        "production": words.amount(look.production),
        "cut": words.count(look.cut) if look.cut else "",
        "drawing": pictures.interval(
            look.at_least, look.at_most, (-reach or -1.0, reach or 1.0), point=look.change, kind=kind, width=360
        ),
        "harm": min(max(near, 0.0), 1.0),
        "harm_tone": "bad" if near >= 1 else "warn" if near >= 0.5 else "none",
        "harm_said": nats(look.log_harm, look.harm_needs),
        "proof": proof,
        "proof_said": "" if proof is None else nats(look.log_proof or 0.0, look.proof_needs or 0.0),
    }


def watch_row(board: Board) -> dict[str, Any] | None:
    """The card of the watch."""
    one = board.watch
    if one is None:
        return None
    tone, word = {"open": ("blue", "watching"), "rollback": ("bad", "rolled back"), "done": ("ok", "no harm found")}[
        one.outcome
    ]
    last = one.days[-1] if one.days else None
    said = "It has not begun."
    if last is not None:
        said = f"{' '.join(last.reasons[:3])} {words.plural(last.rows, 'decision')} so far."
    return {
        "current": short(one.current),
        "previous": short(one.previous),
        "tone": tone,
        "word": word,
        "said": said,
        "drawing": pictures.harm(one),
        "metrics": one.metrics,
    }


def ledger_row(board: Board) -> dict[str, Any] | None:
    """The card of the ledger: a square for each attempt of the year."""
    one = board.ledger
    if one is None:
        return None
    recent = sorted(one.rows, key=lambda row: row.opened_at)[len(one.rows) - one.spent :]
    kinds = [row.outcome for row in recent]
    tones = {"passed": "ok", "open": "accent", "retired": "faint", "closed": "soft"}
    free = "" if one.next_free is None else f"The oldest comes back on {day(one.next_free.date())}."
    return {
        "left": f"{one.left} of {one.attempts} attempts left",
        "squares": [*kinds, *[""] * one.left],
        "key": [
            *((kind, f"{kinds.count(kind)} {kind}", tone) for kind, tone in tones.items() if kind in kinds),
            ("left", f"{one.left} left", "plain-wash"),
        ],
        "spent": f"{alpha(one.alpha_spent)} of the {alpha(one.alpha)} of error that a year may hold is spent, "
        f"{alpha(one.alpha_left)} is left; {words.plural(len(one.rows), 'attempt')} in all.",
        "free": free,
    }


def guardrail_row(one: Guardrail) -> dict[str, str]:
    """A metric where it was looked at."""
    tone, word = _GUARDS[one.state]
    row = {"metric": one.metric, "wanted": f"{one.better} is better", "where": one.where, "tone": tone, "word": word}
    harm = "" if one.log_harm is None or one.harm_needs is None else f"{nats(one.log_harm, one.harm_needs)} of harm"
    if one.production is None or one.change is None or one.bound is None:
        return row | {"production": "", "change": f"not estimated: {harm}", "bound": ""}
    scale = words.Scale(one.production)
    return row | {
        "production": f"{words.amount(one.production)} a {'unit' if one.where == 'canary' else 'decision'}",
        "change": scale.show(one.change),
        "bound": scale.show(one.bound, down=one.better == "higher"),
    }


# days and records


def rate_row(days: Sequence[DayView], actions: Sequence[str]) -> list[dict[str, str]]:
    """The key of the picture of actions: shares now, and by how much they moved in the days shown."""
    known = [one for one in days if one.shares]
    rows = []
    for action in actions if known else []:
        parts = [pictures.part_of(one, action, actions) for one in known]
        now, then = (sum(part) / len(part) for part in (parts[-7:], parts[:7]))
        moved = "" if len(parts) < 14 else f"{words.share(then)} at first"
        rows.append({"action": action, "last": words.share(now), "change": moved})
    return rows


def day_row(one: DayView) -> dict[str, Any]:
    """A day in one line, and its steps."""
    done = [("warn" if step.attention else "done") for step in one.steps]
    flag = "not complete" if not one.complete else "look" if one.attention else ""
    said = f"{len(one.steps)} of {len(STEPS)} steps done"
    return {
        "date": one.date.isoformat(),
        "weekday": f"{one.date:%a}",
        "production": short(one.production),
        "flag": flag or (f"opened {one.opened}" if one.opened else ""),
        "tone": "warn" if flag else "blue",
        "counted": "not counted" if one.counted is None else words.plural(one.counted, "decision"),
        "reward": "no mean" if one.reward is None else words.amount(one.reward),
        "dots": [*done, *["left"] * (len(STEPS) - len(done))],
        "steps_said": said + (", one asks for attention" if one.attention else ""),
        "steps": one.steps,
    }


def record_row(one: RegistryRecord) -> dict[str, Any]:
    """A record of the trail."""
    return {
        "number": one.number,
        "what": one.what,
        "tone": _WHAT[one.what],
        "forced": one.forced and one.what in ("promote", "canary"),
        "version": version_name(one.version),
        "share": words.share(one.share) if one.what in ("canary", "widen") else "",
        "why": one.why,
        "at": moment(one.at),
        "who": one.who,
    }
