"""One version of a policy, ready to decide: the same decision always comes out the same.

In: contexts as columns, units, decision ids. Out: ``Decided``: actions, exact propensities, pmfs, and the rows of the
decision log. The service and its batch twin, the loop, decide through this and through nothing else.

What is drawn follows from the decision id, the salt and the version alone; what it is drawn from follows from the
context, the candidates and, for budget, from the unit's count. A row that cannot be scored falls back to a fixed action
with probability one, says why, and is logged like any other.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.errors import OptionError
from jumar.features.plain import PlainReader, float_of
from jumar.features.raw import Blocks, read_blocks
from jumar.logs.schema import Action
from jumar.policy.artifact import Policy
from jumar.policy.exploration import Exploration, Floats, Mask, Scores, greedy, odds, random_turns, restricted
from jumar.policy.graph import MEMBERS
from jumar.policy.sampling import draw, hash_key, uniforms
from jumar.serve.contexts import ContextReader
from jumar.serve.journal.sink import decisions_schema

Contexts = pa.RecordBatch | Mapping[str, Sequence[Any]]
DAY_US = 86_400_000_000
AS_CERTIFIED = Exploration()


@dataclass(frozen=True)
class Decided:
    """Decisions about some rows, in their order.

    Attributes:
        ids, units: as given.
        actions: what was decided.
        propensity: [rows] of it.
        pmf: [rows, actions], in the order of the policy's actions.
        policy: the version that decided.
        exploration: how, for each row; budget also says which decision of its unit and day it counted.
        faults: why a row fell back, None where it did not.
    """

    ids: Sequence[str]
    units: Sequence[str | None]
    actions: Sequence[Action]
    propensity: Floats
    pmf: Floats
    policy: str
    exploration: Sequence[str]
    faults: Sequence[str | None]

    def columns(self, contexts: Mapping[str, Sequence[Any]], times: Sequence[int]) -> dict[str, Sequence[Any]]:
        """Rows of the decision log as plain columns.

        Args:
            contexts: the features' columns, null where a context did not fit.
            times: microseconds since 1970, UTC.
        """
        return {
            "decision_id": self.ids,
            "unit": self.units,
            "time": times,
            "action": self.actions,
            "propensity": self.propensity.tolist(),
            "pmf": self.pmf.tolist(),
            "policy": [self.policy] * len(self.ids),
            "exploration": self.exploration,
            "fallback": [fault is not None for fault in self.faults],
            "fallback_reason": self.faults,
            **contexts,
        }

    def record_batch(self, contexts: pa.RecordBatch, times: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
        """The same from Arrow columns, in the schema of the decider."""
        offsets = pa.array(np.arange(len(self.pmf) + 1, dtype=np.int32) * self.pmf.shape[1])
        made: dict[str, Any] = dict(self.columns({}, []))
        made |= dict(zip(contexts.schema.names, contexts.columns, strict=True))
        made |= {"time": times, "pmf": pa.ListArray.from_arrays(offsets, pa.array(self.pmf.reshape(-1)))}
        arrays = [
            made[field.name].cast(field.type)
            if isinstance(made[field.name], pa.Array)
            else pa.array(made[field.name], field.type)
            for field in schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


class Decider:
    """Decides by one policy.

    Args:
        policy: what decides.
        exploration: how it explores.
        salt: what distinguishes these draws from any others; whoever does not know it cannot foresee one.
        version: of the policy, as logged; by default its name.
        default: the action to fall back to; by default the one that production is likeliest to take when nothing is
            known of the context.

    Attributes:
        schema: of the rows of the decision log.
        reader: of contexts in JSON.

    Raises:
        OptionError: a default action that the policy does not know, or a floor that so many actions cannot have.
        PolicyError: the graph cannot be run, or lacks what the exploration asks for.
        JournalError: a feature is named like a column of the decision log.
    """

    def __init__(
        self,
        policy: Policy,
        exploration: Exploration = AS_CERTIFIED,
        salt: str = "",
        *,
        version: str = "",
        default: Action | None = None,
    ) -> None:
        card = policy.card
        exploration.check(len(card.actions))
        self.policy, self.exploration, self.salt = policy, exploration, salt
        self.version = version or policy.name
        self.actions = list(card.actions)
        self.places = {(type(action), action): place for place, action in enumerate(self.actions)}
        self.reader = ContextReader(card.log_schema)
        self.schema = decisions_schema(pa.array(self.actions).type, self.reader.features)
        self._plain, self._spec = PlainReader(card.features), card.features
        texts = {field.name for field in self.reader.features if pa.types.is_string(field.type)}
        self._spelt = texts & {column.name for column in card.features.numbers}
        self._outputs = exploration.outputs
        self._scorer = policy.scorer(*self._outputs)
        self._minimum = np.asarray(card.minimum, np.float64)
        self._charge = card.price * np.asarray(card.costs or [0.0] * len(self.actions), np.float64)
        self._key = hash_key("draw", salt, self.version)
        self.default = self._likeliest() if default is None else self._known(default)

    def decide(
        self,
        contexts: Contexts,
        units: Sequence[str | None],
        ids: Sequence[str],
        *,
        allowed: Mask | None = None,
        faults: Sequence[str | None] | None = None,
        counts: Sequence[int] | None = None,
        day: datetime.date | None = None,
    ) -> Decided:
        """Decide about rows.

        Args:
            contexts: the features' columns: plain values as ``reader`` gives them, or Arrow in the types of
                ``reader.features``.
            units: who each decision is about.
            ids: of the decisions.
            allowed: [rows, actions] candidates; each row must have one. None: all actions.
            faults: why a row must fall back, None where it need not.
            counts: for budget: which decision of the unit and day each row is, from 1; 0 where it must not be random.
            day: for budget: the date of the rows, UTC.

        Returns:
            The decisions. A failure of the graph is not raised: the rows fall back.
        """
        rows = len(ids)
        reasons: list[str | None] = list(faults) if faults is not None else [None] * rows
        pmf, action = np.zeros((rows, len(self.actions))), np.zeros(rows, np.int64)
        drawn, chance = self._turns(units, counts, day)
        try:
            scores = self.scores(contexts, rows)
            pmf = self.exploration.pmf(scores, allowed, chance)
            source = pmf
            if self.exploration.turns:
                own = restricted(scores.pmf, allowed)
                explores = drawn == np.asarray(counts if counts is not None else np.zeros(rows), np.int64)
                source = np.where(explores[:, None] & (chance > 0.0)[:, None], own, greedy(own))
            sound = np.isfinite(pmf).all(axis=1) & (pmf.sum(axis=1) > 0.5)
            for row in np.flatnonzero(~sound):
                reasons[row] = reasons[row] or "policy: no action that may be taken has a probability"
            usable = np.where(sound[:, None], source, 1.0)
            action = draw(usable, uniforms(self._key, ids))[0]
        except Exception as error:  # whatever the graph does, there is a decision, and it is in the log
            reason = f"policy: {type(error).__name__}: {error}"[:500]
            reasons = [one or reason for one in reasons]
        back = [row for row, reason in enumerate(reasons) if reason is not None]
        if back:
            action[back] = self._fallback(allowed, back)
            pmf[back] = np.arange(len(self.actions)) == action[back][:, None]
        mode = str(self.exploration)
        told = [mode] * rows if counts is None else [f"{mode}:{count}" for count in counts]
        propensity = np.take_along_axis(pmf, action[:, None], axis=1)[:, 0]
        taken = [self.actions[place] for place in action]
        return Decided(ids, units, taken, propensity, pmf, self.version, told, reasons)

    def scores(self, contexts: Contexts, rows: int) -> Scores:
        """What the graph says about contexts."""
        blocks = self._blocks(contexts, rows)
        found = dict(zip(self._outputs, self._scorer.run(blocks), strict=True))
        members = found.get(MEMBERS)
        return Scores(
            pmf=found["pmf"],
            clone=found["clone"],
            members=None if members is None else members - self._charge,
            minimum=self._minimum,
        )

    def allowed(self, candidates: Sequence[Sequence[Action] | None]) -> Mask | None:
        """Candidates [rows, actions] by name; None where no row names any.

        Raises:
            OptionError: an action that the policy does not know, or an empty set.
        """
        if all(one is None for one in candidates):
            return None
        mask = np.ones((len(candidates), len(self.actions)), np.bool_)
        for row, names in enumerate(candidates):
            if names is not None:
                mask[row] = False
                mask[row, [self._known(name) for name in names]] = True
                if not len(names):
                    raise OptionError("There are no candidates", remedy="Name at least one, or leave them out.")
        return mask

    def _known(self, action: Action) -> int:
        """The position of an action.

        Raises:
            OptionError: the policy does not know it.
        """
        place = self.places.get((type(action), action))
        if place is None:
            raise OptionError(
                f"The policy does not know the action {action!r:.80}",
                remedy=f"It knows {', '.join(map(repr, self.actions[:8]))}{', …' * (len(self.actions) > 8)}.",
            )
        return place

    def _turns(
        self, units: Sequence[str | None], counts: Sequence[int] | None, day: datetime.date | None
    ) -> tuple[NDArray[np.int64], Floats]:
        """For budget: which decision is random [rows], and the chance that this one is [rows]; else zeros."""
        if not self.exploration.turns or counts is None or day is None:
            return np.zeros(len(units), np.int64), np.zeros(len(units))
        drawn = random_turns(self.salt, day, [unit or "" for unit in units], self.exploration.turns)
        return drawn, odds(counts, drawn, self.exploration.turns)

    def _blocks(self, contexts: Contexts, rows: int) -> Blocks:
        if isinstance(contexts, Mapping):
            return self._plain(contexts, rows)
        names = self.reader.features.names
        columns = dict(zip(contexts.schema.names, contexts.columns, strict=True))
        columns |= {name: _spelt(columns[name]) for name in self._spelt}
        return read_blocks(pa.RecordBatch.from_arrays([columns[name] for name in names], names=names), self._spec)

    def _likeliest(self) -> int:
        """What production is likeliest to do when nothing is known."""
        nothing = self.reader.columns([self.reader.missing])
        return int(self.scores(nothing, 1).clone[0].argmax())

    def _fallback(self, allowed: Mask | None, rows: Sequence[int]) -> NDArray[np.int64]:
        """The default action of each row, or its first candidate where the default is none."""
        if allowed is None:
            return np.full(len(rows), self.default)
        mine = allowed[rows]
        return np.where(mine[:, self.default], self.default, mine.argmax(axis=1))


def _spelt(column: pa.Array) -> pa.Array:
    """Text that spells numbers as numbers; the rest is missing."""
    return pa.array([float_of(text) for text in column.to_pylist()], pa.float64())
