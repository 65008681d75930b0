"""What the user asks a release to fulfil, from words to claims.

In: words such as ``complaints:lower:margin=0.02``, and a log. Out: ``Asked``, then ``Claim`` records. The main job,
``policies`` and the challengers import this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from jumar.errors import LogError, OptionError
from jumar.evaluate.claims import Claim
from jumar.evaluate.sequences.footing import Footing
from jumar.logs import Log, Metric
from jumar.logs.timelines import check_timeline

Known: TypeAlias = tuple[int, Metric]  # a metric of the log and its place among them

LARGEST_MARGIN = 0.5
MOST_DEMANDED = 10.0


@dataclass(frozen=True)
class Asked:
    """What the user asks a release to fulfil, in words, before the log's actions and metrics are known.

    Attributes:
        margin: share of production's value that may be lost.
        gain: share of production's value that must be gained; not together with a margin.
        guardrail: ``NAME:lower`` or ``NAME:higher``, then any of ``margin=0.02`` and ``range=0..5``, split by colons.
        reduce: ``NAME=SHARE``, the share by which a cost must fall; NAME is an action, several with costs
            (``send:1,email:0.3``), or a metric.
        budget: ``NAME=MOST``, the greatest average cost per decision; NAME as in ``reduce``, not a metric.
    """

    margin: float = 0.0
    gain: float = 0.0
    guardrail: Sequence[str] = ()
    reduce: Sequence[str] = ()
    budget: str | None = None

    @property
    def metrics(self) -> list[str]:
        """Columns that guardrails name, with their ranges as ``read_log`` takes them: ``NAME:LOW..HIGH``."""
        parsed = [_guardrail(text) for text in self.guardrail]
        return [name if span is None else f"{name}:{span[0]!r}..{span[1]!r}" for name, _, _, span in parsed]


def several_words(words: str | Sequence[str]) -> tuple[str, ...]:
    """One word alone is a list of one."""
    return (words,) if isinstance(words, str) else tuple(words)


def claims_on(log: Log, asked: Asked) -> list[Claim]:
    """All claims of an attempt on a log; the first is always the paired gain itself.

    Args:
        log: whose reward, actions and metrics they speak of.
        asked: the user's words.

    Raises:
        OptionError: a word that is not understood, a metric or action that the log does not have, a share out of range.
    """
    reward, actions = log.schema.roles.reward, log.schema.actions
    known = {one.name: (place, one) for place, one in enumerate(log.metrics) if one.name != reward}
    if asked.margin and asked.gain:
        raise OptionError(
            "A margin says how much may be lost, a gain how much must be won: only one can be asked",
            example=(asked.margin, asked.gain),
            remedy="Leave one of them out.",
        )
    _check_share("margin", asked.margin, 0.0, LARGEST_MARGIN)
    _check_share("gain", asked.gain, 0.0, MOST_DEMANDED)
    margin = asked.margin - asked.gain
    value: dict[str, Any] = {"kind": "value", "metric": str(reward)}
    value |= {"low": log.schema.reward_low, "high": log.schema.reward_high}
    claims = [Claim(**value, required=margin <= 0)]  # who must win more must not lose either
    if margin:
        claims.append(Claim(**value, margin=margin))
    claims += [_metric_claim(text, known) for text in asked.guardrail]
    for text in asked.reduce:
        name, share = _named_number(text, "reduce", "send=0.2")
        _check_share("reduce", share, 0.0, 1.0)
        if name in known:
            claims.append(_of_metric(known[name], "lower", -share))
            continue
        costs, most = _costs(name, actions, known)
        claims.append(
            Claim(kind="spend", metric=name, better="lower", margin=-share, high=most, costs=[c / most for c in costs])
        )
    if asked.budget is not None:
        name, limit = _named_number(asked.budget, "budget", "send=0.4")
        costs, most = _costs(name, actions, {})
        if not 0 < limit < most:
            raise OptionError(
                f"A budget must lie between 0 and the greatest cost of an action, {most:g}",
                example=limit,
                remedy="Say for example --budget send=0.4.",
            )
        scaled = [c / most for c in costs]
        claims.append(Claim(kind="budget", metric=name, better="lower", high=most, costs=scaled, most=limit))
    for one in claims:
        if one.weighted and one.margin and one.low < 0:
            raise OptionError(
                "A margin, a gain or a reduction is a share of production's average, which may be negative here",
                example=f"{one.metric}: {one.low:g} to {one.high:g}",
                remedy="Ask for none, or move the column so that its range begins at 0 or above.",
            )
    names = [(one.kind, one.metric, one.better) for one in claims[1:]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise OptionError("The same thing is asked twice", example=twice[1], remedy="Ask it once.")
    return claims


def check_followed(log: Log) -> None:
    """Refuses a log that nothing can be claimed about along timelines.

    Raises:
        LogError: the log has no units, no time, or no propensities.
    """
    check_timeline(log.schema)
    if not log.schema.has_propensities:
        raise LogError(
            "A discounted return can only be certified with logged propensities: along a timeline they multiply",
            remedy="Log the probability of each decision, or leave the discount out.",
        )


def sequence_claims(log: Log, asked: Asked, footing: Footing, cap: float, metric_caps: Sequence[float]) -> list[Claim]:
    """Claims about what follows on timelines; the first is the paired gain in returns.

    Args:
        log: whose reward they speak of.
        asked: the user's words: of a margin or a gain, and of guardrails.
        footing: what rewards count from.
        cap: the most that a unit counts, in rewards on the footing.
        metric_caps: the same for each metric of the log, in metrics on [0, 1].

    Raises:
        OptionError: a cost or a budget is asked for, a metric does not begin at 0, or as for ``claims_on``.
    """
    if asked.reduce or asked.budget is not None:
        raise OptionError(
            "With a discount no reductions or budgets can be claimed, only the reward and guardrails",
            example=(*asked.reduce, *([asked.budget] if asked.budget else [])),
            remedy="Put costs into the reward, or leave the discount out.",
        )
    single = claims_on(log, asked)
    margin = sum(one.margin for one in single if one.kind == "value")
    low = -footing.above * footing.width
    value: dict[str, Any] = {"metric": str(log.schema.roles.reward), "low": low, "high": low + cap * footing.width}
    claims = [Claim(kind="return", **value, required=margin <= 0)]
    if margin:
        claims.append(Claim(kind="return", **value, margin=margin))
    claims += [_followed(one, metric_caps[one.column]) for one in single if one.kind == "metric"]
    return [*claims, Claim(kind="deviation", **value, required=False)]


def _followed(claim: Claim, cap: float) -> Claim:
    """The claim on what a unit's metric adds up to, of which no more than the cap counts.

    Raises:
        OptionError: the metric does not begin at 0: whoever has ended brings none.
    """
    if claim.low:
        raise OptionError(
            f"With a discount a guardrail's range begins at 0, and that of '{claim.metric}' does not",
            example=f"{claim.low:g} to {claim.high:g}",
            remedy=f"Say for example {claim.metric}:{claim.better}:range=0..{max(claim.high, 1.0):g}.",
        )
    return msgspec.structs.replace(claim, kind="metric_return", high=cap * claim.high, cap=cap)


def _metric_claim(text: str, known: Mapping[str, Known]) -> Claim:
    name, better, margin, span = _guardrail(text)
    if name not in known:
        raise OptionError(
            f"'{name}' is not among the metrics of this log",
            example=text,
            remedy=f"Read the log with metrics=('{name}',), or on the command line with --guardrail.",
        )
    metric = known[name][1]
    if span is not None and span != (metric.low, metric.high):
        raise OptionError(
            f"The range of the guardrail is not that of the metric '{name}', {metric.low:g} to {metric.high:g}",
            example=text,
            remedy="Declare one range, with the metric or with the guardrail.",
        )
    return _of_metric(known[name], better, margin)


def _of_metric(known: Known, better: Literal["higher", "lower"], margin: float) -> Claim:
    column, metric = known
    return Claim(
        kind="metric",
        metric=metric.name,
        better=better,
        margin=margin,
        low=metric.low,
        high=metric.high,
        column=column,
    )


def _guardrail(text: str) -> tuple[str, Literal["higher", "lower"], float, tuple[float, float] | None]:
    """Name, direction, margin and range of ``NAME:lower:margin=0.02:range=0..5``."""
    remedy = "Say for example --guardrail complaints:lower, or complaints:lower:margin=0.02:range=0..5."
    parts = text.split(":")
    margin, span, seen = 0.0, None, set()
    while len(parts) > 2 and "=" in parts[-1]:
        key, _, value = parts.pop().partition("=")
        if key in seen:
            raise OptionError(f"The {key} of a guardrail is given twice", example=text, remedy=remedy)
        seen.add(key)
        try:
            if key == "margin":
                margin = float(value)
            elif key == "range":
                low, _, high = value.partition("..")
                span = float(low), float(high)
            else:
                raise ValueError
        except ValueError:
            raise OptionError("A guardrail holds a word that is not understood", example=text, remedy=remedy) from None
    direction = parts.pop()
    name = ":".join(parts)
    if direction not in ("lower", "higher") or not name:
        raise OptionError("A guardrail names a metric and which way it is better", example=text, remedy=remedy)
    if span is not None and not (math.isfinite(span[1] - span[0]) and span[0] < span[1]):
        raise OptionError("The range of a guardrail is not a range", example=text, remedy=remedy)
    _check_share("margin of a guardrail", margin, -1.0, MOST_DEMANDED)
    return name, "lower" if direction == "lower" else "higher", margin, span


def _named_number(text: str, flag: str, example: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not name or not math.isfinite(value):
        raise OptionError(f"--{flag} takes a name and a number", example=text, remedy=f"Say for example {example}.")
    return name, value


def _costs(name: str, actions: Sequence[object], known: Mapping[str, Known]) -> tuple[list[float], float]:
    """[actions] costs and the greatest of them, from ``send`` or ``send:1,email:0.3``."""
    costs = dict.fromkeys((str(action) for action in actions), 0.0)
    whole = name in costs
    for part in [name] if whole else name.split(","):
        action, colon, number = (part, "", "") if whole else part.rpartition(":")
        action, value = (action, number) if colon else (part, "1")
        if action not in costs:
            listed = ", ".join([*list(costs)[:8], *known])
            raise OptionError(
                f"'{action}' is neither an action nor a metric of this log",
                example=name,
                remedy=f"The log has: {listed:.200}. Say for example send=0.2, or send:1,email:0.3=0.2.",
            )
        if costs[action]:
            raise OptionError(
                f"The action '{action}' is named twice", example=name, remedy="Name it once, with its cost."
            )
        try:
            costs[action] = float(value)
        except ValueError:
            costs[action] = math.nan
        if not (math.isfinite(costs[action]) and costs[action] > 0):
            raise OptionError("The cost of an action is a number above 0", example=name, remedy="Say send:1,email:0.3.")
    if min(costs.values()) == max(costs.values()):
        raise OptionError(
            "Every action costs the same, so nothing can be saved",
            example=name,
            remedy="Leave out the actions that cost nothing.",
        )
    return list(costs.values()), max(costs.values())


def _check_share(name: str, share: float, low: float, high: float) -> None:
    if not (math.isfinite(share) and low <= share <= high):
        raise OptionError(
            f"The {name} is a share between {low:g} and {high:g}", example=share, remedy="Say 0.01 for one per cent."
        )
