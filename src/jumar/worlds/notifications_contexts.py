"""Who is decided about in the founding world, and when: the marginals of its features.

In: a seed and the number of a block. Out: that block's contexts as one Arrow table.
Counts are skewed and lean on one another through two latent traits of a page, how engaged its owner is and
how big it is; neither is in the table, and no reward depends on them. Only ``notifications`` imports this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jumar.worlds.base import BLOCK_ROWS, block_rng

pc: Any = pyarrow.compute  # its functions come into being on import, where no type checker sees them

CATEGORIES = ("shop", "restaurant", "creator", "services", "community", "nonprofit", "events", "other")
CATEGORY_WEIGHTS = np.array([0.22, 0.17, 0.16, 0.14, 0.11, 0.06, 0.06, 0.08])
DEVICES = ("android", "ios", "web", "tablet")
DEVICE_WEIGHTS = np.array([0.52, 0.27, 0.11, 0.04, 0.06])  # the last is "missing"
_LARGE = ("IN", "US", "BR", "ID", "MX", "PH", "VN", "TH", "GB", "DE")
COUNTRIES = (*_LARGE, "FR", "IT", "NG", "EG", "TR", "AR", "CO", "PL", "KE", "NZ")  # by falling weight
COUNTRY_WEIGHTS = 1 / np.arange(1.5, len(COUNTRIES) + 1.5)
TOPICS = 48
TIMELY_TOPICS = (2, 7, 11, 19, 30, 41)
HOUR_WEIGHTS = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 9, 10, 9, 9, 9, 10, 11, 12, 13, 13, 11, 8, 4.0])

WEEK_START_US = 1_772_409_600_000_000  # Monday 2 March 2026, 00:00 UTC
MINUTE_US = 60_000_000
MINUTES_PER_DAY = 1_440
WEEK_US = 7 * MINUTES_PER_DAY * MINUTE_US
MEAN_FURTHER_DECISIONS = 2.0


def draw_contexts(seed: int, block: int, week: int = 0) -> pa.Table:
    """One whole block of BLOCK_ROWS contexts, ordered by time; a unit never reaches into the next block.

    ``week`` moves all times by so many weeks and leaves everything else as it is.

    Identity: ``decision_id``, ``unit`` (string), ``time`` (timestamp[us]).
    Features: ``days_since_visit`` (double, null if never), ``last_visit_at`` (timestamp[us], the same fact);
    ``requests_waiting``, ``likes_week``, ``messages_unread``, ``recent_taps``, ``recent_sends``,
    ``page_age_days``, ``hour``, ``weekday`` (int64; Monday is 0), ``followers`` (int64, may be null);
    ``likes_usual_week`` (double, null below four weeks of age); ``category``, ``country`` (string);
    ``device`` (string, may be null); ``has_ads`` (bool, may be null); ``topics`` (list<int64>, may be empty).
    """
    rng = block_rng(seed, block, stream=0)
    owner, units = _owners(rng)
    traits = _Traits(rng, units)
    moment, hour, weekday = _moments(rng)
    moment += week * WEEK_US
    columns: dict[str, pa.Array] = {
        "decision_id": _identifiers(f"d{seed}-", block * BLOCK_ROWS + np.arange(BLOCK_ROWS)),
        "unit": _identifiers(f"page{seed}-", block * BLOCK_ROWS + owner),
        "time": pa.array(moment, pa.timestamp("us")),
    }
    columns |= _activity(rng, traits, owner, moment)
    columns |= {"hour": pa.array(hour), "weekday": pa.array(weekday)}
    columns |= _page(rng, traits, owner)
    return pa.table(columns)


class _Traits:
    """What a unit keeps from decision to decision, arrays [units]."""

    def __init__(self, rng: np.random.Generator, units: int) -> None:
        self.engaged = rng.standard_normal(units)
        self.size = rng.standard_normal(units)
        self.age_days = np.minimum(rng.gamma(0.9, 800, units).astype(np.int64) + 1, 6_000)
        self.followers = np.exp(4.6 + 1.5 * self.size + 0.1 * self.engaged).astype(np.int64)
        self.usual_likes = 0.25 * (self.followers + 1.0) ** 0.75 * rng.gamma(2.0, 0.5, units)
        self.sends = rng.gamma(2.5, 2.2, units) * np.exp(0.15 * self.engaged)
        self.tap_chance = _sigmoid(-0.7 + 0.75 * self.engaged + 0.5 * rng.standard_normal(units))


def _owners(rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """The unit of each row, in random order, and the number of units; about three decisions each."""
    decisions = 1 + rng.poisson(MEAN_FURTHER_DECISIONS, BLOCK_ROWS)
    ends = np.cumsum(decisions)
    units = int(np.searchsorted(ends, BLOCK_ROWS)) + 1
    owner = np.repeat(np.arange(units), decisions[:units])[:BLOCK_ROWS]
    return rng.permutation(owner), units


def _moments(rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Microseconds since 1970 in rising order, hour and weekday, [rows] each."""
    hours = np.tile(HOUR_WEIGHTS / HOUR_WEIGHTS.sum() / 7, 7)
    hour_of_week = np.sort(_choices(rng, hours, BLOCK_ROWS))
    within = rng.integers(0, 60 * MINUTE_US, BLOCK_ROWS)
    moment = np.sort(WEEK_START_US + hour_of_week * (60 * MINUTE_US) + within)
    return moment, hour_of_week % 24, hour_of_week // 24


