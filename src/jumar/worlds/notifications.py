"""The founding world: should the owner of a page be notified now, or left alone?

In: rows and a seed. Out: logs of a production that notifies whoever will probably tap, and exact values.
The reward is what a visit was worth, 0 if nobody came. Many who tap would have come anyway, some of them
annoyed; others tap less often, but come only because they hear of requests, or of likes above their usual.
On request the log also says who tapped and who complained.
The command line, examples, benchmarks and tests import it, through ``jumar.worlds``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.worlds import base
from jumar.worlds.notifications_contexts import (
    CATEGORIES,
    COUNTRIES,
    DEVICES,
    TIMELY_TOPICS,
    draw_contexts,
)

pc: Any = pyarrow.compute  # its functions come into being on import, where no type checker sees them

HOLD, SEND = 0, 1
TAP_THRESHOLD = 0.5
METRICS = ("tapped", "complaint")
WORTH_CONCENTRATION = 4.0  # a + b of the Beta distribution of a visit's worth

# Offsets in logits, in the order of CATEGORIES: to come unasked, and for the visit to be worth much.
COME_BY_CATEGORY = np.array([0.15, 0.05, 0.25, -0.1, -0.05, -0.25, 0.1, -0.3])
WORTH_BY_CATEGORY = np.array([0.3, 0.1, 0.0, 0.25, -0.2, -0.1, 0.15, -0.3])
COME_BY_DEVICE = np.array([0.1, 0.2, -0.25, -0.1, -0.15])  # the last is "missing"
WORTH_BY_COUNTRY = 0.3 * np.cos(np.arange(len(COUNTRIES) + 1.0))  # no order among countries is meant


@dataclass(frozen=True)
class Notifications:
    """A week of decisions whether to notify page owners.

    Attributes:
        exploration: ε; with probability ε the action is drawn uniformly, so propensities are 1 − ε/2 and ε/2.
        variant: "founding": production follows the chance of a tap. "optimal": production is already the best
            policy that keeps ε, so there is nothing to gain. "indifferent": the reward does not depend on the action.
        persistent: a unit draws once and keeps its arm: its decisions share one uniform number, so that equal
            propensities give equal actions. Each propensity is right by itself, but a unit is only one draw.
        week: how many weeks later all of it happens. Another week of the same world has another seed as well, or it
            would hold the same decisions.

    Raises:
        OptionError: ``exploration`` outside [0, 1], or an unknown ``variant``.
    """

    exploration: float = 0.1
    variant: Literal["founding", "optimal", "indifferent"] = "founding"
    persistent: bool = False
    week: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.exploration <= 1:
            raise OptionError(
                "The exploration is a probability",
                example=self.exploration,
                remedy="Choose one within [0, 1].",
            )
        base.check_week(self.week)
        if self.variant not in ("founding", "optimal", "indifferent"):
            raise OptionError(
                "There is no such variant of this world",
                example=self.variant,
                remedy="Choose founding, optimal or indifferent.",
            )

    @property
    def actions(self) -> tuple[str, ...]:
        """("hold", "send"): the order of every action axis here."""
        return ("hold", "send")

    def contexts(self, rows: int, seed: int) -> pa.Table:
        """Draw decisions to be made.

        Args:
            rows: how many; a longer table with the same seed starts with the shorter one.
            seed: a whole number ≥ 0; units and decision ids of different seeds are different.

        Returns:
            17 feature columns and ``unit``, ``time``, ``decision_id``; see ``notifications_contexts``.
        """
        blocks = base.block_sizes(rows)
        return pa.concat_tables([draw_contexts(seed, block, self.week).slice(0, size) for block, size in blocks])

    def mean_reward(self, contexts: pa.Table) -> base.Floats:
        """E[reward | context, action], exact, shape [rows, 2], within [0, 1]."""
        come, worth = self._truth(_Columns(contexts))
        return come * worth

    def mean_metric(self, contexts: pa.Table, name: str) -> base.Floats:
        """Chance of a tap (``tapped``) or of a complaint (``complaint``), exact, shape [rows, 2]; 0 where held.

        Raises:
            OptionError: no such metric.
        """
        x = _Columns(contexts)
        if name == "tapped":
            after_send = self._tap(x, self._truth(x)[0][:, SEND])
        elif name == "complaint":
            after_send = complaint_probability(x)
        else:
            raise OptionError(
                "This world has no such metric", example=name, remedy=f"Choose one of {', '.join(METRICS)}."
            )
        return np.stack([np.zeros(len(after_send)), after_send], axis=1)

    def production(self, contexts: pa.Table) -> base.Floats:
        """The incumbent's probabilities, shape [rows, 2]: send above a chance of a tap, explore with ε."""
        if self.variant == "optimal":
            return self.best(contexts)
        return self._exploring(tap_probability(_Columns(contexts)) > TAP_THRESHOLD)

    def best(self, contexts: pa.Table) -> base.Floats:
        """Probabilities of the best policy that keeps the exploration, [rows, 2]; production's if all tie."""
        if self.variant == "indifferent":
            return self.production(contexts)
        mean_reward = self.mean_reward(contexts)
        return self._exploring(mean_reward[:, SEND] > mean_reward[:, HOLD])

    def log(self, rows: int, seed: int, policy: base.Policy | None = None, *, metrics: bool = False) -> pa.Table:
        """Contexts with ``action`` (string), ``propensity`` (exact) and ``reward`` (in [0, 1]).

        Args:
            rows: how many decisions; a longer log with the same seed starts with the shorter one.
            seed: a whole number ≥ 0.
            policy: who decides; production if None. Contexts of equal seeds are equal under every policy.
            metrics: add ``tapped`` and ``complaint``, 0 or 1; the other columns stay as they are. Who taps has come.
        """
        return pa.concat_tables(self._log_blocks(rows, seed, policy, metrics))

    def write(
        self,
        rows: int,
        seed: int,
        path: str | os.PathLike[str],
        policy: base.Policy | None = None,
        *,
        metrics: bool = False,
    ) -> None:
        """Write the rows of ``log`` as Parquet, block by block: memory stays the same for any number of rows.

        Raises:
            OutputError: the file cannot be written; then what stood at ``path`` still does.
        """
        schema = self.log(1, seed, policy, metrics=metrics).schema
        base.write_parquet(self._log_blocks(rows, seed, policy, metrics), schema, path)

    def value(
        self,
        pmf_function: base.Policy,
        rows: int = 1_000_000,
        seed: int = 20_260_302,
        *,
        metric: Literal["tapped", "complaint"] | None = None,
    ) -> float:
        """Mean reward per decision of a policy, exact over actions and rewards, averaged over contexts.

        Args:
            pmf_function: contexts to probabilities, [n, 2]; it is asked about one block at a time.
            rows: contexts averaged over; the standard error of the mean is about 0.18/√rows.
            seed: of the contexts; keep it away from the seeds of logs to judge on people never seen.
            metric: what to average instead of the reward.

        Raises:
            OptionError: the policy's answer is not one distribution per row.
        """
        total = 0.0
        for block, size in base.block_sizes(rows):
            contexts = draw_contexts(seed, block, self.week).slice(0, size)
            pmf = base.checked_pmf(pmf_function(contexts), size, len(self.actions))
            mean = self.mean_metric(contexts, metric) if metric else self.mean_reward(contexts)
            total += float((pmf * mean).sum())
        return total / rows

    def summary(self, rows: int = 200_000, seed: int = 20_260_302) -> base.Summary:
        """What production earns here, what could be earned, and how often each sends."""
        totals = np.zeros(2)
        rates = np.zeros((2, len(self.actions)))
        for block, size in base.block_sizes(rows):
            contexts = draw_contexts(seed, block, self.week).slice(0, size)
            pmfs = np.stack([self.production(contexts), self.best(contexts)])
            totals += (pmfs * self.mean_reward(contexts)).sum(axis=(1, 2))
            rates += pmfs.sum(axis=1)
        (production, best), rates = totals / rows, rates / rows
        return base.Summary(
            rows=rows,
            production_value=float(production),
            best_value=float(best),
            gain=float(best - production),
            relative_gain=float(best / production - 1),
            production_rates=tuple(rates[0].tolist()),
            best_rates=tuple(rates[1].tolist()),
        )

    def _exploring(self, send: NDArray[np.bool_]) -> base.Floats:
        """Greedy on ``send``, shape [rows], mixed with ε of a fair coin."""
        chosen, other = 1 - self.exploration / 2, self.exploration / 2
        return np.where(send[:, None], [other, chosen], [chosen, other])

    def _truth(self, x: _Columns) -> tuple[base.Floats, base.Floats]:
        """Chance to come and mean worth of a visit, both [rows, 2]."""
        come = come_unasked(x)
        worth = worth_of_visit(x)
        if self.variant == "indifferent":
            return np.stack([come, come], axis=1), np.stack([worth, worth], axis=1)
        come_notified = come + (1 - come) * persuasion(x)
        annoyed = 1 - annoyance(x)
        return np.stack([come, come_notified], axis=1), np.stack([worth, worth * annoyed], axis=1)

    def _tap(self, x: _Columns, come_notified: base.Floats) -> base.Floats:
        """Chance that a notification is tapped, [rows]: the incumbent's estimate, but who does not come cannot tap."""
        return np.minimum(tap_probability(x), come_notified)

    def _log_blocks(self, rows: int, seed: int, policy: base.Policy | None, metrics: bool) -> Iterator[pa.Table]:
        decide = policy or self.production
        for block, size in base.block_sizes(rows):
            # A block is drawn whole and then cut, or its outcomes would depend on where the log ends.
            contexts = draw_contexts(seed, block, self.week)
            pmf = base.checked_pmf(decide(contexts), contexts.num_rows, len(self.actions))
            rng = base.block_rng(seed, block, stream=1)
            draws = rng.random(len(pmf))
            if self.persistent:
                draws = draws[_first_of_unit(contexts)]
            action = (draws < pmf[:, SEND]).astype(np.int64)
            taken = np.arange(len(pmf)), action
            x = _Columns(contexts)
            come, worth = self._truth(x)
            came = rng.random(len(pmf)) < come[taken]
            mean = worth[taken]
            reward = came * rng.beta(WORTH_CONCENTRATION * mean, WORTH_CONCENTRATION * (1 - mean))
            names = pa.DictionaryArray.from_arrays(pa.array(action), pa.array(self.actions)).cast(pa.string())
            decided = {"action": names, "propensity": pa.array(pmf[taken]), "reward": pa.array(reward)}
            if metrics:
                # A stream of their own, so that the log is the same with and without them.
                chance = base.block_rng(seed, block, stream=2).random((2, len(pmf)))
                sent = action == SEND
                # Tapping is one way to come: among those who came, the share that makes the chance right.
                tapped = sent & came & (chance[0] * come[:, SEND] < self._tap(x, come[:, SEND]))
                complaint = sent & (chance[1] < complaint_probability(x))
                decided |= {"tapped": pa.array(tapped.astype(np.int64))}
                decided |= {"complaint": pa.array(complaint.astype(np.int64))}
            for name, column in decided.items():
                contexts = contexts.append_column(name, column)
            yield contexts.slice(0, size)


