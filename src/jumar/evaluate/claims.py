"""What may be claimed about a policy, and the variable whose average is at least 0 where the claim is true.

In: what the user asks for, in words (``complaints:lower:margin=0.02``), then rows with importance weights.
Out: ``Claim`` records, and for each a variable y ≥ −bound per row and candidate. Plan and gate import this module.

Every claim is one average. With w = π(a|x)/μ(a|x), c in [0, 1] what a row brought of the metric, s = low/(high − low)
of its declared bounds and m the margin, relative to production:

    higher is better   C(π) ≥ (1 − m)·C(μ)     y = (w − 1)·c       + m·(c + s)
    lower is better    C(π) ≤ (1 + m)·C(μ)     y = (w − 1)·(1 − c) + m·(c + s)
    spend              cost(π) ≤ (1 − ρ)·cost(μ)   y = (1 − ρ)·Σ_a μ·cost(a) − Σ_a π·cost(a)
    budget             cost(π) ≤ b                 y = b − Σ_a π·cost(a)

The first two are of the form w·u + v with u ≥ 0, so a weight that is cut, or too small, only lowers y. The last two
hold no weight at all; without production's full pmf its cost is that of the action taken, which has the same mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.evaluate.capital import Floats, GateError
from jumar.logs import Log, Metric
from jumar.records import Record

Known: TypeAlias = tuple[int, Metric]  # a metric of the log and its place among them

LARGEST_MARGIN = 0.5
ROUNDING = 1e-5  # probabilities from single-precision policies sum to one that well
MOST_DEMANDED = 10.0


class Claim(Record, frozen=True, kw_only=True):
    """One thing that must be true of a policy before it is released.

    Attributes:
        kind: "value" (the reward), "metric" (another logged column), "spend" or "budget" (costs of actions).
        metric: name of the column, or of the actions that cost.
        better: whether more or less of it is wanted.
        margin: how much worse than production it may be, as a share of production's average; negative: how much better
            it must be.
        low, high: declared bounds of the metric, in its own units; for costs 0 and the greatest cost of an action.
        costs: [actions] cost of each action, in units of ``high``; empty for "value" and "metric".
        most: greatest average cost per decision, in its own units; only of a budget.
        column: position of the metric among the log's metrics; −1 for none.
        required: whether a release needs it; the paired gain is measured in any case.
    """

    kind: Literal["value", "metric", "spend", "budget"]
    metric: str
    better: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    low: float = 0.0
    high: float = 1.0
    costs: list[float] = []
    most: float | None = None
    column: int = -1
    required: bool = True

    @property
    def scale(self) -> float:
        """Width of the declared bounds: what 1 stands for."""
        return self.high - self.low

    @property
    def weighted(self) -> bool:
        """Whether importance weights enter; they do not where only costs of actions count."""
        return self.kind in ("value", "metric")

    @property
    def shift(self) -> float:
        """s = low/(high − low): what 0 on [0, 1] stands for, in units of ``scale``."""
        return self.low / self.scale

    @property
    def bound(self) -> float:
        """The plain variable never falls below −bound."""
        if self.kind == "spend":
            return 1.0 + ROUNDING
        if self.kind == "budget":
            return max(1.0 - float(self.most or 0.0) / self.scale, 0.0) + ROUNDING
        m, s = self.margin, self.shift
        ends = (-1.0 + m * (1.0 + s), m * s) if self.better == "higher" else (-1.0 + m * s, m * (1.0 + s))
        return max(1e-9, *(-end for end in ends))

    @property
    def slack_bound(self) -> float:
        """How far m·(c + s) can fall below 0: what is added to the bound of a doubly-robust variable."""
        return max(0.0, -self.margin * (1.0 + self.shift), -self.margin * self.shift)

    @property
    def _one_action(self) -> str | None:
        """The action that alone costs something."""
        return self.metric if sum(cost > 0 for cost in self.costs) == 1 and ":" not in self.metric else None

    @property
    def sentence(self) -> str:
        """The claim in plain words."""
        if self.kind == "budget":
            if self._one_action and self.high == 1.0:
                share = f"{100 * (self.most or 0.0):.6g}%"
                return f"The policy takes '{self._one_action}' in at most {share} of the decisions."
            return f"The policy's average cost of {self.metric} is at most {self.most:.6g} per decision."
        if self.kind == "spend":
            less = f"at least {-100 * self.margin:.6g}% less"
            if self._one_action:
                return f"The policy takes '{self._one_action}' {less} often than production."
            return f"The policy's average cost of {self.metric} is {less} than production's."
        average = f"The policy's average {self.metric} per decision"
        if self.margin == 0:
            return f"{average} is not {'below' if self.better == 'higher' else 'above'} production's."
        if self.better == "higher":
            return f"{average} is at least {100 * (1 - self.margin):.6g}% of production's."
        return f"{average} is at most {100 * (1 + self.margin):.6g}% of production's."


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


@dataclass(frozen=True)
class ClaimRows:
    """One batch of judged rows, with all that claims may need.

    Attributes:
        weight: [rows, K] w = π(a|x)/μ(a|x).
        reward: [rows] in [0, 1].
        action: [rows] indices.
        metrics: [rows, metrics] in [0, 1]; None where there are none.
        pmf: [rows, K, actions] of the candidates; None where only the logged action's probability is known.
        production: [rows, actions] μ; None where the log does not tell.
    """

    weight: Floats
    reward: Floats
    action: NDArray[np.integer]
    metrics: Floats | None = None
    pmf: NDArray[np.floating] | None = None
    production: Floats | None = None

    def brought(self, claim: Claim) -> Floats:
        """[rows] c: what each row brought of the claim's metric, in [0, 1]."""
        if claim.kind == "value":
            return self.reward
        assert self.metrics is not None
        return self.metrics[:, claim.column]

    def cost(self, claim: Claim) -> tuple[Floats, Floats]:
        """Production's cost [rows] and the candidates' expected cost [rows, K], in units of the greatest cost."""
        costs = np.asarray(claim.costs)
        if self.pmf is None:
            raise GateError(
                "costs of actions need the full probabilities of every policy",
                example=claim.metric,
                remedy="Pass [rows, K, actions] probabilities.",
            )
        now = costs[self.action] if self.production is None else self.production @ costs
        return np.asarray(now, np.float64), np.asarray(self.pmf @ costs, np.float64)


def good(claim: Claim, brought: Floats) -> Floats:
    """[rows] c where more is better, 1 − c where less is."""
    return brought if claim.better == "higher" else 1.0 - brought


def slack(claim: Claim, brought: Floats) -> Floats:
    """[rows] m·(c + s): what the margin gives away, or demands."""
    return claim.margin * (brought + claim.shift)


def variable(claim: Claim, rows: ClaimRows, weight: Floats | None = None) -> Floats:
    """y, [rows, K]: its mean is at least 0 where the claim is true, and it never falls below −bound.

    Args:
        claim: what is claimed.
        rows: the judged rows.
        weight: other weights than ``rows.weight``, such as those lowered by Γ.
    """
    if not claim.weighted:
        now, spent = rows.cost(claim)
        if claim.kind == "budget":
            return float(claim.most or 0.0) / claim.scale - spent
        return (1.0 + claim.margin) * now[:, None] - spent
    w, c = rows.weight if weight is None else weight, rows.brought(claim)
    y = (w - 1.0) * good(claim, c)[:, None]
    return y + slack(claim, c)[:, None] if claim.margin else y
