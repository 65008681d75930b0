"""The board's pictures: SVG written by hand, small enough to be drawn again every half minute.

In: days, looks, numbers. Out: SVG without script or reference; its colours are the page's CSS variables, so that it
follows light and dark, and every word in it is escaped here. Only ``page`` imports this module.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from jumar.board.view import DayView, WalkLook, WatchView
from jumar.report import words

LETTER = 6.4  # about how wide a letter of the axis labels is
OTHERS = "others"
_STEPS = (1, 2, 5, 7, 14)


@dataclass(frozen=True)
class Frame:
    """Where a picture draws: its size, the room around the plot, and the ranges of both axes."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 56
    right: float = 10
    top: float = 12
    bottom: float = 24

    def at(self, x: float) -> float:
        """Pixels from the left."""
        low, high = self.x
        return self.left + (x - low) / ((high - low) or 1.0) * (self.width - self.left - self.right)

    def up(self, y: float) -> float:
        """Pixels from the top; what lies outside is put on the edge."""
        low, high = self.y
        part = min(max((y - low) / ((high - low) or 1.0), 0.0), 1.0)
        return self.height - self.bottom - part * (self.height - self.top - self.bottom)


@dataclass
class Sheet:
    """Marks of a picture, in the order in which they are drawn."""

    frame: Frame
    marks: list[str] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points in data units."""
        path = "L".join(f"{self.frame.at(x):.1f} {self.frame.up(y):.1f}" for x, y in points)
        self.marks.append(f'<path class="{kind}" d="M{path}"/>')

    def dots(self, points: Sequence[tuple[float, float]], kind: str, radius: float) -> None:
        """Dots at points in data units."""
        self.marks += [
            f'<circle class="{kind}" cx="{self.frame.at(x):.1f}" cy="{self.frame.up(y):.1f}" r="{radius:g}"/>'
            for x, y in points
        ]

    def text(self, x: float, y: float, said: object, kind: str = "", anchor: str = "start") -> None:
        """Words at pixels."""
        shown = escape(words.clean(said, 40))
        self.marks.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>')

    def drawn(self, label: str) -> Markup:
        """The picture."""
        head = f'<svg viewBox="0 0 {self.frame.width:g} {self.frame.height:g}" role="img" aria-label="{escape(label)}">'
        return Markup(head + "".join(self.marks) + "</svg>")


def rewards(days: Sequence[DayView], changes: Sequence[tuple[datetime.date, str]], width: float) -> Markup | None:
    """Mean reward per day, a line that looks back seven days as far as the same policy decided, marks of changes.

    Args:
        days: the earliest first.
        changes: date and a short label of what happened then.
        width: in pixels; the letters keep their size.

    Returns:
        None where no day has a mean reward.
    """
    known = [(day.date, day.reward, day.production) for day in days if day.reward is not None]
    if not known:
        return None
    sheet = Sheet(_dated([date for date, *_ in known], [value for _, value, _ in known], width, 290, top=26))
    _grid(sheet, words.amount)
    _dates(sheet)
    _changes(sheet, changes)
    radius = 2.2 if len(known) < 120 else 1.5
    sheet.dots([(date.toordinal(), value) for date, value, _ in known], "dot", radius)
    for stretch in _unbroken(known, most=7):
        smooth = [
            (date.toordinal(), _average([value for other, value in stretch if 0 <= (date - other).days < 7]))
            for date, _ in stretch
        ]
        sheet.line(smooth, "main")
    return sheet.drawn("Mean reward per day, and the mean of seven days")


def rates(days: Sequence[DayView], actions: Sequence[str], width: float) -> Markup | None:
    """Which share of the decisions took each action, a column for each day.

    Args:
        days: the earliest first.
        actions: those with a colour of their own, the largest first; all others are one.
        width: in pixels.
    """
    known = [day for day in days if day.shares]
    if not known:
        return None
    first, last = known[0].date.toordinal(), known[-1].date.toordinal()
    sheet = Sheet(Frame(width, 224, (first - 0.5, last + 0.5), (0.0, 1.0), top=8))
    _grid(sheet, words.share, ticks=[0.0, 0.5, 1.0])
    each = sheet.frame.at(1) - sheet.frame.at(0)
    for day in known:
        x, base = sheet.frame.at(day.date.toordinal() - 0.5), 0.0
        for colour, action in enumerate(actions):
            part = part_of(day, action, actions)
            if part > 0:
                top, foot = sheet.frame.up(base + part), sheet.frame.up(base)
                sheet.marks.append(
                    f'<rect class="c{colour}" x="{x:.2f}" y="{top:.2f}" width="{max(each - (each > 3), 0.6):.2f}" '
                    f'height="{foot - top:.2f}"/>'
                )
            base += part
    _dates(sheet)
    return sheet.drawn("Shares of actions per day")


def evidence(walk: Sequence[WalkLook], needs: float) -> Markup | None:
    """The log capital of the weakest claim at every look, against what a release needs."""
    if not walk:
        return None
    seen = [look.log_capital for look in walk if math.isfinite(look.log_capital)]
    low = min([0.0, *(max(one, -needs) for one in seen)])
    sheet = Sheet(_looked(walk, (low, max([needs, *seen]) * 1.12)))
    _grid(sheet, lambda y: words.amount(y, figures=2), about=3)
    _dates(sheet)
    line = sheet.frame.up(needs)
    sheet.marks.append(f'<path class="goal" d="M{sheet.frame.left} {line:.1f}H{sheet.frame.width - 10}"/>')
    sheet.text(sheet.frame.left + 4, line - 5, f"{needs:.1f} nats release")
    points = [(look.date.toordinal(), look.log_capital) for look in walk if math.isfinite(look.log_capital)]
    _walked(sheet, points)
    return sheet.drawn("Evidence against the number of days")


def gains(walk: Sequence[WalkLook], scale: words.Scale) -> Markup | None:
    """The estimated gain and its lower bound at every look."""
    if not walk:
        return None
    estimates = [(look.date.toordinal(), scale.of(look.estimate)) for look in walk if math.isfinite(look.estimate)]
    bounds = [(look.date.toordinal(), scale.of(look.lower_bound)) for look in walk if math.isfinite(look.lower_bound)]
    top = max([0.0, *(y for _, y in estimates)])
    depth = 2.5 * max(top, *(abs(y) for _, y in estimates), 1e-9)  # early bounds lie far below and would flatten it
    low = min([0.0, *(y for _, y in estimates), *(max(y, -depth) for _, y in bounds)])
    pad = 0.08 * ((top - low) or 1.0)
    sheet = Sheet(_looked(walk, (low - pad, top + pad)))
    _grid(sheet, lambda y: words.percent(y) if scale.relative else words.amount(y, signed=True), about=3)
    zero = sheet.frame.up(0.0)
    sheet.marks.append(f'<path class="zero" d="M{sheet.frame.left} {zero:.1f}H{sheet.frame.width - 10}"/>')
    _dates(sheet)
    within = [(x, y) for x, y in bounds if y >= sheet.frame.y[0]]
    if len(within) > 1:
        sheet.line(within, "bound")
    sheet.dots(within[-1:], "boundend", 3)
    _walked(sheet, estimates)
    return sheet.drawn("Estimated gain and its lower bound")


def harm(watch: WatchView) -> Markup | None:
    """Evidence of the watch that production is worse than its predecessor, a line for each metric."""
    if not watch.days:
        return None
    dates = [day.date.toordinal() for day in watch.days]
    needs = watch.days[-1].needs
    most = max([needs, *(max(day.log_harm, default=0.0) for day in watch.days)])
    sheet = Sheet(Frame(400, 150, (dates[0], max(dates[-1], dates[0] + 1)), (min(0.0, -0.2 * needs), most * 1.15)))
    _grid(sheet, lambda y: words.amount(y, figures=2), about=3)
    line = sheet.frame.up(needs)
    sheet.marks.append(f'<path class="limit" d="M{sheet.frame.left} {line:.1f}H{sheet.frame.width - 10}"/>')
    sheet.text(sheet.frame.left + 4, line - 5, f"{needs:.1f} nats roll back")
    _dates(sheet)
    for k in range(len(watch.metrics)):
        _walked(sheet, [(date, day.log_harm[k]) for date, day in zip(dates, watch.days, strict=True)], f"l{min(k, 5)}")
    return sheet.drawn("Evidence of harm per day")


def interval(
    low: float,
    high: float,
    domain: tuple[float, float],
    *,
    point: float | None = None,
    kind: str = "",
    width: float = 168,
) -> Markup:
    """A range on an axis that has a mark at 0, with a point on it or a tip at its end.

    Args:
        low, high: of the range; what lies outside the axis is cut.
        domain: of the axis.
        point: where the estimate is; None puts a tip at ``high``.
        kind: "off" where nothing was shown, "harmed", or empty.
        width: in pixels.
    """
    frame = Frame(width, 22, domain, (0.0, 1.0), left=3, right=3, top=3, bottom=3)
    sheet = Sheet(frame)
    a, b = (frame.at(min(max(x, domain[0]), domain[1])) for x in (low, high))
    zero = frame.at(0.0)
    sheet.marks.append(f'<path class="grid" d="M3 11H{width - 3:g}"/><path class="zero" d="M{zero:.1f} 2V20"/>')
    thin = " thin" if point is not None else ""
    sheet.marks.append(f'<path class="range{thin} {kind}" d="M{a:.1f} 11H{max(b, a + 1):.1f}"/>')
    if point is None:
        sheet.marks.append(f'<path class="tip {kind}" d="M{b:.1f} 5V17"/>')
    else:
        at = frame.at(min(max(point, domain[0]), domain[1]))
        sheet.marks.append(f'<circle class="point {kind}" cx="{at:.1f}" cy="11" r="4.5"/>')
    return sheet.drawn("range")


def leading(days: Sequence[DayView], most: int = 5) -> list[str]:
    """The actions that get a colour, the largest first, and a last one for all others where there are more."""
    totals: dict[str, float] = {}
    for day in days:
        for action, part in day.shares.items():
            totals[action] = totals.get(action, 0.0) + part
    ordered = sorted(totals, key=lambda action: (-totals[action], action))
    return ordered if len(ordered) <= most + 1 else [*ordered[:most], OTHERS]


def part_of(day: DayView, action: str, actions: Sequence[str]) -> float:
    """Share of an action on a day; of all that have no colour where it is the last."""
    if action == OTHERS and action not in day.shares:
        return max(1.0 - math.fsum(day.shares.get(one, 0.0) for one in actions[:-1]), 0.0)
    return day.shares.get(action, 0.0)


# axes


def _dated(dates: list[datetime.date], values: list[float], width: float, height: float, top: float) -> Frame:
    low, high = min(values), max(values)
    pad = 0.12 * ((high - low) or abs(high) or 1.0)
    first, last = dates[0].toordinal(), dates[-1].toordinal()
    return Frame(width, height, (first - 0.5, max(last, first + 1) + 0.5), (low - pad, high + pad), top=top)


def _looked(walk: Sequence[WalkLook], y: tuple[float, float]) -> Frame:
    first, last = walk[0].date.toordinal(), walk[-1].date.toordinal()
    return Frame(400, 170, (first, max(last, first + 1)), y, top=16)


def _grid(sheet: Sheet, said: Callable[[float], str], *, about: int = 4, ticks: list[float] | None = None) -> None:
    """Horizontal lines with their figures."""
    frame = sheet.frame
    for y in ticks if ticks is not None else _rounds(*frame.y, about):
        up = frame.up(y)
        sheet.marks.append(f'<path class="grid" d="M{frame.left:g} {up:.1f}H{frame.width - frame.right:g}"/>')
        sheet.text(frame.left - 7, up + 4, said(y), "tick", "end")


def _rounds(low: float, high: float, about: int) -> list[float]:
    """Round numbers within a range."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    found = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [0.0 if abs(one) < step * 1e-6 else one for one in found]