def _activity(
    rng: np.random.Generator, traits: _Traits, owner: NDArray[np.int64], moment: NDArray[np.int64]
) -> dict[str, pa.Array]:
    """What has happened since the last visit and in recent weeks."""
    engaged, size = traits.engaged[owner], traits.size[owner]
    age_minutes = traits.age_days[owner] * MINUTES_PER_DAY
    minutes = rng.gamma(0.8, 4.2 * MINUTES_PER_DAY, BLOCK_ROWS) * np.exp(-0.75 * engaged)
    minutes = np.minimum(minutes.astype(np.int64) + 5, np.minimum(age_minutes, 365 * MINUTES_PER_DAY))
    days = minutes / MINUTES_PER_DAY
    never = rng.random(BLOCK_ROWS) < 0.02
    waiting = np.minimum(days, 20) ** 0.6 * np.exp(-0.9 + 0.35 * size) * rng.gamma(0.7, 1.4, BLOCK_ROWS)
    unread = np.minimum(days, 15) ** 0.5 * np.exp(-1.2 + 0.2 * size) * rng.gamma(0.6, 1.6, BLOCK_ROWS)
    usual = traits.usual_likes[owner]
    surge = np.exp(0.35 * rng.standard_normal(BLOCK_ROWS) + 1.1 * (rng.random(BLOCK_ROWS) < 0.13))
    sends = np.minimum(rng.poisson(traits.sends[owner]), 40)
    return {
        "days_since_visit": pa.array(days, mask=never),
        "last_visit_at": pa.array(moment - minutes * MINUTE_US, pa.timestamp("us"), mask=never),
        "requests_waiting": pa.array(rng.poisson(waiting)),
        "likes_week": pa.array(rng.poisson(usual * surge)),
        "likes_usual_week": pa.array(np.round(usual, 1), mask=traits.age_days[owner] < 28),
        "messages_unread": pa.array(rng.poisson(unread)),
        "recent_taps": pa.array(rng.binomial(sends, traits.tap_chance[owner])),
        "recent_sends": pa.array(sends),
    }


def _page(rng: np.random.Generator, traits: _Traits, owner: NDArray[np.int64]) -> dict[str, pa.Array]:
    """What hardly changes: drawn once per unit, repeated for its decisions."""
    units = len(traits.size)
    category = _choices(rng, CATEGORY_WEIGHTS, units)
    device = _choices(rng, DEVICE_WEIGHTS, units)
    country = _choices(rng, COUNTRY_WEIGHTS, units)
    ads = rng.random(units) < _sigmoid(-1.6 + 0.8 * traits.size)
    ads_unknown = (rng.random(units) < 0.05)[owner]
    followers_unknown = (rng.random(units) < 0.02)[owner]
    return {
        "page_age_days": pa.array(traits.age_days[owner]),
        "followers": pa.array(traits.followers[owner], mask=followers_unknown),
        "category": _words(category[owner], CATEGORIES),
        "device": _words(device[owner], DEVICES),
        "country": _words(country[owner], COUNTRIES),
        "has_ads": pa.array(ads[owner], mask=ads_unknown),
        "topics": _topics(rng, category).take(pa.array(owner)),
    }


def _topics(rng: np.random.Generator, category: NDArray[np.int64]) -> pa.ListArray:
    """A set of topic ids per unit, [units] lists in rising order; half are from the category's own ids."""
    length = rng.poisson(2.2, len(category))
    owner = np.repeat(np.arange(len(category)), length)
    common = np.minimum(rng.exponential(9.0, len(owner)), TOPICS - 1).astype(np.int64)
    own = category[owner] * (TOPICS // len(CATEGORIES)) + rng.integers(0, TOPICS // len(CATEGORIES), len(owner))
    topic = np.where(rng.random(len(owner)) < 0.5, own, common)
    pairs = np.unique(owner * TOPICS + topic)  # also drops a topic that was drawn twice
    offsets = np.searchsorted(pairs, np.arange(len(category) + 1) * TOPICS)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(pairs % TOPICS))


def _choices(rng: np.random.Generator, weights: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Draw positions with probability proportional to ``weights``, [size]."""
    edges = np.cumsum(weights / weights.sum())[:-1]
    return np.searchsorted(edges, rng.random(size), side="right").astype(np.int64)


def _words(codes: NDArray[np.int64], words: tuple[str, ...]) -> pa.Array:
    """Strings for codes; a code past the end is null."""
    indices = pa.array(codes.astype(np.int32), mask=codes >= len(words))
    return pa.DictionaryArray.from_arrays(indices, pa.array(words)).cast(pa.string())


def _identifiers(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * x)
