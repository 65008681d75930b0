"""Audits of importance weights: may the logged propensities be believed, and how far does a policy
deviate?

In: w = π(a|x)/μ(a|x) of every candidate, propensities and actions of logged rows, in any order and any
shards. Out: Deviation records and Findings in words. The gate imports this module.

If propensities are right, w and 1{a}/μ average to at most 1, and to exactly 1 where each action was
possible. Capital bets against both, for every candidate and for every action; the average of such
capitals is again a capital, so one family of bets alarms falsely with probability ≤ 1/100 however many
members it has. Weight that is too large needs no bound (y = w − 1 ≥ −1). For weight that is missing no
test exists without one, as a single huge weight may hide anywhere: w is cut at a bound from TRAIN.
Cutting can only add to that alarm, so it errs towards refusing, and rows beyond the bound are counted
aloud.

Weights may be right on average and wrong exactly where rewards are high, as when a feature was filled after the
fact or propensities are stale. So capital also bets on (w − 1)·v and (w − 1)·(1 − v), where v in [0, 1] is the value
that the policy's own model predicts for the context: the direction in which wrong weights pass for a gain. If the
propensities are right given the features, both average to at most 0 and never fall below −1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.along import AlongAudit
from jumar.evaluate.capital import Bets, Capital, Floats, log_sum_exp
from jumar.evaluate.certificate import Deviation, Finding
from jumar.evaluate.claims import UnitRows
from jumar.evaluate.plan import GatePlan
from jumar.evaluate.sequence import LEAST_ESS

ALARM = math.log(100.0)
# Missing weight lowers the estimated gain, so below this it is worth a warning and not a refusal.
MATERIAL_DEFICIT = 0.02
UNTRIED_MASS = 0.01
_TOP = 10

Figures: TypeAlias = dict[str, float | int | str | list[float] | dict[str, float] | None]
_POLICY_BETS = 16
_ACTION_BETS = 8
_MOST_ACTIONS_BY_UNIT = 64  # beyond, single actions are not bet on where evidence is by unit


def _audit_bets(count: int, bound: float) -> Bets:
    """Bets for any number of rows: a row of powers from 2⁻¹⁸ to 0.9, all believed alike."""
    return Bets(np.geomspace(2.0**-18, 0.9, count) / bound, np.full(count, -math.log(count)), bound)


class WeightAudit:
    """Additive sums over logged rows; the state does not grow with the rows.

    Args:
        plan: the gate's plan: candidates, their weight bounds, actions, the floor of propensities.
    """

    def __init__(self, plan: GatePlan) -> None:
        self.plan = plan
        candidates, actions = len(plan.candidates), len(plan.supported)
        self.weight_bound = np.array([one.weight_bound for one in plan.candidates])
        self.action_bound = max(2.0 / plan.propensity_floor, 2.0)
        self.rows = self.pieces = 0
        self.moments = np.zeros((3, candidates))  # Σw, Σ(1 − w)⁺, Σ w·log w over rows
        self.spread = np.zeros((2, candidates))  # Σw, Σw² over pieces of evidence: rows, or means over a unit's places
        self.largest = np.zeros(candidates)
        self.beyond = 0
        self.too_much = Capital([_audit_bets(_POLICY_BETS, 1.0)] * candidates)
        self.guided = [Capital([_audit_bets(_POLICY_BETS, 1.0)] * candidates) for _ in range(2)]
        self.guided_moments = np.zeros((2, candidates + 1))  # Σ(w − 1)·v of each candidate and Σv; the same of 1 − v
        self.too_little = Capital([_audit_bets(_POLICY_BETS, bound - 1.0) for bound in self.weight_bound])
        # Per action: rows, Σ 1/μ, and the growth of its bets on the pieces that were gone through; on all others
        # 1{a}/μ − 1 = −1, which is added when the capital is asked for.
        self.action_rows = np.zeros(actions, dtype=np.int64)
        self.action_pieces = np.zeros(actions, dtype=np.int64)
        self.action_inverse = np.zeros(actions)
        self.action_growth = np.zeros((2, actions, _ACTION_BETS))
        self.untried = np.zeros(candidates)
        self.untried_known = True
        self.smallest_propensity, self.uncertain_rows = 1.0, 0
        self.top = np.full((candidates, _TOP), -1.0)  # the ten largest d of each candidate
        self.along = None if plan.timeline is None else AlongAudit([_audit_bets(_POLICY_BETS, 1.0)] * candidates)

    def update(
        self,
        w: Floats,
        d: Floats,
        propensity: Floats,
        action: NDArray[np.integer],
        untried: Floats | None,
        value: Floats | None = None,
        fold: Callable[[Floats], Floats] | None = None,
        units: UnitRows | None = None,
    ) -> None:
        """Adds rows that were found valid.

        Args:
            w: [rows, K] importance weights.
            d: [pieces, K] contributions to the gate.
            propensity: [rows].
            action: [rows] indices.
            untried: [rows, K] mass on actions that TRAIN does not hold; None when unknown.
            value: [rows] predicted value of each context in [0, 1]; None when unknown.
            fold: from values of rows to values of pieces of evidence; None where they are the same.
            units: how the rows follow each other, where returns are claimed.
        """
        as_pieces = fold or (lambda values: values)
        self.too_much.update(as_pieces(w - 1.0))
        v = np.full(w.shape[0], 0.5) if value is None else value
        for side, part in enumerate((v, 1.0 - v)):
            y = (w - 1.0) * part[:, None]
            self.guided[side].update(as_pieces(y))
            self.guided_moments[side] += [*y.sum(axis=0), part.sum()]
        if self.along is not None and units is not None:
            self.along.update(w, units, v)
        cut = np.minimum(w, self.weight_bound)
        self.too_little.update(as_pieces(1.0 - cut))
        self.beyond += int(np.count_nonzero((w > self.weight_bound).any(axis=1)))
        entropy = w * np.log(np.maximum(w, np.finfo(np.float64).tiny))
        self.moments += [w.sum(axis=0), np.maximum(1.0 - w, 0.0).sum(axis=0), entropy.sum(axis=0)]
        means = as_pieces(w)
        self.spread += [means.sum(axis=0), np.square(means).sum(axis=0)]
        self.largest = np.maximum(self.largest, w.max(axis=0))
        self.action_rows += np.bincount(action, minlength=self.action_rows.size)
        self.action_inverse += np.bincount(action, 1.0 / propensity, minlength=self.action_rows.size)
        if self.plan.evidence == "decision":
            self._actions(propensity, action)
        else:
            self._actions_by_unit(propensity, action, as_pieces)
        self.untried_known &= untried is not None
        if untried is not None:
            self.untried += untried.sum(axis=0)
        self.smallest_propensity = min(self.smallest_propensity, float(propensity.min()))
        self.uncertain_rows += int(np.count_nonzero(propensity < 1.0 - 1e-9))
        for k in range(self.top.shape[0]):
            new = d[d[:, k] > self.top[k, 0], k]
            if new.size:
                self.top[k] = np.sort(np.concatenate([self.top[k], new]))[-_TOP:]
        self.rows += w.shape[0]
        self.pieces += means.shape[0]

    def _actions_by_unit(
        self, propensity: Floats, action: NDArray[np.integer], as_pieces: Callable[[Floats], Floats]
    ) -> None:
        actions = self.action_rows.size
        if actions <= _MOST_ACTIONS_BY_UNIT:
            inverse = (action[:, None] == np.arange(actions)) / propensity[:, None]
            cut = np.minimum(inverse, self.action_bound)
            for side, (y, bets) in enumerate(zip((inverse - 1.0, 1.0 - cut), self._action_bets, strict=True)):
                pieces = as_pieces(y)
                for j, bet in enumerate(bets.fractions):
                    self.action_growth[side, :, j] += np.log1p(bet * pieces).sum(axis=0)
        self.action_pieces += as_pieces(np.ones(action.size)).size

    def _actions(self, propensity: Floats, action: NDArray[np.integer]) -> None:
        actions = self.action_rows.size
        inverse = 1.0 / propensity
        self.action_pieces += np.bincount(action, minlength=actions)
        cut = np.minimum(inverse, self.action_bound)
        for side, (y, bets) in enumerate(zip((inverse - 1.0, 1.0 - cut), self._action_bets, strict=True)):
            for j, bet in enumerate(bets.fractions):
                self.action_growth[side, :, j] += np.bincount(action, np.log1p(bet * y), minlength=actions)

    @property
    def _action_bets(self) -> tuple[Bets, Bets]:
        return _audit_bets(_ACTION_BETS, 1.0), _audit_bets(_ACTION_BETS, self.action_bound - 1.0)

    def __add__(self, other: WeightAudit) -> WeightAudit:
        """Both shards."""
        total = WeightAudit(self.plan)
        for name in ("rows", "pieces", "moments", "spread", "beyond", "action_rows", "action_pieces", "action_inverse",
                     "action_growth", "untried", "uncertain_rows", "too_much", "too_little"):  # fmt: skip
            setattr(total, name, getattr(self, name) + getattr(other, name))
        total.guided = [a + b for a, b in zip(self.guided, other.guided, strict=True)]
        if self.along is not None and other.along is not None:
            total.along = self.along + other.along
        total.guided_moments = self.guided_moments + other.guided_moments
        total.largest = np.maximum(self.largest, other.largest)
        total.untried_known = self.untried_known and other.untried_known
        total.smallest_propensity = min(self.smallest_propensity, other.smallest_propensity)
        total.top = np.sort(np.concatenate([self.top, other.top], axis=1), axis=1)[:, -_TOP:]
        return total

    def deviation(self, k: int) -> Deviation:
        """How far candidate k is from production on these rows."""
        _, changed, entropy = self.moments[:, k]
        rows = max(self.rows, 1)
        return Deviation(
            # E[w·log w] may round to −1e-17 for a policy that equals production.
            kl=max(float(entropy) / rows, 0.0),
            changed=float(changed) / rows,
            ess=self._ess(k) if self.along is None else self.along.ess(k),
            max_weight=float(self.largest[k]),
        )

    def _ess(self, k: int) -> float:
        sum_w, squares = self.spread[:, k]
        return float(sum_w**2 / squares) if squares > 0 else 0.0

    def action_log_capital(self) -> Floats:
        """[2, actions] log capital that the inverse propensities of an action are too large, too small."""
        rest = (self.pieces - self.action_pieces)[:, None]
        values = np.zeros((2, self.action_rows.size))
        for side, (sign, bets) in enumerate(zip((-1.0, 1.0), self._action_bets, strict=True)):
            sums = self.action_growth[side] + rest * np.log1p(sign * bets.fractions) + bets.log_prior
            values[side] = [log_sum_exp(one) for one in sums]
        return values

    def findings(self, actions: Sequence[str] | None = None) -> list[Finding]:
        """All audits that concern the log as a whole.

        Args:
            actions: names to use in sentences; indices otherwise.
        """
        names = [str(one) for one in (actions or range(self.action_rows.size))]
        if self.rows == 0:
            return [Finding(name="rows", verdict="blocked", sentence="The gate has seen no rows.")]
        found = [self._exploration()]
        if self.uncertain_rows > 0:
            found += [self._excess(names), self._deficit(names)]
        return [*found, self._range_of_propensities()]

    def _exploration(self) -> Finding:
        share = self.uncertain_rows / self.rows
        figures: Figures = {"share_of_rows": share, "smallest_propensity": self.smallest_propensity}
        if self.uncertain_rows == 0:
            sentence = (
                "Every logged decision was certain (propensity 1), so the log cannot say what any other "
                "decision would have brought."
            )
            return Finding(name="exploration", verdict="blocked", sentence=sentence, figures=figures)
        sentence = f"In {share:.0%} of the decisions production could have decided otherwise."
        return Finding(name="exploration", verdict="ok", sentence=sentence, figures=figures)

    def _alarm(self, policy: Floats, action: Floats) -> tuple[bool, float]:
        """Half of the stake is on policies and half on actions; the average of capitals is a capital."""
        stakes = [policy - math.log(2.0 * policy.size), action - math.log(2.0 * action.size)]
        value = log_sum_exp(np.concatenate(stakes))
        return value >= ALARM, value

    def _excess(self, names: list[str]) -> Finding:
        policy, action = self.too_much.log_value, self.action_log_capital()[0]
        guided = np.stack([capital.log_value for capital in self.guided])
        alarm, value = self._alarm(np.concatenate([policy, *guided]), action)
        figures: Figures = {"log_capital": value, "alarm_at": ALARM}
        if not alarm:
            sentence = (
                "No sign that logged propensities are too small, nor that they are where rewards are high or low."
            )
            return Finding(name="weights too large", verdict="ok", sentence=sentence, figures=figures)
        if float(guided.max()) > max(float(policy.max()), float(action.max())):
            side, k = np.unravel_index(int(np.argmax(guided)), guided.shape)
            off = float(self.guided_moments[side, k] / max(float(self.guided_moments[side, -1]), 1e-300))
            where = f"where the reward is expected to be {('high', 'low')[side]}"
        else:
            where, off = self._worst(policy, action, names)
        sentence = (
            f"The logged propensities cannot be right: {where}, they are too small by about {off:.1%}, which "
            "would make a policy look better than it is. Or a feature knows what came after the decision."
        )
        verdict = "warning" if self.plan.estimated_propensities else "blocked"
        figures["misstated"] = off
        return Finding(name="weights too large", verdict=verdict, sentence=sentence, figures=figures)

    def _deficit(self, names: list[str]) -> Finding:
        policy, action = self.too_little.log_value, self.action_log_capital()[1]
        alarm, value = self._alarm(policy, action)
        figures: Figures = {"log_capital": value, "alarm_at": ALARM}
        if not alarm:
            sentence = "No sign that logged propensities are too large, or that decisions are missing."
            return Finding(name="weights too small", verdict="ok", sentence=sentence, figures=figures)
        where, off = self._worst(policy, action, names)
        figures["misstated"] = off
        sentence = (
            "Decisions are missing from the log, or were not always possible, or their propensities are too "
            f"large: {where}, about {-off:.1%} of the weight is absent. Propensities that are too large make a "
            "policy look worse; missing decisions may flatter it."
        )
        return Finding(name="weights too small", verdict="warning", sentence=sentence, figures=figures)

    def _worst(self, policy: Floats, action: Floats, names: list[str]) -> tuple[str, float]:
        """Where the alarm is, and how far the mean there is from 1.

        It is put down to one action where some but not all actions would raise it by themselves.
        """
        loud = int(np.count_nonzero(action >= ALARM + math.log(2.0 * action.size)))
        a, k = int(np.argmax(action)), int(np.argmax(policy))
        if 0 < loud < action.size:
            return f"for action '{names[a]}'", float(self.action_inverse[a]) / self.rows - 1.0
        return "over all actions that a policy would take", float(self.moments[0, k]) / self.rows - 1.0

    def _range_of_propensities(self) -> Finding:
        figures: Figures = {"rows_beyond": self.beyond, "smallest_propensity": self.smallest_propensity}
        if self.beyond == 0:
            sentence = "Weights stay within the range that was seen before the gate."
            return Finding(name="range of weights", verdict="ok", sentence=sentence, figures=figures)
        sentence = (
            f"{self.beyond:,} rows carry larger weights than anything seen before the gate; the audits count "
            "them as if they were at its edge, which can only make them stricter."
        )
        return Finding(name="range of weights", verdict="warning", sentence=sentence, figures=figures)

    def of_candidate(self, k: int, bet: float, growth: float, actions: Sequence[str] | None = None) -> list[Finding]:
        """The audits that concern candidate k alone; a blocked one keeps k from being released.

        Args:
            k: candidate.
            bet: the bet that holds most of its capital.
            growth: Σ log(1 + bet·d) over all rows.
            actions: names to use in sentences; indices otherwise.
        """
        names = [str(one) for one in (actions or range(self.action_rows.size))]
        found = [*self._concentration(k, bet, growth), self._support(k, names)]
        if self.along is not None:
            found.append(self.along.finding(k, ALARM))
        missing = 1.0 - float(self.moments[0, k]) / max(self.rows, 1)
        loud = float(self.too_little.log_value[k]) >= ALARM + math.log(2.0 * self.largest.size)
        # A doubly-robust variable does not err downwards where weight is missing, so any certain loss of it blocks.
        robust = any(one.wagers[k].kappa is not None for one in self.plan.claims)
        if loud and (robust or missing >= MATERIAL_DEFICIT) and not self.plan.estimated_propensities:
            sentence = (
                f"In about {missing:.1%} of the decisions this policy would do what production never does "
                "there, or propensities are logged too large; what that brings cannot be known."
            )
            figures: Figures = {"candidate": k, "missing": missing}
            found.append(Finding(name="missing weight", verdict="blocked", sentence=sentence, figures=figures))
        return found

    def _support(self, k: int, names: list[str]) -> Finding:
        untried = [name for name, known in zip(names, self.plan.supported, strict=True) if not known]
        if not untried:
            sentence = "Every action has been tried in the training rows."
            return Finding(name="support", verdict="ok", sentence=sentence)
        listed = ", ".join(untried[:5]) + (", …" if len(untried) > 5 else "")
        if not self.untried_known:
            sentence = f"Some actions were never tried ({listed}); how much they would be used was not measured."
            return Finding(name="support", verdict="warning", sentence=sentence)
        share = float(self.untried[k]) / max(self.rows, 1)
        figures: Figures = {"candidate": k, "share": share}
        if share == 0.0:
            sentence = "The policy uses no action that was never tried."
            return Finding(name="support", verdict="ok", sentence=sentence, figures=figures)
        sentence = (
            f"{share:.1%} of the decisions would be actions that were never tried in the training rows "
            f"({listed}); nothing is known about what they bring."
        )
        verdict = "blocked" if share > UNTRIED_MASS else "warning"
        return Finding(name="support", verdict=verdict, sentence=sentence, figures=figures)

    def _concentration(self, k: int, bet: float, growth: float) -> list[Finding]:
        """Does candidate k rest on a handful of rows?

        Fewer than fifty effective rows block: the capital would still be right if every propensity is, but fifty
        is too few for the audits above to notice that some are not. A large share of the ten best rows only warns:
        it is ordinary near the threshold, where single explored rows are worth half a nat of the seven.
        """
        deviation, top = self.deviation(k), self.top[k]
        best = float(np.log1p(bet * top[top > 0]).sum())
        share = best / growth if growth > 0 else None
        figures: Figures = {"candidate": k, "ess": deviation.ess, "top_ten_share": share}
        found = []
        if not deviation.ess >= LEAST_ESS:
            sentence = (
                f"The evidence for this policy amounts to about {deviation.ess:.0f} rows, fewer than "
                f"{LEAST_ESS:.0f}: a few heavy rows decide everything."
            )
            found.append(Finding(name="effective rows", verdict="blocked", sentence=sentence, figures=figures))
        if share is not None and share > 0.5:
            sentence = f"Ten rows carry {min(share, 1.0):.0%} of the evidence for this policy."
            found.append(Finding(name="dominating rows", verdict="warning", sentence=sentence, figures=figures))
        if not found:
            sentence = f"The evidence for this policy is spread over {deviation.ess:,.0f} effective rows."
            found.append(Finding(name="effective rows", verdict="ok", sentence=sentence, figures=figures))
        return found