def _first_of_unit(contexts: pa.Table) -> NDArray[np.intp]:
    """For each row the position of its unit's first row, [rows]."""
    codes = contexts["unit"].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.unique(codes, return_index=True)[1][codes]


class _Columns:
    """The features as float arrays [rows], with the substitutes that this world gives to missing values."""

    def __init__(self, contexts: pa.Table) -> None:
        self.away = np.log1p(_numbers(contexts, "days_since_visit", 45.0))
        self.requests = np.log1p(_numbers(contexts, "requests_waiting"))
        self.messages = np.log1p(_numbers(contexts, "messages_unread"))
        likes = _numbers(contexts, "likes_week")
        usual = _numbers(contexts, "likes_usual_week", np.nan)
        usual = np.where(np.isnan(usual), likes, usual)  # a young page has no usual week to exceed
        self.surge = np.log((likes + 3) / (usual + 3))
        taps, sends = _numbers(contexts, "recent_taps"), _numbers(contexts, "recent_sends")
        self.sends = np.log1p(sends)
        self.tap_rate = (taps + 1) / (sends + 3)
        self.followers = np.log1p(_numbers(contexts, "followers", 100.0))
        self.age = np.log1p(_numbers(contexts, "page_age_days"))
        self.hour = _numbers(contexts, "hour")
        self.weekend = (_numbers(contexts, "weekday") >= 5).astype(np.float64)
        self.ads = _numbers(contexts, "has_ads", 0.3)
        self.category = _codes(contexts, "category", CATEGORIES)
        self.device = _codes(contexts, "device", DEVICES)
        self.country = _codes(contexts, "country", COUNTRIES)
        self.timely = _any_topic(contexts, TIMELY_TOPICS)

    @property
    def evening(self) -> base.Floats:
        """1 at 20:00, −1 at 8:00."""
        return np.cos((self.hour - 20) * (2 * np.pi / 24))

    @property
    def night(self) -> base.Floats:
        """Close to 1 from one to five in the morning, close to 0 in the day."""
        return _sigmoid(6 * (np.cos((self.hour - 3) * (2 * np.pi / 24)) - 0.75))


