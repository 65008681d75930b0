"""What changed for whom: how a policy's decisions differ from the clone's, overall and segment by segment.

In: pmfs of clone and policy on rows that fitted nothing, and their features. Out: ``ChangeSummary``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jumar.evaluate.certificate import ChangeSummary, Segment
from jumar.features import Blocks, FeatureSpec

LEAST_SHARE = 0.02
MOST_SEGMENTS = 12
MOST_PER_FEATURE = 2
BINS = 4
Mask = NDArray[np.bool_]


def summarise_change(
    actions: Sequence[object],
    clone: NDArray[np.float64],
    policy: NDArray[np.float64],
    blocks: Blocks,
    spec: FeatureSpec,
) -> ChangeSummary:
    """Rates of every action before and after, and the segments that change most.

    Args:
        actions: names in the order of the pmfs.
        clone, policy: [rows, actions] pmfs on the same rows.
        blocks: their features.
        spec: names and values of the features.
    """
    moved = 0.5 * np.abs(policy - clone).sum(axis=1)
    found = []
    for feature, label, mask in segments(blocks, spec):
        share = float(mask.mean())
        if LEAST_SHARE <= share <= 1 - LEAST_SHARE:
            found.append(
                Segment(
                    feature=feature,
                    label=label,
                    share=share,
                    changed=float(moved[mask].mean()),
                    rates_before=clone[mask].mean(axis=0).tolist(),
                    rates_after=policy[mask].mean(axis=0).tolist(),
                )
            )
    found.sort(key=lambda segment: (-segment.changed, segment.feature, segment.label))
    return ChangeSummary(
        actions=[str(action) for action in actions],
        rates_before=clone.mean(axis=0).tolist(),
        rates_after=policy.mean(axis=0).tolist(),
        changed=float(moved.mean()),
        segments=list(_varied(found)),
    )


def segments(blocks: Blocks, spec: FeatureSpec) -> Iterator[tuple[str, str, Mask]]:
    """Slices of the rows: values of a category, quarters of a number, presence of a list."""
    for place, column in enumerate(spec.numbers):
        if column.part:
            continue
        values = blocks.numbers[:, place]
        known = ~np.isnan(values)
        if column.missing and not known.all():
            yield column.name, "missing", ~known
        yield from _ranges(column.name, values, known)
    for place, column in enumerate(spec.categories):
        labels = ("missing", "any other", *column.vocabulary)
        for code in np.unique(blocks.codes[:, place]):
            yield column.name, labels[code], blocks.codes[:, place] == code
    for column, entries in zip(spec.ids, blocks.ids, strict=True):
        yield column.name, "empty", np.asarray(~(entries > 0).any(axis=1))


def _ranges(name: str, values: NDArray[np.float32], known: Mask) -> Iterator[tuple[str, str, Mask]]:
    """Quarters of a number, or its single values where there are few."""
    distinct = np.unique(values[known])
    if len(distinct) <= 2 * BINS:
        for value in distinct:
            yield name, f"= {value:g}", known & (values == value)
        return
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    low = -np.inf
    for high in (*edges, np.inf):
        mask = known & (values > low) & (values <= high)
        words = f"≤ {high:.4g}" if low == -np.inf else f"> {low:.4g}" if high == np.inf else f"{low:.4g} to {high:.4g}"
        yield name, words, mask
        low = high


def _varied(ranked: Sequence[Segment]) -> Iterator[Segment]:
    """The first few segments, with no feature taking all places."""
    taken: dict[str, int] = {}
    for segment in ranked:
        if taken.get(segment.feature, 0) < MOST_PER_FEATURE and sum(taken.values()) < MOST_SEGMENTS:
            taken[segment.feature] = taken.get(segment.feature, 0) + 1
            yield segment
