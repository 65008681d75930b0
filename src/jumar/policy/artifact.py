"""A policy on disk and in hand: ``policy.onnx`` and ``policy.json``, and the two things one asks of it.

In: rows in any form that a log may have. Out: pmfs and decisions. No pickle; hashes are checked at load.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pyarrow as pa
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from jumar.errors import PolicyError
from jumar.features.raw import read_blocks
from jumar.features.spec import FeatureSpec
from jumar.files import replacing
from jumar.logs.schema import LogSchema, Timeline
from jumar.policy.sampling import draw
from jumar.policy.scorer import Scorer, in_order

if TYPE_CHECKING:
    from jumar.logs import Log

FORMAT = 1
MODEL_FILE, CARD_FILE = "policy.onnx", "policy.json"


class PolicyCard(msgspec.Struct, frozen=True, kw_only=True):
    """``policy.json``: all that is needed to read rows for the graph and to understand its answers.

    Attributes:
        format: version of this layout.
        actions: the order of every pmf.
        log_schema: roles, reward bounds and features of the log it was learned from.
        features: how raw columns become the graph's blocks.
        temperature: β, in units of ``advantage_scale``.
        advantage_scale: root mean square advantage on TRAIN, on the reward's [0, 1] scale.
        pessimism: standard deviations taken off the ensemble's mean.
        minimum: [actions] exploration floor.
        price: ν, what a unit of cost was charged on the reward's [0, 1] scale; 0 where nothing costs.
        costs: [actions] of each action; empty where nothing costs.
        timeline: the discount of what follows, where it was learned with one; the graph's values are then returns.
        train_rows, train_units_below: what it was fitted on: how many rows, and the share of the hash range.
        model_sha256: hash of ``policy.onnx``.
        jumar_version: who wrote it.
        card_sha256: hash of this card without it; only on disk.
    """

    format: int
    actions: list[str | int | bool]
    log_schema: LogSchema
    features: FeatureSpec
    temperature: float
    advantage_scale: float
    pessimism: float
    minimum: list[float]
    train_rows: int
    train_units_below: float
    model_sha256: str
    jumar_version: str
    price: float = 0.0
    costs: list[float] = []
    timeline: Timeline | None = None
    card_sha256: str = ""


@dataclass(frozen=True)
class Policy:
    """A policy that can decide.

    Attributes:
        card: what it is.
        model: the bytes of its graph.
    """

    card: PolicyCard
    model: bytes

    @property
    def actions(self) -> list[str | int | bool]:
        """Actions in the order of every pmf."""
        return self.card.actions

    @property
    def name(self) -> str:
        """Short name: the start of the graph's hash."""
        return self.card.model_sha256[:16]

    def scorer(self, *outputs: str) -> Scorer:
        """The graph, ready to run for some of its outputs."""
        return Scorer(onnx.load_model_from_string(self.model), self.card.features, outputs or ("pmf",))

    @cached_property
    def _scorer(self) -> Scorer:
        return self.scorer()

    def pmf(self, rows: Any) -> NDArray[np.float64]:
        """Probabilities of all actions.

        Args:
            rows: pandas or polars frame, Arrow table, path, or anything else that ``read_log`` reads.

        Returns:
            [rows, actions] float64, each row summing to one.

        Raises:
            LogError: a feature is missing or has changed its type.
        """
        from jumar.logs import read_for

        log = read_for(self.card.log_schema, rows, need="features")
        pieces = [pmf for _, _, pmf in self.scored(log, salt=None)]
        return np.concatenate(pieces) if pieces else np.zeros((0, len(self.actions)))

    def decide(self, rows: Any, *, seed: int | None = None) -> pa.Table:
        """Decide for every row, exploring as the policy prescribes.

        A decision with an id always comes out the same under the same policy and seed. Rows without ids are drawn
        afresh at every call unless a seed is given, because a row's position alone would repeat itself.

        Args:
            rows: as for ``pmf``.
            seed: changes all draws; by default 0 for rows with ids.

        Returns:
            A table of ``decision_id``, ``action``, ``propensity`` and ``pmf``, in the order of the rows.
        """
        from jumar.logs import read_for

        log = read_for(self.card.log_schema, rows, need="features")
        pieces = [self.decisions(known, pmf) for _, known, pmf in self.scored(log, self.salt(log, seed))]
        empty = self.decisions_schema().empty_table()
        return pa.Table.from_batches(pieces) if pieces else empty

    def salt(self, log: Log, seed: int | None) -> str:
        """What distinguishes this policy's draws from any other's.

        With decision ids it is the policy and the seed (0 if none is given), so that a rerun decides the same. Rows
        without ids are named by their position, which repeats itself from table to table: unless a seed is given,
        their salt is drawn afresh.
        """
        if seed is None and log.schema.roles.decision_id is None:
            return f"{self.name}:{secrets.token_hex(8)}"
        return f"{self.name}:{seed or 0}"

    def scored(
        self, log: Log, salt: str | None, batch_rows: int = 65_536
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch, NDArray[np.float64]]]:
        """Stream (original columns, canonical columns, pmf) of a log, in order, in bounded memory."""

        from jumar.logs import scoring_batches

        def score(pair: tuple[pa.RecordBatch, pa.RecordBatch]) -> Any:
            (pmf,) = self._scorer.run(read_blocks(pair[1], self.card.features))
            return *pair, pmf

        return in_order(score, scoring_batches(log, salt=salt, batch_rows=batch_rows))

    def decisions(self, known: pa.RecordBatch, pmf: NDArray[np.float64]) -> pa.RecordBatch:
        """Draw from pmfs with the rows' own uniform numbers."""
        action, propensity = draw(pmf, np.asarray(known.column("__uniform")))
        taken = pa.array(self.actions).take(pa.array(action))
        offsets = pa.array(np.arange(len(pmf) + 1, dtype=np.int32) * pmf.shape[1])
        pmfs = pa.ListArray.from_arrays(offsets, pa.array(pmf.reshape(-1)))
        return pa.RecordBatch.from_arrays(
            [known.column("__id"), taken, pa.array(propensity), pmfs], schema=self.decisions_schema()
        )

    def decisions_schema(self) -> pa.Schema:
        """Columns of a decision."""
        return pa.schema(
            {
                "decision_id": pa.string(),
                "action": pa.array(self.actions).type,
                "propensity": pa.float64(),
                "pmf": pa.list_(pa.float64()),
            }
        )

    @property
    def card_file_sha256(self) -> str:
        """Hash of ``policy.json`` as ``save`` writes it."""
        return hashlib.sha256(sealed(self.card)).hexdigest()

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``policy.onnx`` and ``policy.json``; the card last, so that a folder with a card is complete."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name, content in ((MODEL_FILE, self.model), (CARD_FILE, sealed(self.card))):
            with replacing(place / name) as temporary:
                temporary.write_bytes(content)


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read a policy folder and check that it is whole.

    Args:
        path: the folder, or a result folder that holds one.

    Raises:
        PolicyError: the folder is missing, incomplete, of another version, or its hash does not fit.
    """
    place = Path(path)
    if not (place / CARD_FILE).exists() and (place / "policy" / CARD_FILE).exists():
        place = place / "policy"
    for name in (CARD_FILE, MODEL_FILE):
        if not (place / name).is_file():
            below = sorted(path.parents[1] for path in place.glob(f"*/policy/{CARD_FILE}"))
            raise PolicyError(
                f"There is no policy in '{place}': {name} is missing",
                remedy=f"There is one in '{below[0]}'; name that."
                if below
                else "Name the policy folder that 'jumar improve' wrote; a refused run has none.",
            )
    return policy_of((place / MODEL_FILE).read_bytes(), (place / CARD_FILE).read_bytes(), str(place))


def policy_of(model: bytes, card: bytes, place: str) -> Policy:
    """A policy from the bytes of its two files, checked to be whole.

    Args:
        model, card: ``policy.onnx`` and ``policy.json``.
        place: where they lie, for messages.

    Raises:
        PolicyError: a file is damaged, of another version, or the two do not belong together.
    """
    read = _read_card(card, f"{place}/{CARD_FILE}")
    if hashlib.sha256(model).hexdigest() != read.model_sha256:
        raise PolicyError(
            f"'{place}/{MODEL_FILE}' is not the graph that its card describes: the hashes differ",
            remedy="Restore both files from the same run.",
        )
    try:
        onnx.load_model_from_string(model)
    except DecodeError as error:
        raise PolicyError(f"'{place}/{MODEL_FILE}' is not a graph", remedy="Restore the file.") from error
    return Policy(read, model)


def _read_card(content: bytes, path: str) -> PolicyCard:
    """The card of a policy, if it is as it was written."""
    try:
        card = msgspec.json.decode(content, type=PolicyCard)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"'{path}' is not a policy of this version ({error})",
            remedy="Improve again, or restore the file.",
        ) from error
    if card.format != FORMAT:
        raise PolicyError(
            f"The policy has format {card.format}, this version reads {FORMAT}",
            remedy=f"Use Jumar {card.jumar_version}, or improve again.",
        )
    if _seal(content) != card.card_sha256:
        raise PolicyError(f"'{path}' has been changed since it was written", remedy="Restore it, or improve again.")
    return msgspec.structs.replace(card, card_sha256="")


def sealed(card: PolicyCard) -> bytes:
    """``policy.json`` with its own hash, so that an edited order of actions is never served."""
    return pretty(msgspec.structs.replace(card, card_sha256=_seal(msgspec.json.encode(card))))


def _seal(content: bytes) -> str:
    """Hash of a card's entries as they stand, its own hash left empty.

    Of the entries and not of what this version makes of them: a card keeps its seal when later versions know more
    entries, and one with entries that this version does not know cannot hide them.
    """
    entries = msgspec.json.decode(content) | {"card_sha256": ""}
    return hashlib.sha256(msgspec.json.encode(entries)).hexdigest()


def pretty(document: msgspec.Struct) -> bytes:
    """Canonical, readable JSON of a document."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
