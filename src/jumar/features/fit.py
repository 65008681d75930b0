"""Statistics of the raw columns, taken on TRAIN rows in one pass in the engine.

In: a canonical Ibis table and the features of a schema. Out: a ``FeatureSpec``.
Values are rounded before they are frozen, so that the order of a parallel sum cannot change a byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.expr import datatypes as dt

from jumar.features.raw import MISSING_TEXT, TIME_PARTS, time_parts
from jumar.features.spec import CategoryColumn, FeatureSpec, IdsColumn, NumberColumn
from jumar.logs.schema import Feature

QUANTILES = tuple(round(q / 100, 2) for q in range(101))
MAX_LEVELS = 12
MAX_VOCABULARY = 1_000
MAX_LIST = 16
MIN_COUNT = 10
LARGEST, SMALLEST_WIDTH = 3e38, 1e-30


def fit_features(table: ir.Table, features: Sequence[Feature], sample: ir.BooleanValue | None = None) -> FeatureSpec:
    """Fit the statistics of ``features`` on the rows of ``table``.

    Args:
        table: canonical TRAIN rows.
        features: the columns to read.
        sample: marks the rows that quantiles are taken from; all rows by default.
    """
    found = _gather(table, features, sample)
    numbers: list[NumberColumn] = []
    categories: list[CategoryColumn] = []
    ids: list[IdsColumn] = []
    for feature in features:
        stats = found[feature.name]
        match feature.kind:
            case "number" | "boolean":
                numbers.append(_number(feature.name, stats))
            case "time":
                numbers.extend(_times(feature.name, stats))
            case "category":
                categories.append(CategoryColumn(name=feature.name, vocabulary=_vocabulary(stats["counts"])))
            case "ids":
                length = int(min(max(stats["length"] or 1, 1), MAX_LIST))
                ids.append(IdsColumn(name=feature.name, vocabulary=_vocabulary(stats["counts"]), length=length))
    return FeatureSpec(numbers=tuple(numbers), categories=tuple(categories), ids=tuple(ids))


@ibis.udf.agg.builtin(name="histogram", signature=((dt.string,), dt.dtype("map<string, uint64>")))
def _histogram(values: Any) -> Any:
    """Value counts of a string column as one map: an aggregate of the engine."""


def _gather(table: ir.Table, features: Sequence[Feature], sample: ir.BooleanValue | None) -> dict[str, dict[str, Any]]:
    """Every statistic of every column: one aggregate query, the sample's numbers, one query for each list column."""
    wanted: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for place, feature in enumerate(features):
        column: Any = table[feature.name]
        match feature.kind:
            case "number" | "boolean" | "time":
                if feature.kind == "time":
                    column = column.epoch_seconds()
                # Blocks are single precision; what lies beyond it counts as its end, here as there.
                column = column.cast("float64").clip(-LARGEST, LARGEST)
                wanted[f"{place}:missing"] = column.isnull().sum()
                numbers[feature.name] = column
            case "category":
                wanted[f"{place}:counts"] = _histogram(column)
            case "ids":
                wanted[f"{place}:length"] = column.length().quantile(0.99, where=sample)
    row = table.aggregate(**wanted).to_pyarrow().to_pylist()[0] if wanted else {}
    found: dict[str, dict[str, Any]] = {feature.name: {} for feature in features}
    for key, value in row.items():
        place, _, statistic = key.partition(":")
        found[features[int(place)].name][statistic] = value
    if numbers:
        sampled = (table if sample is None else table.filter(sample)).select(**numbers).to_pyarrow()
        for name in numbers:
            found[name] |= _spread(sampled[name])
    for feature in features:
        if feature.kind == "ids":
            lists: Any = table[feature.name]
            entries = table.select(entry=lists.unnest())
            counts = entries.aggregate(counts=_histogram(entries.entry)).to_pyarrow().to_pylist()[0]
            found[feature.name].update(counts)
    return found


def _spread(values: pa.ChunkedArray) -> dict[str, Any]:
    """Quantiles, number of distinct values, and whether all are whole: one sort, where the engine needs one each."""
    known = np.sort(values.drop_null().to_numpy())
    if not len(known):
        return {"quantiles": None, "distinct": 0, "whole": False}
    return {
        "quantiles": np.interp(np.array(QUANTILES) * (len(known) - 1), np.arange(len(known)), known),
        "distinct": 1 + np.count_nonzero(np.diff(known)),
        "whole": np.array_equal(known, np.floor(known)),
    }


def _number(name: str, stats: Mapping[str, Any], part: str = "") -> NumberColumn:
    """Centre and spread of one number; a constant or empty column keeps width and scale 1."""
    points = np.asarray(stats["quantiles"] if stats["quantiles"] is not None else [0.0], np.float64)
    spread = float(np.quantile(points, 0.75) - np.quantile(points, 0.25)) / 1.349
    width = _rounded(max(spread or float(points.std()) or 1.0, SMALLEST_WIDTH))
    grain = 10.0 ** np.floor(np.log10(width) - 5)  # the centre is rounded to the width's own digits, not to its own
    centre = float(np.round(np.median(points) / grain) * grain)
    squashed = np.arcsinh((points - centre) / width)
    whole = bool(stats["whole"]) and 2 < stats["distinct"] <= MAX_LEVELS
    return NumberColumn(
        name=name,
        part=part,
        centre=centre,
        width=width,
        mean=_rounded(float(squashed.mean())),
        scale=_rounded(float(squashed.std()) or 1.0),
        missing=bool(stats["missing"]),
        levels=tuple(float(x) for x in np.unique(points[points == np.floor(points)])) if whole else (),
    )


def _times(name: str, stats: Mapping[str, Any]) -> list[NumberColumn]:
    """The readings of a timestamp, each a number of its own; the day's and the week's circles need no fitting."""
    seconds = stats["quantiles"] if stats["quantiles"] is not None else [0.0]
    parts = time_parts(pa.array([int(x * 1e6) for x in seconds], pa.timestamp("us")))
    columns = []
    for part in TIME_PARTS:
        known = {"quantiles": parts[part], "missing": stats["missing"], "whole": False, "distinct": 0}
        columns.append(_number(name, known, part))
    return columns


def _vocabulary(counts: Mapping[str, int] | Sequence[tuple[str, int]] | None) -> tuple[str, ...]:
    """The most frequent values, those seen often enough to learn from, ties by name."""
    pairs = list(counts.items() if isinstance(counts, Mapping) else counts or ())
    pairs = [pair for pair in pairs if pair[0] != MISSING_TEXT]
    kept = sorted((pair for pair in pairs if pair[1] >= MIN_COUNT), key=lambda pair: (-pair[1], pair[0]))
    return tuple(value for value, _ in kept[:MAX_VOCABULARY])


def _rounded(value: float) -> float:
    """Six significant digits: far finer than any statistic, far coarser than the noise of a parallel sum."""
    return float(f"{value:.6g}")
