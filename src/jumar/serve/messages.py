"""What is said over the wire: requests, replies, and the ids that decisions get.

In: JSON. Out: records. The modules of the service import it.
"""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import msgspec

from jumar.logs.schema import Action

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
MetricName = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[^\\u0000]*$")]
MOST_METRICS = 64


class DecideRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision asked for.

    Attributes:
        context: the features that the policy decides on.
        unit: who is decided about: a canary and a budget of exploration hold on to it.
        decision_id: your own name for it; asked again, the same version decides the same. Without one it is given one.
        candidates: the only actions that may be taken now.
    """

    context: msgspec.Raw
    unit: Name | None = None
    decision_id: Name | None = None
    candidates: Annotated[list[Action], msgspec.Meta(min_length=1, max_length=10_000)] | None = None


class Decision(msgspec.Struct, frozen=True):
    """One decision, which is in the log by now.

    Attributes:
        decision_id: to send with its reward.
        action: what was decided.
        propensity: the probability with which it was.
        pmf: probabilities of all actions, in the order that ``/healthz`` lists them.
        policy: the version that decided.
        exploration: how it explored.
        fallback: the policy could not decide, and the default action was taken.
        fallback_reason: why.
    """

    decision_id: str
    action: Action
    propensity: float
    pmf: list[float]
    policy: str
    exploration: str
    fallback: bool
    fallback_reason: str | None


class RewardRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a decision; it may come more than once, and before the decision is known.

    Attributes:
        decision_id: of the decision.
        value: the reward, in its own units; null where an event carries metrics only.
        metrics: named figures beside it.
        reward_id: your own name for this event, by which a repeated one is known.
    """

    decision_id: Name
    value: float | None = None
    metrics: Annotated[dict[MetricName, float], msgspec.Meta(max_length=MOST_METRICS)] = {}
    reward_id: Name | None = None


class Accepted(msgspec.Struct, frozen=True):
    """Rewards that are in the log by now."""

    accepted: int


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    error: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is.

    Attributes:
        status: ok; degraded: it decides, but something below needs looking after; unavailable: it does not decide.
        problems: what needs looking after, in words.
        production, challenger: versions that decide.
        share: of units that the challenger decides about.
        record: number of the registry's record that this follows.
        actions: of production, in the order of every pmf.
        exploration: how it explores.
        default_action: what it falls back to.
        worker: which process answered.
        uptime_s: seconds since that began.
    """

    status: str
    problems: list[str]
    production: str | None
    challenger: str | None
    share: float
    record: int | None
    actions: list[Any]
    exploration: str
    default_action: Any
    worker: int
    uptime_s: float


def new_id() -> str:
    """A decision id: a UUID of version 7, so that ids made later sort later."""
    moment, chance = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    high = 0x7000 | (chance >> 68)  # four bits of version, twelve of chance
    rest = f"{0x8000_0000_0000_0000 | (chance & 0x3FFF_FFFF_FFFF_FFFF):016x}"
    start = f"{moment & 0xFFFF_FFFF_FFFF:012x}"
    return f"{start[:8]}-{start[8:]}-{high:04x}-{rest[:4]}-{rest[4:]}"
