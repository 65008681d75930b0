"""Who is put to the gate: points of the path, and policies from elsewhere, scored on the same rows.

In: ``Candidates`` and loaded policies. Out: ``Contestants``, in order from least to most deviation. What is scored is
the exported graph of each, hence what would be released. ``judging`` and the main job import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.errors import PolicyError
from jumar.features import Blocks, read_blocks
from jumar.logs import Log
from jumar.logs.split import PARTS
from jumar.policy import Policy
from jumar.policy.candidates import Candidates


@dataclass(frozen=True)
class Scores:
    """What all contestants and the clone say about some rows.

    Attributes:
        pmf: [rows, K, actions] of the contestants.
        clone, q, advantage: [rows, actions] of the learner: production's clone, predicted rewards on [0, 1], and what
            tilts the clone.
        blocks: the features as the path reads them.
    """

    pmf: NDArray[np.float64]
    clone: NDArray[np.float64]
    q: NDArray[np.float64]
    advantage: NDArray[np.float64]
    blocks: Blocks


@dataclass(frozen=True)
class Contestants:
    """The candidates of one attempt.

    Attributes:
        path: points of the path.
        others: policies from elsewhere, by the name they were given.
        actions: of the log, in order.
        order: [K] places in path and others, from least to most deviation.
    """

    path: Candidates
    others: tuple[tuple[str, Policy], ...]
    actions: tuple[object, ...]
    order: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.order)

    @property
    def hashes(self) -> list[str]:
        """[K] SHA-256 of each graph."""
        known = [*self.path.hashes, *(policy.card.model_sha256 for _, policy in self.others)]
        return [known[place] for place in self.order]

    @property
    def temperatures(self) -> list[float | None]:
        """[K] place on the path; None for a policy that is not on it."""
        known = [*self.path.temperatures, *(None for _ in self.others)]
        return [known[place] for place in self.order]

    @property
    def names(self) -> list[str]:
        """[K] what to call each; empty for points of the path."""
        known = [*("" for _ in self.path.temperatures), *(name for name, _ in self.others)]
        return [known[place] for place in self.order]

    @property
    def prices(self) -> list[float]:
        """[K] what a unit of cost was held to be worth."""
        known = [*self.path.prices, *(0.0 for _ in self.others)]
        return [known[place] for place in self.order]

    @cached_property
    def columns(self) -> list[str]:
        """Features that any of them decides on."""
        specs = [self.path.spec, *(policy.card.features for _, policy in self.others)]
        return list(dict.fromkeys(column for spec in specs for column in spec.columns))

    def policy(self, k: int) -> Policy | None:
        """The k-th contestant where it comes from elsewhere."""
        place = self.order[k] - len(self.path.temperatures)
        return self.others[place][1] if place >= 0 else None

    def sorted_by(self, deviation: NDArray[np.float64]) -> Contestants:
        """The same, from least to most of the deviations [K] given in the present order."""
        return replace(self, order=tuple(self.order[place] for place in np.argsort(deviation, kind="stable")))

    def scorer(self) -> Callable[[pa.RecordBatch], Scores]:
        """All of them, ready to run on canonical batches."""
        path, count, actions = self.path.scorer("pmf", "clone", "q", "advantage"), len(self.order), len(self.actions)
        others = [(policy.scorer(), policy, self._columns_of(policy)) for _, policy in self.others]

        def run(batch: pa.RecordBatch) -> Scores:
            blocks = read_blocks(batch, self.path.spec)
            pmf, clone, q, advantage = path.run(blocks)
            every = pmf.reshape(len(pmf), len(self.path.temperatures), actions)
            if others or self.order != tuple(range(count)):
                pieces = [every]
                for scorer, policy, columns in others:
                    (own,) = scorer.run(read_blocks(batch, policy.card.features))
                    placed = np.zeros((len(own), 1, actions))
                    placed[:, 0, columns] = own
                    pieces.append(placed)
                every = np.concatenate(pieces, axis=1)[:, self.order]
            return Scores(every, clone, q, advantage, blocks)

        return run

    def _columns_of(self, policy: Policy) -> list[int]:
        places = {action: place for place, action in enumerate(self.actions)}
        return [places[action] for action in policy.actions]


def contestants(log: Log, path: Candidates, others: Sequence[tuple[str, Policy]]) -> Contestants:
    """Path and other policies together, once it is clear that the others can be judged on this log.

    Args:
        log: what they are judged on.
        path: points of the path.
        others: names and policies.

    Raises:
        PolicyError: a policy needs other features or actions than the log has, was learned under another split of the
            units, so that it may have seen the rows of the gate, or is named twice.
    """
    features = {feature.name: feature.kind for feature in log.schema.features}
    seen: dict[str, str] = {}
    for name, policy in others:
        if policy.card.model_sha256 in seen:
            raise PolicyError(
                "The same policy is named twice as a candidate",
                example=(seen[policy.card.model_sha256], name),
                remedy="Name each candidate once.",
            )
        seen[policy.card.model_sha256] = name
        wanted = {feature.name: feature.kind for feature in policy.card.log_schema.features}
        missing = [one for one in policy.card.features.columns if features.get(one) != wanted.get(one)]
        if missing:
            raise PolicyError(
                f"The candidate '{name}' decides on features that this log does not have in the same form",
                column=missing[0],
                remedy="Judge it on a log with the columns that it was learned from.",
            )
        strange = [action for action in policy.actions if action not in log.schema.actions]
        if strange:
            raise PolicyError(
                f"The candidate '{name}' takes actions that this log does not hold",
                example=strange[0],
                remedy="Judge it on a log that holds all its actions.",
            )
        if policy.card.train_units_below > PARTS["gate"][0]:
            raise PolicyError(
                f"The candidate '{name}' was learned under another split of the units: it may know the gate's rows",
                example=policy.card.train_units_below,
                remedy="Learn it again with this version.",
            )
    return Contestants(
        path, tuple(others), tuple(log.schema.actions), tuple(range(len(path.temperatures) + len(others)))
    )
