"""The documents of the loop: how it is set up, and what each day led to.

In: the ``[loop]`` table of a TOML file. Out: ``LoopConfig``, ``Day``. The whole floor imports this module; pages and
the command line show its records.
"""

from __future__ import annotations

import datetime
import math
import os
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from jumar.errors import OptionError
from jumar.logs import seconds
from jumar.records import Record
from jumar.release.canary_plan import STAGES, CanaryMetric, CanaryPlan, Stage
from jumar.release.canary_plan import checked as checked_stages
from jumar.release.ledger import checked_budget
from jumar.serve.join import MOST_WAIT_DAYS

FORMAT = 1
CONFIG_NAME = "jumar.toml"
StepName = Literal["join", "audit", "gates", "canary", "watch", "release", "learn"]
STEPS: tuple[StepName, ...] = ("join", "audit", "gates", "canary", "watch", "release", "learn")


class LoopConfig(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[loop]`` table. How columns are read stands in ``[log]``, as for every other command.

    Attributes:
        incumbent: what the log calls the policy that decides as long as the registry has no production.
        wait: how long after its decision a reward counts; a day is joined when that has passed for all of it.
        reward: what several rewards of one decision become: "sum", "first", "last" or "max".
        default: the reward of a decision without one.
        confidence, attempts: of the ledger of a year.
        margin, gain, guardrail, reduce, budget: what a challenger must show, as ``jumar improve`` takes it.
        every: days between two attempts to learn, at least.
        window: days back that are learned from, at most.
        least_rows: decisions that are learned from, at least.
        screening: confidence at which a learned policy is worth an attempt of the ledger.
        learner: as ``jumar improve`` takes it.
        exploration: share of its decisions that a learned policy spreads evenly over the actions; None for a tenth.
        judge_days: days after which a challenger probably passes if it is as good as it looked; it is retired after
            twice as many.
        canary: whether a passed challenger first serves a share of the units.
        stages: of the canary.
        canary_before: days before a canary that tell its units apart.
        watch_days: days after a promotion in which it is still tested against the previous policy; 0 for none.
        alpha: probability that a canary, or a watch, takes back a policy that is not worse.
        seed: of the fits.
    """

    incumbent: str = "incumbent"
    wait: str = "24h"
    reward: Literal["sum", "first", "last", "max"] = "sum"
    default: float = 0.0
    confidence: float = 0.999
    attempts: int = 52
    margin: float = 0.0
    gain: float = 0.0
    guardrail: list[str] = []
    reduce: list[str] = []
    budget: str | None = None
    every: int = 7
    window: int = 28
    least_rows: int = 10_000
    screening: float = 0.9
    learner: Literal["one-step", "direct"] = "one-step"
    exploration: float | None = None
    judge_days: int = 14
    canary: bool = True
    stages: list[Stage] = msgspec.field(default_factory=lambda: list(STAGES))
    canary_before: int = 7
    watch_days: int = 28
    alpha: float = 0.05
    seed: int = 0


class Step(Record, frozen=True, kw_only=True):
    """What one step of a day did.

    Attributes:
        name: of the step.
        said: what happened, in plain sentences.
        attention: a person should look.
        figures: counts and sizes, by name.
    """

    name: StepName
    said: list[str]
    attention: bool = False
    figures: dict[str, float] = {}


class Day(Record, frozen=True, kw_only=True):
    """``day.json``: a day of decisions, and what was done about it.

    Attributes:
        format: version of this layout.
        date: of the decisions, UTC.
        production: the policy that is judged and learned from: a version, or the incumbent's name.
        challenger: version in a canary when the day was closed, null for none.
        record: number of the registry's record when the day was closed.
        steps: those that are finished, in their order; the day is complete when all are.
        opened: the challenger of the gates that was frozen on this day, empty for none.
        config: what the loop was told.
        jumar_version: who wrote it.
    """

    format: int
    date: datetime.date
    production: str
    challenger: str | None
    record: int
    steps: list[Step]
    opened: str = ""
    config: LoopConfig
    jumar_version: str

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return [step.name for step in self.steps] == list(STEPS)

    @property
    def held(self) -> bool:
        """Whether an audit blocks: its decisions are neither learned from nor judged by."""
        return any(step.name == "audit" and step.figures.get("blocked", 0.0) > 0.0 for step in self.steps)

    @property
    def attention(self) -> bool:
        """Whether a person should look."""
        return any(step.attention for step in self.steps)

    def step(self, name: StepName) -> Step | None:
        """A finished step, None while it is not."""
        return next((step for step in self.steps if step.name == name), None)


def loop_config(path: str | os.PathLike[str] | None) -> LoopConfig:
    """The ``[loop]`` table of a file; what it does not say is as by default.

    Args:
        path: the file; None: ``jumar.toml`` in the current folder, if there is one.

    Raises:
        OptionError: there is no such file, it is no TOML, or a line is outside its range.
    """
    place = Path(CONFIG_NAME if path is None else path)
    if path is None and not place.is_file():
        return LoopConfig()
    try:
        found = tomllib.loads(place.read_text())
        config = msgspec.convert(found.get("loop", {}), LoopConfig)
    except OSError as error:
        raise OptionError(f"'{place}' cannot be read ({error.strerror})", remedy="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"'{place}' is not TOML ({error})", remedy="Mend the line it names.") from error
    except msgspec.ValidationError as error:
        raise OptionError(
            f"The [loop] table of '{place}' cannot be used: {error}", remedy="docs/loop.md lists what it may say."
        ) from error
    return checked(config)


def checked(config: LoopConfig) -> LoopConfig:
    """The same, if every figure is within its range.

    Raises:
        OptionError: one is not.
    """
    checked_budget(config.confidence, config.attempts)
    seconds("wait", config.wait, most_days=MOST_WAIT_DAYS)
    ranges = {
        "every": (config.every, 1, 366),
        "window": (config.window, 1, 3_660),
        "least_rows": (config.least_rows, 1, 10**12),
        "judge_days": (config.judge_days, 1, 366),
        "canary_before": (config.canary_before, 0, 366),
        "watch_days": (config.watch_days, 0, 366),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise OptionError(
                f"{name} of [loop] lies between {low:,} and {high:,}", example=value, remedy="See docs/loop.md."
            )
    if not (0.5 <= config.screening < 1.0 and 0.0 < config.alpha < 0.5 and math.isfinite(config.default)):
        raise OptionError(
            "screening of [loop] lies between 0.5 and 1, alpha between 0 and 0.5, and the default reward is a number",
            example=(config.screening, config.alpha, config.default),
            remedy="See docs/loop.md.",
        )
    if config.exploration is not None and not 0.0 <= config.exploration <= 0.5:
        raise OptionError(
            "exploration of [loop] lies between 0 and 0.5", example=config.exploration, remedy="Try exploration = 0.2."
        )
    checked_stages(
        CanaryPlan(
            salt="any",
            production="one",
            challenger="another",
            metrics=[CanaryMetric(name="reward")],
            stages=config.stages,
            watch=None,
            alpha=config.alpha,
        )
    )
    return config
