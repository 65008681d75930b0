"""What may be claimed about a policy, and the variable whose average is at least 0 where the claim is true.

In: rows with importance weights. Out: ``Claim`` records, and for each a variable y ≥ −bound per row and candidate, or
per unit where a discount is asked for. ``asked`` makes claims of words; plan and gate import this module.

Every claim is one average. With w = π(a|x)/μ(a|x), c in [0, 1] what a row brought of the metric, s = low/(high − low)
of its declared bounds and m the margin, relative to production:

    higher is better   C(π) ≥ (1 − m)·C(μ)     y = (w − 1)·c       + m·(c + s)
    lower is better    C(π) ≤ (1 + m)·C(μ)     y = (w − 1)·(1 − c) + m·(c + s)
    spend              cost(π) ≤ (1 − ρ)·cost(μ)   y = (1 − ρ)·Σ_a μ·cost(a) − Σ_a π·cost(a)
    budget             cost(π) ≤ b                 y = b − Σ_a π·cost(a)

The first two are of the form w·u + v with u ≥ 0, so a weight that is cut, or too small, only lowers y. The last two
hold no weight at all; without production's full pmf its cost is that of the action taken, which has the same mean.

    return             V(π) ≥ (1 − m)·V(μ) of the capped discounted return of a unit
    metric_return      the same of a metric, or V(π) ≤ (1 + m)·V(μ) where less of it is better
    deviation          the same for a policy that follows production but for one decision

are averages over units; ``sequences.variables`` has theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.capital import Floats, GateError
from jumar.evaluate.sequences.footing import Footing
from jumar.evaluate.sequences.returns import capped_rewards
from jumar.evaluate.sequences.variables import episode_cost_variable, episode_variable, single_deviation_variable
from jumar.records import Record

ROUNDING = 1e-5  # probabilities from single-precision policies sum to one that well


class Claim(Record, frozen=True, kw_only=True):
    """One thing that must be true of a policy before it is released.

    Attributes:
        kind: "value" (the reward), "metric" (another logged column), "spend" or "budget" (costs of actions); with a
            discount "return" and "metric_return" (what these add up to for a unit) and "deviation" (the reward's for
            a single deviation).
        metric: name of the column, or of the actions that cost.
        better: whether more or less of it is wanted.
        margin: how much worse than production it may be, as a share of production's average; negative: how much better
            it must be.
        low, high: declared bounds of the metric, in its own units; for costs 0 and the greatest cost of an action; for
            returns the most that a unit counts, and what the variable calls 0, see ``sequences.footing``.
        costs: [actions] cost of each action, in units of ``high``; empty for "value" and "metric".
        most: greatest average cost per decision, in its own units; only of a budget.
        column: position of the metric among the log's metrics; −1 for none.
        cap: the most that a unit counts of a metric that adds up, in what a row can bring at most; else 1.
        required: whether a release needs it; the paired gain is measured in any case.
    """

    kind: Literal["value", "metric", "spend", "budget", "return", "metric_return", "deviation"]
    metric: str
    better: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    low: float = 0.0
    high: float = 1.0
    costs: list[float] = []
    most: float | None = None
    column: int = -1
    cap: float = 1.0
    required: bool = True

    @property
    def scale(self) -> float:
        """Width of the declared bounds: what 1 stands for."""
        return self.high - self.low

    @property
    def weighted(self) -> bool:
        """Whether importance weights enter; they do not where only costs of actions count."""
        return self.kind not in ("spend", "budget")

    @property
    def sequential(self) -> bool:
        """Whether it is about what follows on timelines: one number for each unit."""
        return self.kind in ("return", "metric_return", "deviation")

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
        if self.sequential:
            whose = "With a single deviation from production, the" if self.kind == "deviation" else "The policy's"
            average = f"{whose} average {self.metric} per unit, discounted and of no unit more than {self.high:.4g},"
        if self.margin == 0:
            return f"{average} is not {'below' if self.better == 'higher' else 'above'} production's."
        if self.better == "higher":
            return f"{average} is at least {100 * (1 - self.margin):.6g}% of production's."
        return f"{average} is at most {100 * (1 + self.margin):.6g}% of production's."


AT_ZERO = Footing()


@dataclass(frozen=True)
class UnitRows:
    """How rows of whole units follow each other.

    Attributes:
        starts: [units] first row of each.
        discount: [rows] in [0, 1] of what the unit's next row brings; 0 after an end, anything on last rows.
        cap: the most that a unit counts, in rewards on the footing.
        most_per_unit: decisions of a unit that count.
        tied: [rows] whether a row was made at the same moment as the row before it, in the same unit; None: none.
        footing: what rewards count from.
    """

    starts: NDArray[np.int64]
    discount: Floats
    cap: float
    most_per_unit: int
    tied: NDArray[np.bool_] | None = None
    footing: Footing = AT_ZERO

    @cached_property
    def closing(self) -> Floats | None:
        """[units] what is paid behind last rows."""
        return self.footing.closing(self.discount, self.starts)

    def brought(self, reward: Floats) -> float:
        """Sum over units of what counts, in shares of the cap, from rewards [rows] on their declared range."""
        given = self.footing.rewards(reward), self.discount, self.starts
        return float(capped_rewards(*given, cap=self.cap, closing=self.closing).sum()) / self.cap


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
        units: whole units in order, where claims are about what follows.
    """

    weight: Floats
    reward: Floats
    action: NDArray[np.integer]
    metrics: Floats | None = None
    pmf: NDArray[np.floating] | None = None
    production: Floats | None = None
    units: UnitRows | None = None

    def brought(self, claim: Claim) -> Floats:
        """[rows] c: what each row brought of the claim's metric, in [0, 1]."""
        if claim.column < 0:
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


def per_unit(claim: Claim, rows: ClaimRows) -> Floats:
    """[units, K] the variable of a claim about what follows."""
    units = rows.units
    if units is None:
        raise GateError("returns need rows of whole units", remedy="Pass unit= and discount= with every batch.")
    if claim.kind == "metric_return":
        of = episode_variable if claim.better == "higher" else episode_cost_variable
        given = (rows.weight, rows.brought(claim), units.discount, units.starts)
        return of(*given, cap=claim.cap, margin=claim.margin, tied=units.tied)
    given = (rows.weight, units.footing.rewards(rows.reward), units.discount, units.starts)
    counted: dict[str, Any] = {"cap": units.cap, "margin": claim.margin, "tied": units.tied, "closing": units.closing}
    if claim.kind == "deviation":
        return single_deviation_variable(*given, most_per_unit=units.most_per_unit, **counted)
    return episode_variable(*given, **counted)
