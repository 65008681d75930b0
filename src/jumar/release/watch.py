"""The watch without a hold-out: is the policy that decides now worse than the previous one, by its own exploration?

In: each day's decisions with the weights w = previous(a|x)/propensity. Out: a ``Watch``, whose last day says "wait",
"rollback" or "done". It is the gate with roles reversed: the claim is that the *previous* policy would be better on the
decisions of the new one. Pure; the loop imports this module.

No unit has to do without the new policy, and looking daily is free. What it cannot see: harm that is not in the rewards
of the decisions themselves, such as units that stay away; a canary's hold-out (``CanaryPlan.watch``) does.
"""

from __future__ import annotations

import datetime
import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from jumar.errors import OptionError
from jumar.evaluate.capital import Capital, Floats, default_bets
from jumar.evaluate.claims import Claim, ClaimRows, variable
from jumar.records import Record
from jumar.release.documents import ReleaseError

FORMAT = 1


class WatchMetric(Record, frozen=True, kw_only=True):
    """What every decision brings, within declared bounds.

    Attributes:
        name: of the column.
        low, high: declared bounds of a single decision.
        better: whether more or less of it is wanted.
        tolerance: how much worse than under the previous policy it may be, as a share of that.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    better: Literal["higher", "lower"] = "higher"
    tolerance: float = 0.0

    @property
    def claim(self) -> Claim:
        """That the previous policy is better by more than the tolerance.

        A claim's margin is a share of what *deciding* brings, here the new policy: worse than (1 − t)·V(previous) is
        the same as V(previous) > (1 + t/(1 − t))·V(new), and more than (1 + t)·C(previous) as C(previous) <
        (1 − t/(1 + t))·C(new).
        """
        t = self.tolerance
        demanded = t / (1.0 - t) if self.better == "higher" else t / (1.0 + t)
        return Claim(
            kind="metric",
            metric=self.name,
            better=self.better,
            margin=-demanded,
            low=self.low,
            high=self.high,
            column=0,
        )


class WatchPlan(Record, frozen=True, kw_only=True):
    """All that is frozen before the watch's first day.

    Attributes:
        current, previous: versions.
        metrics: the reward first, then guardrails.
        days: how many days are tested; the first day comes on top, it lays the bets.
        alpha: probability of a rollback although the current policy is not worse in any metric.
    """

    current: str
    previous: str
    metrics: list[WatchMetric]
    days: int = 28
    alpha: float = 0.05


class WatchDay(Record, frozen=True, kw_only=True):
    """What one day led to.

    Attributes:
        date: of the decisions.
        day: 0 for the day that lays the bets.
        decision: what to do.
        reasons: in plain sentences.
        rows: decisions tested so far.
        log_harm: [metrics] evidence in nats that the current policy is worse; ``needs`` rolls back.
        at_least: [metrics] by how much a decision of the previous policy is better, at least, in the metric's own units
            and beyond the tolerance.
        needs: ln(metrics/alpha).
    """

    date: datetime.date
    day: int
    decision: Literal["wait", "rollback", "done"]
    reasons: list[str]
    rows: int
    log_harm: list[float]
    at_least: list[float]
    needs: float


class Watch(Record, frozen=True, kw_only=True):
    """A watch and its sums: a value that becomes JSON through ``msgspec``.

    Attributes:
        format: version of this layout.
        plan: as frozen.
        outcome: "open", or for good "rollback" or "done".
        capital: as ``Capital.to_json`` writes it; None before the first day.
        days: all days, from the first.
    """

    format: int
    plan: WatchPlan
    outcome: Literal["open", "rollback", "done"] = "open"
    capital: str | None = None
    days: list[WatchDay] = []


def begin_watch(plan: WatchPlan) -> Watch:
    """A watch before its first day.

    Raises:
        OptionError: a plan that is none.
    """
    if plan.current == plan.previous or not plan.metrics or plan.days < 1 or not 0.0 < plan.alpha < 1.0:
        raise OptionError(
            "A watch needs two versions, a metric, at least one day, and an alpha between 0 and 1",
            example=(plan.current, plan.previous, len(plan.metrics), plan.days, plan.alpha),
            remedy="Name the reward as the first metric.",
        )
    for one in plan.metrics:
        scale = one.high - one.low
        relative = one.tolerance == 0.0 or one.low >= 0.0
        if not (math.isfinite(scale) and scale > 0 and 0.0 <= one.tolerance < 1.0 and relative):
            raise OptionError(
                f"'{one.name}' needs bounds that are a range, and a tolerance in [0, 1)",
                example=(one.low, one.high, one.tolerance),
                remedy="With a tolerance the range begins at 0 or above.",
            )
    return Watch(format=FORMAT, plan=plan)


def update_watch(watch: Watch, date: datetime.date, weight: ArrayLike, values: ArrayLike) -> Watch:
    """Count one day's decisions of the current policy, look, and decide.

    The same date again changes nothing. Days must come in order, each with all of its decisions that the current policy
    drew; decisions of fallbacks have other propensities and belong to none of the two.

    Args:
        watch: as the day before left it.
        date: of the decisions.
        weight: [rows] probability of the action taken under the previous policy, exploration included, over its logged
            propensity.
        values: [rows, metrics] what each decision brought, in the metrics' own units.

    Raises:
        ReleaseError: the watch is decided, the date lies before the last one, or values outside their bounds.
    """
    last = watch.days[-1] if watch.days else None
    if last is not None and date == last.date:
        return watch
    if watch.outcome != "open" or (last is not None and date < last.date):
        raise ReleaseError(
            "This watch is decided" if watch.outcome != "open" else f"Days up to {last and last.date} were counted",
            example=date.isoformat(),
            remedy="Nothing was counted. Pass later days in order.",
        )
    y = _variables(watch.plan, np.asarray(weight, np.float64), np.asarray(values, np.float64))
    if watch.capital is None or last is None:
        day, capital = 0, _laid(watch.plan, y)
    else:
        day, capital = last.day + 1, Capital.from_json(watch.capital).update(y)
    look = _look(watch.plan, date, day, capital)
    return msgspec.structs.replace(
        watch,
        outcome="open" if look.decision == "wait" else look.decision,
        capital=None if capital is None else capital.to_json().decode(),
        days=[*watch.days, look],
    )


def _variables(plan: WatchPlan, weight: Floats, values: Floats) -> Floats:
    """[rows, metrics] whose average is above 0 where the previous policy would be better."""
    many = len(plan.metrics)
    if values.shape != (weight.size, many):
        raise ReleaseError(
            "A watch needs one value for each decision and metric",
            example=values.shape,
            remedy=f"Pass [rows, {many}] values and [rows] weights.",
        )
    low, high = (np.array([getattr(one, end) for one in plan.metrics]) for end in ("low", "high"))
    wrong = ~((values >= low) & (values <= high)).all(axis=1) | ~((weight >= 0.0) & (weight < np.inf))
    if wrong.any():
        raise ReleaseError(
            "A weight or a value is missing or outside its declared bounds",
            count=int(wrong.sum()),
            example=(float(weight[wrong][0]), values[wrong][0].tolist()),
            remedy="Declare the bounds that the values have by their nature.",
        )
    action = np.zeros(weight.size, np.int64)
    columns = [
        variable(one.claim, ClaimRows(weight[:, None], column, action, metrics=column[:, None]))[:, 0]
        for one, column in zip(plan.metrics, ((values - low) / (high - low)).T, strict=True)
    ]
    return np.stack(columns, axis=1)


def _laid(plan: WatchPlan, y: Floats) -> Capital | None:
    """Bets for as many days like this one; a day without decisions lays none."""
    if not y.shape[0]:
        return None
    alpha = plan.alpha / len(plan.metrics)
    return Capital(
        [
            default_bets(float(np.mean(column**2)), plan.days * column.size, alpha, bound=one.claim.bound)
            for one, column in zip(plan.metrics, y.T, strict=True)
        ]
    )


def _look(plan: WatchPlan, date: datetime.date, day: int, capital: Capital | None) -> WatchDay:
    needs = math.log(len(plan.metrics) / plan.alpha)
    scales = np.array([one.high - one.low for one in plan.metrics])
    harm = np.zeros(len(plan.metrics)) if capital is None else capital.log_value
    least = -scales if capital is None else capital.lower_bound(plan.alpha / len(plan.metrics)) * scales
    worse = [
        f"'{one.name}' is worse than under {plan.previous}: by at least {bound:.3g} per decision"
        f"{' beyond what is tolerated' if one.tolerance else ''}."
        for one, bound, log in zip(plan.metrics, least, harm, strict=True)
        if log >= needs
    ]
    decision: Literal["wait", "rollback", "done"] = "rollback" if worse else "done" if day >= plan.days else "wait"
    if decision == "done":
        worse = [f"No harm was found in {plan.days} days."]
    elif decision == "wait":
        worse = [f"No harm after day {day} of {plan.days}." if day else "This day only lays the bets."]
    return WatchDay(
        date=date,
        day=day,
        decision=decision,
        reasons=worse,
        rows=0 if capital is None else capital.count,
        log_harm=harm.tolist(),
        at_least=least.tolist(),
        needs=needs,
    )
