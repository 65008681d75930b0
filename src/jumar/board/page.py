"""The board as one HTML page that opens offline, refreshes itself without flicker, and can change nothing.

In: a ``Board``. Out: the page as a string, and the policy that a server sends with it. Names and reasons are cleaned
and escaped; the page forbids every request but the one for itself.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from jumar.board import cards, pictures, tables, wording
from jumar.board.view import Board, DayView
from jumar.report import words

WIDE, NARROW = 760, 344
MOST_DAYS, MOST_PICTURED, MOST_RECORDS, MOST_NOTICES = 14, 366, 12, 12
WEEK = 7
# Fetches the page again and puts its body in place of the old one, with whatever was folded out left so. A page that
# has not changed is not sent again. Out of sight it rests.
_SCRIPT = """
(() => {
  let tag = null, busy = false;
  const tell = (id, said) => { const at = document.getElementById(id); if (at) at.textContent = said; };
  const again = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const got = await fetch(location.pathname, {cache: "no-store", headers: tag ? {"if-none-match": tag} : {}});
      if (got.status === 200) {
        const page = new DOMParser().parseFromString(await got.text(), "text/html");
        for (const one of document.querySelectorAll("details[id]")) {
          const same = page.getElementById(one.id);
          if (same) same.open = one.open;
        }
        tag = got.headers.get("etag");
        document.title = page.title;
        document.body.replaceChildren(...page.body.childNodes);
      } else if (got.status === 304) {
        const now = new Date(got.headers.get("date") || Date.now());
        tell("at", now.toISOString().slice(0, 16).replace("T", " ") + " UTC");
        tell("live", "looks again every EVERY s");
      } else throw new Error(got.status);
    } catch (_) { tell("live", "cannot be reached; what you see is old"); }
    busy = false;
  };
  setInterval(again, EVERY * 1000);
  document.addEventListener("visibilitychange", again);
})();
"""


def render(board: Board, *, every: int | None = None) -> str:
    """The whole page.

    Args:
        board: what to show.
        every: seconds between two looks at the server; None for a page that stays as it is.

    Returns:
        A complete HTML document, without any reference to anything outside itself.
    """
    script = None if every is None else Markup(_SCRIPT.replace("EVERY", str(int(every))))
    context = {
        "b": board,
        "at": f"{board.at:%Y-%m-%d %H:%M} UTC",
        "every": every,
        "script": script,
        "policy": security(every),
        "mark": _mark(board),
        "headline": headline(board),
        "subline": subline(board),
        "tiles": tiles(board),
        "day": wording.day,
        "most_notices": MOST_NOTICES,
        "most_records": MOST_RECORDS,
        "trail": [cards.record_row(one) for one in board.trail],
        "trail_checked": "every hash checked" if board.trail else "",
        "policies": tables.policy_rows(board),
        "challengers": tables.challenger_rows(board),
        "canary": cards.canary_row(board),
        "watch": cards.watch_row(board),
        "ledger": cards.ledger_row(board),
        "guardrails": [cards.guardrail_row(one) for one in board.guardrails],
    }
    return _template().render(context | _days(board) | _missing(board))


def security(every: int | None) -> str:
    """The content security policy of a page: nothing may be loaded, and only its own script may run."""
    rules = [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if every is not None:
        digest = hashlib.sha256(_SCRIPT.replace("EVERY", str(int(every))).encode()).digest()
        rules += [f"script-src 'sha256-{base64.b64encode(digest).decode()}'", "connect-src 'self'"]
    return "; ".join(rules)


def headline(board: Board) -> str:
    """How all stands, in one sentence."""
    now, state = board.production, board.state
    if state is None:
        return "The registry cannot be read."
    if now is None:
        if state.aliases.production:
            return f"{wording.short(state.aliases.production)} decides; its trail cannot be read."
        return f"Nothing has been released yet; '{words.clean(board.incumbent, 60)}' decides."
    new = next((one for one in board.policies if one.role == "challenger"), None)
    if new is not None:
        return f"Release {now.number} decides; release {new.number} serves {words.share(state.share)} of the units."
    gain = now.certified
    if now.forced:
        return f"Release {now.number} decides, and nothing certifies it."
    if gain is not None and gain.passed:
        least = words.Scale(gain.production).show(gain.lower_bound, down=True)
        if gain.lower_bound > 0:
            return f"Release {now.number} decides, certified to bring at least {least} over what it replaced."
        return f"Release {now.number} decides, certified to be no worse than what it replaced."
    return f"Release {now.number} decides."


def subline(board: Board) -> Markup:
    """Which version that is, since when and on what grounds."""
    now = board.production
    if now is None:
        last = f"The last day that was run is {wording.day(board.days[-1].date)}." if board.days else ""
        first = "" if board.state is None else "Certify a policy, then promote it: jumar promote RUN --why …"
        return Markup("{}").format(last or first)
    since = wording.since(board, now.version)
    said = Markup("<code>{}</code> since {}").format(wording.version_name(now.version), wording.day(since.at.date()))
    parts = [said, Markup("{}").format(wording.grounds(now))]
    if board.state is not None and board.state.aliases.previous:
        parts.append(
            Markup("a rollback returns to <code>{}</code>").format(wording.short(board.state.aliases.previous))
        )
    return Markup(" · ").join(parts)


def tiles(board: Board) -> list[dict[str, Any]]:
    """The figures under the headline; what is not known says so."""
    return [_recent(board.days), _certified(board), _canary(board), _nearest(board), _left(board)]


def _tile(label: str, figure: str, small: str, *, known: bool = True) -> dict[str, Any]:
    return {"label": label, "figure": figure, "small": small, "known": known}


def _unknown(label: str) -> dict[str, Any]:
    return _tile(label, "not known", "it cannot be read; see the top", known=False)


def _recent(days: list[DayView]) -> dict[str, Any]:
    known = [day.reward for day in days if day.reward is not None]
    label = "Mean reward, last 7 days"
    if not known:
        return _tile(label, "not recorded", "no day of the loop says", known=False)
    now, before = _average(known[-WEEK:]), known[-2 * WEEK : -WEEK]
    if len(before) < WEEK:
        return _tile(label, words.amount(now), f"of {words.plural(min(len(known), WEEK), 'day')}")
    change = words.Scale(_average(before)).show(now - _average(before))
    return _tile(label, words.amount(now), f"{change} on the 7 days before; the first 7: {_first(known)}")


def _first(known: list[float]) -> str:
    return words.amount(_average(known[:WEEK]))


def _certified(board: Board) -> dict[str, Any]:
    label, now = "Certified over what it replaced", board.production
    if now is None and {"registry", "trail"} & set(board.unread):
        return _unknown(label)
    if now is None:
        return _tile(label, "nothing yet", "no policy was released", known=False)
    if now.certified is None or not now.certified.passed:
        return _tile(label, "not certified", "forced" if now.forced else "its certificate is not there", known=False)
    scale = words.Scale(now.certified.production)
    least = scale.show(now.certified.lower_bound, down=True)
    sure = wording.level(now.certified.confidence)
    return _tile(label, least, f"at least, with {sure} confidence; estimated {scale.show(now.certified.estimate)}")


def _canary(board: Board) -> dict[str, Any]:
    label, state, canary = "In canary", board.state, board.canary
    if state is None:
        return _unknown(label)
    if state.aliases.challenger is None:
        return _tile(label, "none", "no challenger serves", known=False)
    if canary is None or not canary.running:
        why = "what its days showed cannot be read" if "canary" in board.unread else "no day of it was counted yet"
        return _tile(label, words.share(state.share), f"of the units; {why}")
    small = f"of the units; stage {min(canary.stage, len(canary.shares) - 1) + 1} of {len(canary.shares)}"
    return _tile(label, words.share(state.share), f"{small}, day {canary.day}")


def _nearest(board: Board) -> dict[str, Any]:
    label, going = "At the gate", [one for one in board.challengers if one.outcome == "open"]
    if not going and {"registry", "ledger"} & set(board.unread):
        return _unknown(label)
    if not going:
        return _tile(label, "none", "no challenger is open", known=False)
    best = max(going, key=lambda one: one.closest)
    last = best.walk[-1].log_capital if best.walk else 0.0
    seen = words.plural(best.rows, "decision")
    return _tile(label, words.share(best.closest), f"of the evidence: {wording.nats(last, best.needs)} after {seen}")


def _left(board: Board) -> dict[str, Any]:
    ledger = board.ledger
    if ledger is None and {"registry", "ledger"} & set(board.unread):
        return _unknown("Attempts left")
    if ledger is None:
        return _tile("Attempts left", "not begun", "there is no ledger of gates", known=False)
    return _tile("Attempts left", f"{ledger.left}", f"of {ledger.attempts} in 365 days")


def _average(values: list[float]) -> float:
    return sum(values) / len(values)


def _mark(board: Board) -> str:
    """What a tab shows of it when it is one of many."""
    if not board.notices:
        return ""
    return "✕ " if board.notices[0].level == "bad" else "! "


def _days(board: Board) -> dict[str, Any]:
    """Pictures over days, and the last of them one by one."""
    shown = board.days[-MOST_PICTURED:]
    changes = wording.changes(board)
    actions = pictures.leading(shown)
    rewards = [(kind, pictures.rewards(shown, changes, width)) for kind, width in _widths()]
    rates = [(kind, pictures.rates(shown, actions, width)) for kind, width in _widths()]
    hidden = len(board.days) - MOST_DAYS
    return {
        "reward_pictures": rewards if rewards[0][1] else [],
        "rate_pictures": rates if rates[0][1] else [],
        "changes": changes,
        "rates": cards.rate_row(shown, actions),
        "days": [cards.day_row(one) for one in board.days[-MOST_DAYS:][::-1]],
        "more_days": f"{words.plural(hidden, 'earlier day')} in the pictures above." if hidden > 0 else "",
    }


def _widths() -> tuple[tuple[str, int], ...]:
    return ("wide", WIDE), ("narrow", NARROW)


def _missing(board: Board) -> dict[str, str]:
    """Why a part of the page is empty."""
    no_loop = "No loop has run here: there is no folder of days beside the registry. --folder names another place."
    canary = "No canary is in progress, and none was counted before."
    if board.state is not None and board.state.aliases.challenger:
        canary = f"{wording.short(board.state.aliases.challenger)} serves a share, and no day of it was counted yet."
    reasons = {
        "days": (no_loop if not board.folder else "No day that was run recorded this yet.", "days"),
        "canary": (canary, "canary"),
        "watch": ("Nothing is watched: a watch begins the day after one release has replaced another.", "watch"),
        "ledger": ("No challenger was ever opened, so nothing of the year's error is spent.", "ledger"),
        "policies": ("Nothing was released yet.", "trail"),
        "challengers": ("No challenger was ever opened.", "ledger"),
        "guardrails": ("No gate, canary or watch has looked at a metric beside the reward.", "ledger"),
        "trail": ("Nothing was promoted yet.", "trail"),
    }
    unread = {"registry"} & set(board.unread)
    return {
        f"why_no_{part}": "It cannot be read; what is wrong stands at the top."
        if needs in board.unread or unread
        else why
        for part, (why, needs) in reasons.items()
    }


@cache
def _template() -> jinja2.Template:
    """The packaged template, compiled once."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clean"] = words.clean
    return environment.from_string(resources.files("jumar.board").joinpath("page.html").read_text("utf-8"))