def tap_probability(x: _Columns) -> base.Floats:
    """The incumbent's own estimate of the chance that a notification is tapped, [rows]: habit, above all."""
    habit = 4.5 * (x.tap_rate - 0.35) - 0.15 * (x.away - 1.0)
    news = 0.7 * (x.requests - 0.35) + 0.4 * (x.messages - 0.25) + 0.3 * x.surge
    return _sigmoid(0.16 + habit + news + 0.15 * x.evening)


def come_unasked(x: _Columns) -> base.Floats:
    """Chance that the owner visits without being notified, [rows]: falls with the days away."""
    habit = 1.5 - 1.35 * x.away + 1.8 * (x.tap_rate - 0.35) + 0.25 * x.messages
    setting = 0.2 * x.evening - 0.15 * x.weekend + COME_BY_CATEGORY[x.category] + COME_BY_DEVICE[x.device]
    return _sigmoid(habit + setting)


def persuasion(x: _Columns) -> base.Floats:
    """Chance that a notification brings an owner who would have stayed away, [rows]."""
    gone = _sigmoid(3 * (x.away - 1.1)) * _sigmoid(2.5 * (3.4 - x.away))  # two days to a month away
    waiting = 1.4 * x.requests * (0.4 + gone)
    news = 1.8 * np.maximum(x.surge, 0) + 0.3 * x.messages + 0.35 * x.timely
    return 0.85 * _sigmoid(-3.6 + waiting + news + 0.5 * gone + 1.0 * (x.tap_rate - 0.35) - 1.0 * x.night)