def _dates(sheet: Sheet) -> None:
    """Days below the plot: as many as fit beside each other."""
    frame = sheet.frame
    first, last = math.ceil(frame.x[0]), math.floor(frame.x[1])
    room = max(int((frame.width - frame.left - frame.right) / (8 * LETTER)), 2)
    far = -math.inf
    for ordinal in _ticks(first, last, room):
        date, x = datetime.date.fromordinal(ordinal), frame.at(ordinal)
        said = f"{date.day} {date:%b}"
        half = len(said) * LETTER / 2
        place = min(max(x, frame.left), frame.width - half - 1)
        if place - half > far:
            sheet.marks.append(f'<path class="grid" d="M{x:.1f} {frame.height - frame.bottom:g}v4"/>')
            sheet.text(place, frame.height - frame.bottom + 17, said, "tick", "middle")
            far = place + half + 4


def _ticks(first: int, last: int, room: int) -> list[int]:
    """Days that are labelled: every so many, or the first of every so many months."""
    span = last - first
    for step in _STEPS:
        if span / step < room:
            return list(range(last, first - 1, -step))[::-1]
    months = [day for day in range(first, last + 1) if datetime.date.fromordinal(day).day == 1]
    every = next(step for step in (1, 2, 3, 6, 12, 10_000) if len(months) / step <= room)
    return [day for day in months if (datetime.date.fromordinal(day).month - 1) % every == 0]


