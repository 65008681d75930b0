"""What a log of decisions holds, once every column has a role: the words the other floors read it by.

In: nothing. Out: frozen records (``Roles``, ``Feature``, ``LogSchema``) that travel with the policy as JSON,
and the names of the canonical columns. Every floor may import this module.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from jumar.records import Record

Kind = Literal["number", "boolean", "category", "ids", "time"]
Part = Literal["fit", "stop", "validate", "gate"]
Action = str | int | bool

ID, UNIT, HASH, TIME = "__id", "__unit", "__hash", "__time"
ACTION, PROPENSITY, PMF, REWARD, UNIFORM = "__action", "__propensity", "__pmf", "__reward", "__uniform"
PLACE = "__place"
END, WAIT, DISCOUNT, NEXT = "__end", "__wait", "__discount", "__next_"
METRIC = "__metric_"  # then the metric's position in the order of declaration
CANONICAL = (ID, UNIT, HASH, TIME, ACTION, PROPENSITY, PMF, REWARD, UNIFORM, PLACE, END, WAIT, DISCOUNT)

MAX_ACTIONS = 10_000
SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Which source column plays which role; None where no column does.

    ``pmf`` lists the probabilities of all actions in the order of ``LogSchema.actions``; ``end`` flags decisions after
    which nothing follows that they could have changed.
    """

    decision_id: str | None = None
    unit: str | None = None
    time: str | None = None
    action: str | None = None
    propensity: str | None = None
    pmf: str | None = None
    reward: str | None = None
    end: str | None = None


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the policy: its column, how it is treated, and the type it had when it was learned from.

    ``arrow_type`` is ``str(pyarrow.DataType)`` of the source column as the engine reads it, so a
    dictionary column is "string".
    """

    name: str
    kind: Kind
    arrow_type: str


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A logged column that is neither role nor feature, and that a release may have to keep, such as complaints.

    ``low`` and ``high`` are the bounds that it has by its nature, in its own units; ``bounds_declared`` that the user
    gave them and they were not assumed. Metrics belong to the judging, so a policy does not carry them.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    bounds_declared: bool = True


class LogSchema(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to read another log the same way.

    ``reward_low`` and ``reward_high`` are the declared bounds in units of the reward; ``cap_reward`` says
    that rewards beyond them are moved to the nearest bound, ``bounds_declared`` that the user gave the bounds and
    they were not assumed. ``actions`` is sorted, and canonical actions are
    positions in it.
    """

    roles: Roles
    reward_low: float
    reward_high: float
    cap_reward: bool
    bounds_declared: bool = True
    features: tuple[Feature, ...]
    actions: tuple[Action, ...]

    @property
    def has_propensities(self) -> bool:
        """Whether propensities were logged, by themselves or inside a pmf."""
        return self.roles.propensity is not None or self.roles.pmf is not None


class Timeline(Record, frozen=True, kw_only=True):
    """How decisions of a unit hang together in time.

    Attributes:
        discount: γ in [0, 1): what a reward is worth one step, or one ``per``, later.
        per: seconds that γ is meant for, so that a later decision counts γ^(Δt/per); None: γ for each decision.
        gap: seconds of silence after which an episode has ended; None: never.
    """

    discount: float
    per: float | None = None
    gap: float | None = None

    @property
    def horizon(self) -> str:
        """The unit of time in words."""
        if self.per is None:
            return "decision"
        name = next((name for name, seconds in SECONDS.items() if seconds == self.per), None)
        return name or f"{self.per:g} seconds"

    @property
    def words(self) -> str:
        """The discount in words, with all its digits: a discount next to 1 is not 1."""
        return f"{self.discount!r} per {self.horizon}"

    @property
    def flags(self) -> str:
        """The flags of the command line that ask for it."""
        times = [("--per", self.per), ("--gap", self.gap)]
        return " ".join([f"--discount {self.discount!r}", *(f"{flag} {_word(one)}" for flag, one in times if one)])


def _word(seconds: float) -> str:
    """What ``seconds`` reads as so many."""
    name = next((name for name, each in SECONDS.items() if each == seconds), None)
    return name or (f"{seconds:.0f}s" if seconds.is_integer() else f"{seconds:f}s")
