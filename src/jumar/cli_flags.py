"""Groups of flags that several commands share: which column is what, and what a release must fulfil.

In: arguments. Out: ``LogFlags`` and ``ClaimFlags``. Only the modules of the command line import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from jumar.logs import Log


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LogFlags:
    """Which column is what; a ``[log]`` table in jumar.toml may say the same."""

    reward: str | None = None
    "Column of what came of the decision (default: 'reward' or 'value')."
    reward_range: Annotated[tuple[float, float] | None, Parameter(negative="")] = None
    "Least and greatest reward there can be, in its own units."
    cap_reward: Annotated[bool, Parameter(negative="")] = False
    "Move rewards beyond the range to its ends; the capped reward is certified."
    action: str | None = None
    "Column of what was decided."
    propensity: str | None = None
    "Column of the probability with which it was decided."
    pmf: str | None = None
    "Column of all actions' probabilities."
    unit: str | None = None
    "Column of the user, page or device decided about."
    time: str | None = None
    "Column of when it was decided."
    decision_id: str | None = None
    "Column of the decision's own id."
    end: str | None = None
    "Column that flags the last decision of an episode, for timelines."
    ignore: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    "Columns to leave out."
    categorical: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    "Whole-number columns that are names, not quantities."
    numeric: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    "Text columns that spell numbers."
    features: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = ()
    "The only columns to decide on (default: all that are left)."
    metrics: Annotated[
        tuple[str, ...], Parameter(name=("--metric", "--metrics"), consume_multiple=True, negative="")
    ] = ()
    "Columns to keep an eye on beside the reward: NAME, or NAME:LOW..HIGH with the bounds it has."
    config: Path | None = None
    "A TOML file with a [log] table (default: jumar.toml here)."

    def open(self, source: str, more_metrics: Sequence[str] = ()) -> Log:
        """Read a log by these flags.

        Args:
            source: what the user named.
            more_metrics: metrics that other flags name; those named here come first, with their ranges.
        """
        from jumar.logs import read_log
        from jumar.logs.metrics import parse_metrics

        flags: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        flags["features"] = self.features or None
        named = {metric.name: metric for metric in (*parse_metrics(self.metrics),)}
        for metric in (parse_metrics([text])[0] for text in more_metrics):
            if metric.name not in named or not named[metric.name].bounds_declared:
                named[metric.name] = metric  # a range beside a guardrail is as good as one beside the metric
        flags["metrics"] = tuple(named.values())
        return read_log(source, **flags)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClaimFlags:
    """What the new policy must fulfil, each at the full confidence; by default not to be worse."""

    margin: float = 0.0
    "Share of production's value that may be lost, such as 0.01."
    gain: float = 0.0
    "Share of production's value that must be gained, at least."
    guardrail: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    "A metric that must not get worse: complaints:lower, minutes:higher:margin=0.02:range=0..60. Repeatable."
    reduce: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    "A cost that must fall: send=0.2 for at least 20% fewer; send:1,email:0.3=0.2; or a metric. Repeatable."
    budget: str | None = None
    "The most that may be spent per decision on average: send=0.4."

    def asked(self) -> dict[str, Any]:
        """The arguments as ``improve`` and ``evaluate`` take them."""
        return {
            "margin": self.margin,
            "gain": self.gain,
            "guardrail": self.guardrail,
            "reduce": self.reduce,
            "budget": self.budget,
        }

    def metrics(self) -> list[str]:
        """Columns that the guardrails name, as ``read_log`` takes metrics."""
        from jumar.evaluate.asked import Asked

        return Asked(guardrail=self.guardrail).metrics


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TimelineFlags:
    """How far what follows a decision counts; by default it does not."""

    discount: float | None = None
    "What follows a decision counts too, each step so many times as much, from 0 to below 1 (default: it does not)."
    per: str | None = None
    "What the discount is meant for: decision, hour, day, 7d (default: decision)."
    gap: str | None = None
    "Silence after which an episode of a unit has ended, such as 7d (default: none)."


# Defaults of commands: immutable, so that one of each serves them all.
LOG_FLAGS, CLAIM_FLAGS, TIMELINE_FLAGS = LogFlags(), ClaimFlags(), TimelineFlags()
