"""How a log is to be read: the arguments of ``read_log`` over the ``[log]`` table of ``jumar.toml``.

In: keyword arguments and a file. Out: one frozen ``LogOptions``. Imported inside ``jumar.logs`` only.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from jumar.errors import OptionError
from jumar.logs.schema import Metric

CONFIG_NAME = "jumar.toml"


class LogOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of ``read_log``, spelled alike in ``jumar.toml``."""

    reward: str | None = None
    reward_range: tuple[float, float] | None = None
    cap_reward: bool = False
    action: str | None = None
    propensity: str | None = None
    pmf: str | None = None
    unit: str | None = None
    time: str | None = None
    decision_id: str | None = None
    end: str | None = None
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    metrics: tuple[str | Metric, ...] = ()


def ignoring(chosen: LogOptions, not_features: Collection[str]) -> LogOptions:
    """The options, by which columns that the source says are no features are ignored too, unless they are named."""
    roles = {getattr(chosen, role) for role in _ROLES}
    lists = (*chosen.categorical, *chosen.numeric, *(chosen.features or ()), *chosen.ignore)
    metrics = [metric.name if isinstance(metric, Metric) else metric.partition(":")[0] for metric in chosen.metrics]
    named = {*roles, *lists, *metrics}
    return msgspec.structs.replace(chosen, ignore=(*chosen.ignore, *sorted(set(not_features) - named)))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that ``name`` was probably meant to be, whatever its case."""
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.55)
    return lower[near[0]] if near else None


def options(given: dict[str, Any], config: str | os.PathLike[str] | None) -> LogOptions:
    """Merges arguments and file; an argument that was given wins.

    Args:
        given: arguments by name; None, False and empty lists count as not given.
        config: the file; without it ``jumar.toml`` in the current folder, if there is one.

    Raises:
        OptionError: an unknown key, a value of the wrong type, an impossible range.
    """
    merged = _from_file(config)
    for name, value in given.items():
        if value is None or value is False or (name != "features" and _empty(value)):
            continue
        merged[name] = (value,) if isinstance(value, str) and name in _LISTS else value
    try:
        result = msgspec.convert(merged, LogOptions, strict=True, from_attributes=True)
    except msgspec.ValidationError as error:
        raise OptionError(
            f"An option of the log has the wrong type: {error}",
            remedy="See `jumar audit --help` for what each option takes.",
        ) from error
    _check_range(result)
    return result


_ROLES = ("reward", "action", "propensity", "pmf", "unit", "time", "decision_id", "end")
_LISTS = ("ignore", "categorical", "numeric", "features", "metrics")


def _empty(value: Any) -> bool:
    return not isinstance(value, str) and hasattr(value, "__len__") and len(value) == 0


def _from_file(config: str | os.PathLike[str] | None) -> dict[str, Any]:
    path = Path(config) if config is not None else Path(CONFIG_NAME)
    if config is None and not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("log", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(
            f"The settings '{path}' cannot be read",
            remedy="Check the path, and that it is TOML with a [log] table.",
        ) from error
    if not isinstance(table, dict):
        raise OptionError(f"[log] in '{path}' is not a table", remedy='Write [log], then reward = "value".')
    for key in table:
        if key not in LogOptions.__struct_fields__:
            near = nearest(key, LogOptions.__struct_fields__)
            hint = f"Did you mean '{near}'?" if near else f"Known: {', '.join(LogOptions.__struct_fields__)}."
            raise OptionError(f"'{key}' under [log] in '{path}' is not an option", remedy=hint)
    return {key: (value,) if isinstance(value, str) and key in _LISTS else value for key, value in table.items()}


def _check_range(read: LogOptions) -> None:
    if read.reward_range is None:
        if read.cap_reward:
            raise OptionError(
                "Rewards can only be capped at declared bounds",
                remedy="Add --reward-range LOW HIGH to --cap-reward.",
            )
        return
    low, high = read.reward_range
    if not (math.isfinite(high - low) and low < high):
        raise OptionError(
            f"The reward range {low:g} to {high:g} is not a range",
            remedy="Give two finite numbers, the lower one first: --reward-range 0 1.",
        )
