"""The sequential world: people lapse and return; a message today brings a visit, and messages drive people away.

In: rows or people and a seed. Out: logs of a production that messages whoever will probably tap, and the long-run
value of any policy. A message raises the chance of a visit on the same day. The load of earlier messages makes the
next ones weaker, visits rarer, and it more likely that a person opts out for ever. Whoever decides for today alone
sends too much.
The command line, examples, benchmarks and tests import it, through ``jumar.worlds``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.worlds import base
from jumar.worlds.reengagement_best import gain_of_sending
from jumar.worlds.reengagement_people import (
    BLOCK_PEOPLE,
    DAY_US,
    FEATURES,
    HOUR_US,
    START_US,
    Crowd,
    Day,
    Draws,
    Laws,
    People,
    Situation,
    live,
    pc,
    worth_of_visit,
)
from jumar.worlds.sequential import LongRun, mean_of

ACTIONS = ("hold", "send")
HOLD, SEND = 0, 1
TAP_THRESHOLD = 0.15
BLOCKS_AT_ONCE = 16  # of a simulation: a policy is asked about more people at once, and the memory stays small
SCHEMA = pa.schema(
    [
        ("decision_id", pa.string()),
        ("unit", pa.string()),
        ("time", pa.timestamp("us")),
        *((field.name, field.type) for field in FEATURES),
        ("action", pa.string()),
        ("propensity", pa.float64()),
        ("reward", pa.float64()),
        ("opted_out", pa.int64()),
        ("end", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Reengagement:
    """Daily decisions whether to message people, each for some weeks or until they opt out.

    Attributes:
        exploration: ε; with probability ε the action is drawn uniformly, so propensities are 1 − ε/2 and ε/2.
        variant: "founding": production follows the chance of a tap. "optimal": production is already ``best`` at a
            discount of 0.95, but for its exploration. "indifferent": messages do nothing, now or later.
        days: how long a person is logged, unless they opt out; the log ends then, the person does not.
        week: how many weeks later all of it happens. Another week has another seed as well, or it would hold the
            same decisions.

    Raises:
        OptionError: ``exploration`` outside [0, 1], an unknown ``variant``, or no day at all.
    """

    exploration: float = 0.2
    variant: Literal["founding", "optimal", "indifferent"] = "founding"
    days: int = 30
    week: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.exploration <= 1:
            raise OptionError(
                "The exploration is a probability", example=self.exploration, remedy="Choose one within [0, 1]."
            )
        base.check_week(self.week)
        if self.variant not in ("founding", "optimal", "indifferent"):
            raise OptionError(
                "There is no such variant of this world",
                example=self.variant,
                remedy="Choose founding, optimal or indifferent.",
            )
        if self.days < 1:
            raise OptionError("People are followed for one day or more", example=self.days, remedy="Pass days ≥ 1.")

    @property
    def actions(self) -> tuple[str, ...]:
        """("hold", "send"): the order of every action axis here."""
        return ACTIONS

    @property
    def laws(self) -> Laws:
        """What happens on a day, exactly."""
        return Laws(inert=self.variant == "indifferent")

    def mean_reward(self, contexts: pa.Table) -> base.Floats:
        """E[reward of the day | context, action], exact, shape [rows, 2], within [0, 1]; later days are not in it."""
        x = Situation.of(contexts)
        worth = worth_of_visit(x.segment, contexts["tenure_days"].to_numpy())
        return self.laws.come(x) * self.laws.worth(x) * worth[:, None]

    def production(self, contexts: pa.Table) -> base.Floats:
        """The incumbent's probabilities, shape [rows, 2]: send above a low chance of a tap, explore with ε."""
        if self.variant == "optimal":
            return self.exploration / 2 + (1 - self.exploration) * self.best(contexts)
        return _send_where(contexts["predicted_tap"].to_numpy() > TAP_THRESHOLD, self.exploration)

    def greedy(self, contexts: pa.Table) -> base.Floats:
        """Whatever has the greater ``mean_reward``, [rows, 2]: the best of all policies at a discount of 0."""
        mean_reward = self.mean_reward(contexts)
        return self._sending(contexts, mean_reward[:, SEND] > mean_reward[:, HOLD])

    def best(self, contexts: pa.Table, discount: float = 0.95) -> base.Floats:
        """The best policy known for the long run, shape [rows, 2], without exploration.

        Dynamic programming on a grid of the world's own laws, with the hidden trait at its mean. It sees nothing but
        the features, so it can be reached; it is not proved to be optimal for people whose skins differ.

        Raises:
            OptionError: ``discount`` outside [0, 1).
        """
        return self._sending(contexts, gain_of_sending(Situation.of(contexts), _checked_discount(discount)) > 0)

    def log(self, rows: int, seed: int, policy: base.Policy | None = None) -> pa.Table:
        """Decisions ordered by person and time.

        Args:
            rows: how many; a longer log with the same seed starts with the shorter one. Its last person may be cut.
            seed: a whole number ≥ 0; people and decision ids of different seeds are different.
            policy: who decides; production if None. The people of equal seeds are equal under every policy.

        Returns:
            ``decision_id``, ``unit``, ``time``; 13 features, known before the decision; ``action`` (string),
            ``propensity`` (exact), ``reward`` (in [0, 1]: the worth of the day's visit, 0 without one); ``opted_out``
            (0 or 1) and ``end`` (the same as a boolean): after this decision the person is gone for ever.
            A person without an ``end`` was still there when the log was closed.
        """
        return pa.concat_tables(self._log_blocks(rows, seed, policy))

    def write(self, rows: int, seed: int, path: str | os.PathLike[str], policy: base.Policy | None = None) -> None:
        """Write the rows of ``log`` as Parquet, block by block: memory stays the same for any number of rows.

        Raises:
            OutputError: the file cannot be written; then what stood at ``path`` still does.
        """
        base.write_parquet(self._log_blocks(rows, seed, policy), SCHEMA, path)

    def simulate(
        self, policy: base.Policy, people: int, seed: int, *, discount: float = 0.95, days: int = 120
    ) -> LongRun:
        """Follow people from their first day on and add up what a policy brings.

        Args:
            policy: any function of the features; it is asked once a day about everybody who is still here.
            people: how many; the same seed draws the same people, on the same days with the same chance, for every
                policy, so that differences are far more exact than values (``LongRun.gain_over``).
            seed: a whole number ≥ 0; equal seeds mean the people of ``log``.
            discount: γ, what a day counts against the one before it.
            days: how long; what comes after 120 days counts 0.2% at a discount of 0.95.

        Raises:
            OptionError: an argument outside its range, or an answer that is not one distribution per row.
        """
        _checked_discount(discount)
        if people < 1 or days < 1:
            raise OptionError(
                "A simulation needs people and days",
                example=min(people, days),
                remedy="Pass people ≥ 1 and days ≥ 1.",
            )
        blocks = range(-(-people // BLOCK_PEOPLE))
        groups = [blocks[i : i + BLOCKS_AT_ONCE] for i in range(0, len(blocks), BLOCKS_AT_ONCE)]
        totals = np.zeros((5, people))
        for group in groups:
            here = slice(group.start * BLOCK_PEOPLE, min(group.stop * BLOCK_PEOPLE, people))
            followed = totals[:, here]
            for day, (_, _, came) in enumerate(self._days(seed, group, days, policy)):
                figures = (discount**day * came.reward, came.visited, came.sent, came.left, came.decided)
                followed += np.stack([figure[: followed.shape[1]] for figure in figures])
        returns, visits, messages, left, decisions = totals
        return LongRun(
            people=people,
            days=days,
            discount=discount,
            value=mean_of(returns),
            visits=mean_of(visits),
            messages=mean_of(messages),
            opted_out=mean_of(left),
            decisions=mean_of(decisions),
            returns=returns,
        )

    def _sending(self, contexts: pa.Table, send: NDArray[np.bool_]) -> base.Floats:
        """Send there and nowhere else; or leave it to production where all policies are worth the same."""
        return self.production(contexts) if self.variant == "indifferent" else _send_where(send, 0.0)

    def _days(
        self, seed: int, blocks: range, days: int, policy: base.Policy
    ) -> Iterator[tuple[People, _Decisions, Day]]:
        """Everybody in the morning, what is decided about those who are here, and what comes of it, day by day."""
        crowd = Crowd(seed, blocks)
        people = crowd.start
        for _ in range(days):
            if not people.here.any():
                return
            draws = crowd.draws()
            contexts = people.features(draws.hour)
            pmf = base.checked_pmf(policy(contexts), contexts.num_rows, len(self.actions))
            chance = np.zeros(len(people.here))
            chance[people.here] = pmf[:, SEND]
            tomorrow, day = live(people, self.laws, draws.action < chance, draws)
            yield people, _Decisions(contexts, pmf, draws), day
            people = tomorrow

    def _log_blocks(self, rows: int, seed: int, policy: base.Policy | None) -> Iterator[pa.Table]:
        if rows < 1:
            raise OptionError("A world was asked for fewer than one row", example=rows, remedy="Ask for rows ≥ 1.")
        block = 0
        while rows > 0:
            # A block is simulated whole and then cut, or its chance would depend on where the log ends.
            table = self._log_block(seed, block, policy or self.production).slice(0, rows)
            yield table
            rows, block = rows - table.num_rows, block + 1

    def _log_block(self, seed: int, block: int, policy: base.Policy) -> pa.Table:
        days = self._days(seed, range(block, block + 1), self.days, policy)
        table = pa.concat_tables([_logged(*one, self.week) for one in days]).sort_by(
            [("person", "ascending"), ("day", "ascending")]
        )
        person, day = (table[name].cast(pa.string()) for name in ("person", "day"))
        named = table.append_column("unit", pc.binary_join_element_wise(f"person{seed}", person, "-"))
        named = named.append_column("decision_id", pc.binary_join_element_wise(f"d{seed}", person, day, "-"))
        return named.select(SCHEMA.names).combine_chunks()


class _Decisions(NamedTuple):
    """What was decided in a morning about those who were still here."""

    contexts: pa.Table
    pmf: base.Floats
    draws: Draws


def _logged(people: People, decided: _Decisions, day: Day, week: int) -> pa.Table:
    """One day's rows of the log, with numbers in place of names."""
    contexts, pmf, draws = decided
    here = people.here
    action = day.sent[here].astype(np.int64)
    calendar = (people.start[here] + people.day + 7 * week) * DAY_US
    moment = START_US + calendar + ((draws.hour[here] + draws.moment[here]) * HOUR_US).astype(np.int64)
    left = day.left[here]
    columns = {
        "person": pa.array(people.number[here]),
        "day": pa.array(np.full(len(action), people.day)),
        "time": pa.array(moment, pa.timestamp("us")),
        "action": pa.array(ACTIONS).take(pa.array(action)),
        "propensity": pa.array(pmf[np.arange(len(action)), action]),
        "reward": pa.array(day.reward[here]),
        "opted_out": pa.array(left.astype(np.int64)),
        "end": pa.array(left),
    }
    for name, column in columns.items():
        contexts = contexts.append_column(name, column)
    return contexts


def _send_where(send: NDArray[np.bool_], exploration: float) -> base.Floats:
    """Greedy on ``send``, shape [rows], mixed with ε of a fair coin."""
    chosen, other = 1 - exploration / 2, exploration / 2
    return np.where(send[:, None], [other, chosen], [chosen, other])


def _checked_discount(discount: float) -> float:
    if not 0 <= discount < 1:
        raise OptionError(
            "A discount lies between 0 and 1", example=discount, remedy="Choose one within [0, 1), such as 0.95."
        )
    return discount