def annoyance(x: _Columns) -> base.Floats:
    """Share of a visit's worth that a notification costs, [rows]: the active, the often told, at night."""
    here = _sigmoid(3 * (0.9 - x.away))
    return 0.03 + 0.13 * here + 0.08 * _sigmoid(2 * (x.sends - 2.0)) + 0.15 * x.night


def complaint_probability(x: _Columns) -> base.Floats:
    """Chance that a notification is complained about, [rows]: the often told, and at night."""
    return 0.002 + 0.02 * _sigmoid(2 * (x.sends - 2.2)) + 0.04 * x.night


def worth_of_visit(x: _Columns) -> base.Floats:
    """Mean worth of a visit without a notification, [rows], within (0, 1)."""
    page = 0.12 * (x.followers - 4.5) + 0.25 * x.ads + 0.05 * (x.age - 6)
    visit = 0.22 * x.requests + 0.15 * np.clip(x.surge, -1, 2)
    return _sigmoid(0.2 + page + visit + WORTH_BY_CATEGORY[x.category] + WORTH_BY_COUNTRY[x.country])


def _sigmoid(x: base.Floats) -> base.Floats:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _numbers(contexts: pa.Table, name: str, missing: float = 0.0) -> base.Floats:
    column = contexts[name].cast(pa.float64())
    return column.fill_null(missing).to_numpy()


def _codes(contexts: pa.Table, name: str, values: tuple[str, ...]) -> NDArray[np.intp]:
    """Positions in ``values``; one past the end for missing and for anything else."""
    found = pc.index_in(contexts[name].cast(pa.string()), value_set=pa.array(values))
    return found.fill_null(len(values)).to_numpy().astype(np.intp)


def _any_topic(contexts: pa.Table, wanted: tuple[int, ...]) -> base.Floats:
    """1.0 where the list of topics holds one of ``wanted``, [rows]."""
    topics = contexts["topics"]
    lengths = pc.list_value_length(topics).fill_null(0).to_numpy()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    hits = np.isin(pc.list_flatten(topics).cast(pa.int64()).to_numpy(), wanted)
    return np.minimum(np.bincount(owner, weights=hits, minlength=len(lengths)), 1.0)