def _changes(sheet: Sheet, changes: Sequence[tuple[datetime.date, str]]) -> None:
    """Upright lines with their labels above, as far as these do not cover each other."""
    frame, far = sheet.frame, -math.inf
    for date, said in changes:
        ordinal = date.toordinal() - 0.5
        if frame.x[0] <= ordinal <= frame.x[1]:
            x = frame.at(ordinal)
            sheet.marks.append(f'<path class="change" d="M{x:.1f} {frame.top - 6:g}V{frame.height - frame.bottom:g}"/>')
            half = len(said) * LETTER / 2
            place = min(max(x, half + 2), frame.width - half - 2)
            if place - half > far:
                sheet.text(place, frame.top - 11, said, "mark", "middle")
                far = place + half + 4


def _walked(sheet: Sheet, points: Sequence[tuple[float, float]], kind: str = "main") -> None:
    """A line that ends in a dot."""
    if len(points) > 1:
        sheet.line(points, kind)
    sheet.dots(points[-1:], f"{kind} end", 3.5)


def _unbroken(points: list[tuple[datetime.date, float, str]], most: int) -> list[list[tuple[datetime.date, float]]]:
    """Stretches in which the same policy decided, without a gap of more than so many days."""
    stretches: list[list[tuple[datetime.date, float]]] = []
    last = None
    for date, value, policy in points:
        if stretches and policy == last and (date - stretches[-1][-1][0]).days <= most:
            stretches[-1].append((date, value))
        else:
            stretches.append([(date, value)])
        last = policy
    return [stretch for stretch in stretches if len(stretch) > 1]


def _average(values: list[float]) -> float:
    return math.fsum(values) / len(values)
