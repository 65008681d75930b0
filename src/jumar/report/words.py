"""Numbers and verdicts in words that a person reads: one spelling for the page and the terminal.

In: figures and records. Out: plain strings without markup. Lower bounds are rounded down, never up,
so that no printed claim is stronger than the certified one. Only ``report`` imports this module.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from jumar.evaluate.certificate import Certificate, WalkPoint

NOTHING = "–"
MINUS = "−"
ICONS = {
    "certified": "✓", "conditional": "!", "refused": "✕",
    "ok": "✓", "warning": "!", "blocked": "✕",
    "passed": "✓", "failed": "✕", "not tested": "·",
}  # fmt: skip


def counted_by(certificate: Certificate) -> str:
    """What gains and values of a certificate are counted by."""
    if certificate.timeline is None:
        return "per decision"
    return f"per unit, discounted {certificate.timeline.words}"


def clean(text: object, limit: int = 160) -> str:
    """Make a name from a log harmless to read: no control, direction or unpaired characters, bounded length.

    Args:
        text: anything; it is turned into a string.
        limit: the longest string returned, in characters; a longer one ends in an ellipsis.
    """
    raw = str(text)
    head = " ".join(raw[: limit + 1].split())
    # Cc: terminal escapes; Cf: text that hides or turns its direction; Cs, Co, Cn: not characters at all.
    # The two joiners belong to the spelling of emoji and of several scripts.
    shown = "".join(
        c if unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" else "\N{REPLACEMENT CHARACTER}" for c in head
    )
    return shown if len(raw) <= limit else shown[: limit - 1].rstrip() + "…"


def _rounded(x: float, decimals: int, *, down: bool) -> str:
    """``x`` with ``decimals`` digits, a true minus sign and thousands separated."""
    if down:
        # 1e-9: a decimal fraction that binary cannot hold must not lose its last digit (5.2 is not 5.1).
        x = math.floor(x * 10**decimals + 1e-9) / 10**decimals
    text = f"{x:,.{decimals}f}"
    return text.replace("-", MINUS) if any(c in "123456789" for c in text) else text.replace("-", "")


def _decimals(x: float, most: int, figures: int = 2) -> int:
    """How many decimals show ``figures`` significant figures of ``x``, between 0 and ``most``."""
    return 0 if x == 0 else min(max(figures - 1 - math.floor(math.log10(abs(x))), 0), most)


def percent(x: float | None, *, down: bool = False) -> str:
    """A gain as a signed percentage: 0.0764 → "+7.6%". ``down`` rounds towards minus infinity."""
    if x is None or not math.isfinite(x):
        return NOTHING
    points = 100 * x
    decimals = 1 if 1 <= abs(points) < 100 else _decimals(points, 4)
    text = _rounded(points, decimals, down=down)
    return ("+" if points > 0 and text.strip("0.,") else "") + text + "%"


def share(x: float | None) -> str:
    """A part of a whole, unsigned: 0.312 → "31%", 0.0312 → "3.1%", 0.00001 → "<0.01%"."""
    if x is None or not math.isfinite(x):
        return NOTHING
    if 0 < x < 0.0001:
        return "<0.01%"
    points = 100 * x
    text = _rounded(points, 0 if points >= 10 or x == 0 else 1 if points >= 0.95 else 2, down=False)
    return ("<100" if x < 1 and text == "100" else text) + "%"


def amount(x: float | None, *, signed: bool = False, down: bool = False, figures: int = 3) -> str:
    """A value in units of the reward to ``figures`` significant figures: 0.012345 → "0.0123"."""
    if x is None or not math.isfinite(x):
        return NOTHING
    if x != 0 and not 1e-6 <= abs(x) < 1e12:
        text = f"{x:.2e}".replace("-", MINUS)
    else:
        text = _rounded(x, _decimals(x, 9, figures), down=down)
    return ("+" if signed and x > 0 and text.strip("0.,") else "") + text


def plain(x: float) -> str:
    """A declared number as it was typed: 1.0 → "1", 0.25 → "0.25"."""
    return f"{x:,.10g}".replace("-", MINUS)


def count(n: float | None) -> str:
    """A whole number with separators: 1234567 → "1,234,567"."""
    return NOTHING if n is None or not math.isfinite(n) else _rounded(n, 0, down=False)


def plural(n: int, one: str, many: str | None = None) -> str:
    """ "1 decision", "2,000 decisions"."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """0.42 → "0.4 s", 75 → "1 min 15 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join([*parts, f"{rest} s"] if rest or not parts else parts)


def level(confidence: float) -> str:
    """A confidence as it was typed: 0.999 → "99.9%"."""
    return f"{100 * confidence:.10g}%"


def odds(confidence: float) -> tuple[str, str]:
    """The error rate as a frequency: 0.999 → ("1", "1,000"), 0.97 → ("3", "100")."""
    error = Fraction(f"{1 - confidence:.10g}")
    return count(error.numerator), count(error.denominator)


@dataclass(frozen=True)
class Scale:
    """How gains are told: as a share of production's value where that is positive, else in reward units."""

    production: float

    @property
    def relative(self) -> bool:
        """Whether a gain is told as a percentage of production's value."""
        return math.isfinite(self.production) and self.production > 0

    def of(self, gain: float) -> float:
        """The gain on this scale: a fraction of production's value, or the gain itself."""
        return gain / self.production if self.relative else gain

    def show(self, gain: float | None, *, down: bool = False) -> str:
        """The gain in words: "+7.6%" or "+0.0123"."""
        if gain is None:
            return NOTHING
        return percent(self.of(gain), down=down) if self.relative else amount(gain, signed=True, down=down)


def blocked(certificate: Certificate) -> bool:
    """Whether an audit, and not the size of the gain, stood in the way."""
    return any(finding.verdict == "blocked" for finding in certificate.audits)


def headline(certificate: Certificate) -> str:
    """The verdict in one sentence."""
    c, metric, sure = certificate, clean(certificate.metric, 60), level(certificate.confidence)
    if c.verdict == "refused":
        if blocked(c):
            return f"Production stays: an audit stands in the way of a certificate with {sure} confidence."
        return f"Production stays: no new policy earned a certificate with {sure} confidence."
    scale = Scale(c.production_value)
    better = c.lower_bound is not None and c.lower_bound > 0
    size = f"{scale.show(c.estimate)} {metric}" if c.estimate is not None else metric
    least = f", at least {scale.show(c.lower_bound, down=True)} with {sure} confidence" if better else ""
    who = "If the estimated propensities are right, the" if c.verdict == "conditional" else "The"
    sentence = f"{who} new policy is {'better' if better else 'not worse'} than production"
    sentence += "" if better else f" with {sure} confidence"
    sentence += f": {size}{least}"
    return sentence + (f", by changing {share(c.deviation.changed)} of decisions." if c.deviation else ".")


def condition(certificate: Certificate) -> str | None:
    """What a conditional certificate hangs on; None for other verdicts or where a reason says so already."""
    c = certificate
    if c.verdict != "conditional" or any("were estimated, not logged" in reason for reason in c.reasons):
        return None
    if not c.gamma:
        return "The verdict holds if production's true probabilities are nowhere above the estimates."
    return (
        "The verdict holds if production's true probabilities are at most "
        f"{100 * c.gamma:.4g}% above the estimates where the policy deviates, "
        "and not above them elsewhere."
    )


def enough(certificate: Certificate) -> str | None:
    """What would be enough after a refusal; None where nobody knows or a reason says so already."""
    c = certificate
    # Fewer rows than there were: the gain was not as large as hoped, and more of them is no remedy.
    if c.verdict != "refused" or c.rows_needed is None or c.rows_needed <= c.rows:
        return None
    need = plural(c.rows_needed, "decision")
    if any(count(c.rows_needed) in reason for reason in c.reasons):
        return None
    times = f", {amount(c.rows_needed / c.rows, figures=2)} times the {count(c.rows)} judged here" if c.rows else ""
    return f"About {need} to judge on would be enough{times}."


def released(walk: list[WalkPoint]) -> WalkPoint | None:
    """The candidate that was chosen, if any."""
    return next((point for point in walk if point.released), None)
