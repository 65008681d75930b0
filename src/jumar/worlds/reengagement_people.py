"""The people of the sequential world: who they are, what a message does to them, what can be seen of them.

In: a seed and numbers of blocks. Out: their state from day to day, features, and the exact laws by which they come,
tire and leave. Every law is one function of the same situation, whether of people, of logged rows or of a grid.
Only the modules of this world import this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jumar.worlds.base import Floats, block_rng

pc: Any = pyarrow.compute  # its functions come into being on import, where no type checker sees them

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCK_PEOPLE = 2_048
START_US = 1_772_409_600_000_000  # Monday 2 March 2026, 00:00 UTC
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
SEASON_DAYS = 28  # whole weeks, so that the day of the season also says the weekday
LONGEST_AWAY = 30  # whoever is away longer counts as this long away
REMEMBERED = 28  # days after which a last message is no longer told
LEAST_USUAL, MOST_USUAL = 0.2, 6.3  # visits in a usual week
DECAY = 0.8  # of a message's weight in the load, per day

SEGMENTS = ("reader", "seller", "member")
SEGMENT_WEIGHTS = np.array([0.45, 0.2, 0.35])
WORTH = np.array([0.45, 0.7, 0.55])  # of a visit, on average
PERSUASION = np.array([0.43, 0.6, 0.5])
SENSITIVITY = np.array([1.4, 0.6, 1.0])  # factor on the chance to leave over a message
THIN_SKIN = 0.5  # spread of the hidden trait: the logarithm of a further such factor
HOUR_WEIGHTS = np.array([0, 0, 0, 0, 0, 0, 1, 3, 5, 5, 4, 4, 6, 5, 4, 4, 4, 6, 8, 9, 8, 6, 3, 1.0])
HOUR_CHANCES = HOUR_WEIGHTS / HOUR_WEIGHTS.sum()

FEATURES = pa.schema(
    {
        "days_since_visit": pa.int64(),
        "visits_week": pa.int64(),
        "usual_visits": pa.float64(),
        "message_load": pa.float64(),
        "messages_week": pa.int64(),
        "days_since_message": pa.int64(),
        "taps_week": pa.int64(),
        "predicted_tap": pa.float64(),
        "segment": pa.string(),
        "tenure_days": pa.int64(),
        "hour": pa.int64(),
        "weekday": pa.int64(),
        "season_day": pa.int64(),
    }
)


class Situation(NamedTuple):
    """What the laws of one day depend on: arrays that broadcast against one another."""

    segment: Ints  # position in SEGMENTS
    usual: Floats  # visits in a usual week
    away: Ints  # days since the last visit, 1 to LONGEST_AWAY
    load: Floats  # messages so far, each weighing DECAY for every day since
    season_day: Ints  # 0 to SEASON_DAYS − 1; 0 is a Monday
    hour: Ints

    @classmethod
    def of(cls, contexts: pa.Table) -> Situation:
        """The situation of each row, from its features."""
        segment = pc.index_in(contexts["segment"].cast(pa.string()), value_set=pa.array(SEGMENTS))
        return cls(
            segment=segment.to_numpy().astype(np.int64),
            usual=contexts["usual_visits"].to_numpy(),
            away=np.minimum(contexts["days_since_visit"].to_numpy(), LONGEST_AWAY),
            load=contexts["message_load"].to_numpy(),
            season_day=contexts["season_day"].to_numpy(),
            hour=contexts["hour"].to_numpy(),
        )


@dataclass(frozen=True)
class Laws:
    """What happens on a day, exactly; every chance has shape [..., 2], for held and for sent.

    Attributes:
        inert: messages do nothing at all, now or later.
    """

    inert: bool = False

    def come(self, x: Situation) -> Floats:
        """Chance of a visit today.

        Who was here lately comes again; who is tired of messages comes less often, with or without one. A message
        persuades some of those who would have stayed away: best in the evening, and some days after the last visit.
        """
        season = 0.35 * np.cos(2 * np.pi / SEASON_DAYS * x.season_day) - 0.2 * (x.season_day % 7 >= 5)
        usual = np.log(x.usual / (7 - x.usual))
        tired = np.zeros_like(x.load) if self.inert else x.load
        unasked = sigmoid(0.4 + usual - 0.9 * np.log(x.away) + season - 0.15 * tired)
        if self.inert:
            return _two(unasked, unasked)
        evening = 1 + 0.3 * np.cos(2 * np.pi / 24 * (x.hour - 19))
        gone = sigmoid(1.2 * (x.away - 2.5)) * sigmoid(0.15 * (24.0 - x.away))
        persuaded = PERSUASION[x.segment] * evening * (0.3 + 0.7 * gone) * np.exp(-0.3 * tired)
        return _two(unasked, unasked + (1 - unasked) * persuaded)

    def worth(self, x: Situation) -> Floats:
        """Share of a visit's worth that is left: a message costs some of it, and more after many others."""
        cost = np.zeros_like(x.load) if self.inert else np.minimum(0.04 + 0.02 * x.load, 0.3)
        return _two(np.ones_like(cost), 1 - cost)

    def leave(self, x: Situation, thin_skin: Floats | float) -> Floats:
        """Chance to opt out today, for ever; ``thin_skin`` is the hidden trait, as a factor."""
        if self.inert:
            shape = np.broadcast_shapes(x.load.shape, np.shape(thin_skin))
            return np.full((*shape, 2), 0.01)
        sent = 0.0025 * SENSITIVITY[x.segment] * thin_skin * np.exp(0.42 * x.load)
        return _two(np.full_like(sent, 0.001), np.minimum(0.001 + sent, 0.5))


def worth_of_visit(segment: Ints, tenure_days: Ints) -> Floats:
    """Mean worth of an undisturbed visit, [rows]; it hardly moves in a month, so it changes no one's best action."""
    return WORTH[segment] * (0.9 + 0.2 * sigmoid((tenure_days - 300) / 150))


def predicted_tap(usual: Floats, away: Ints, taps: Ints, messages: Ints, hour: Ints) -> Floats:
    """The incumbent's model of the next click, [rows]: habit above all, and blind to what a message does later."""
    rate = (taps + 0.6) / (messages + 2)
    habit = 0.8 * np.log(usual) - 0.35 * np.log(away) + 2.2 * (rate - 0.3)
    return sigmoid(-0.9 + habit + 0.2 * np.cos(2 * np.pi / 24 * (hour - 19)))


class Draws(NamedTuple):
    """The chance of one day: whatever the policy, the same for the same person on the same day; [people] each."""

    hour: Ints
    moment: Floats  # within the hour, as this and all others uniform in [0, 1)
    action: Floats
    come: Floats
    worth: Floats
    leave: Floats
    tap: Floats


@dataclass(frozen=True)
class People:
    """People on the morning of one of their days, arrays [people] or [7 days, people], yesterday first.

    Attributes:
        number: of the person, in the whole world.
        segment, usual, tenure, start: what never changes: see Situation; days of tenure at the start; the calendar
            day of the start.
        thin_skin: the hidden trait.
        day: days since their start.
        here: has not opted out.
        away, load: see Situation.
        since_message: days since the last message; 0 if there was none.
        sent, tapped, visited: what happened in the last seven days.
    """

    number: Ints
    segment: Ints
    usual: Floats
    tenure: Ints
    start: Ints
    thin_skin: Floats
    day: int
    here: Bools
    away: Ints
    load: Floats
    since_message: Ints
    sent: Bools
    tapped: Bools
    visited: Bools

    def situation(self, hour: Ints) -> Situation:
        """What today's laws depend on."""
        return Situation(self.segment, self.usual, self.away, self.load, (self.start + self.day) % SEASON_DAYS, hour)

    def features(self, hour: Ints) -> pa.Table:
        """What is known before today's decision, one row for everybody who is still here."""
        here = np.flatnonzero(self.here)
        hour, away, usual, since = hour[here], self.away[here], self.usual[here], self.since_message[here]
        messages, taps, visits = (week[:, here].sum(axis=0) for week in (self.sent, self.tapped, self.visited))
        today = self.start[here] + self.day
        columns = [
            pa.array(away),
            pa.array(visits),
            pa.array(usual),
            pa.array(self.load[here]),
            pa.array(messages),
            pa.array(since, mask=(since == 0) | (since > REMEMBERED)),
            pa.array(taps),
            pa.array(predicted_tap(usual, away, taps, messages, hour)),
            pa.array(SEGMENTS).take(pa.array(self.segment[here])),
            pa.array(self.tenure[here] + self.day),
            pa.array(hour),
            pa.array(today % 7),
            pa.array(today % SEASON_DAYS),
        ]
        return pa.table(columns, schema=FEATURES)

    def first(self, people: int) -> People:
        """Only the first so many of them."""
        cut = {name: part[..., :people] for name, part in vars(self).items() if isinstance(part, np.ndarray)}
        return replace(self, **cut)


class Day(NamedTuple):
    """What came of one day, [people] each; nothing for those who had gone before."""

    reward: Floats
    visited: Bools
    sent: Bools
    left: Bools
    decided: Bools  # was still here in the morning


def live(people: People, laws: Laws, send: Bools, draws: Draws) -> tuple[People, Day]:
    """One day with these decisions, and the next morning."""
    x, at = people.situation(draws.hour), (np.arange(len(send)), send.astype(np.intp))
    send = send & people.here
    chance = laws.come(x)[at]
    visited = people.here & (draws.come < chance)
    mean = worth_of_visit(people.segment, people.tenure + people.day) * laws.worth(x)[at]
    reward = np.where(visited, mean + (2 * draws.worth - 1) * np.minimum(mean, 1 - mean), 0.0)
    left = people.here & (draws.leave < laws.leave(x, people.thin_skin)[at])
    tapped = visited & send & (draws.tap < 0.75)
    seen = people.since_message
    tomorrow = replace(
        people,
        day=people.day + 1,
        here=people.here & ~left,
        away=np.where(visited, 1, np.minimum(people.away + 1, LONGEST_AWAY)),
        load=DECAY * people.load + send,
        since_message=np.where(send, 1, np.where(seen > 0, seen + 1, 0)),
        sent=_rolled(people.sent, send),
        tapped=_rolled(people.tapped, tapped),
        visited=_rolled(people.visited, visited),
    )
    return tomorrow, Day(reward, visited, send, left, people.here)


class Crowd:
    """Whole blocks of people and their chance, which is drawn in the same order whatever is decided."""

    def __init__(self, seed: int, blocks: range) -> None:
        self.start = _joined([_arrivals(block_rng(seed, block, stream=0), block) for block in blocks])
        self._chances = [block_rng(seed, block, stream=1) for block in blocks]

    def draws(self) -> Draws:
        """The chance of the next day."""
        uniform = np.concatenate([rng.random((7, BLOCK_PEOPLE)) for rng in self._chances], axis=1)
        return Draws(np.searchsorted(np.cumsum(HOUR_CHANCES)[:-1], uniform[0], side="right"), *uniform[1:])


def _arrivals(rng: np.random.Generator, block: int) -> People:
    """One block of people on their first morning: nobody has had a message yet."""
    n = BLOCK_PEOPLE
    usual = np.clip(np.exp(0.5 + 0.7 * rng.standard_normal(n)), LEAST_USUAL, MOST_USUAL)
    away = np.minimum(1 + (rng.standard_exponential(n) * 9 / usual).astype(np.int64), LONGEST_AWAY)
    days_ago = np.arange(1, 8)[:, None]
    visited = np.where(days_ago > away, rng.random((7, n)) < usual / 7, days_ago == away)
    return People(
        number=block * n + np.arange(n),
        segment=np.searchsorted(np.cumsum(SEGMENT_WEIGHTS)[:-1], rng.random(n), side="right"),
        usual=usual,
        tenure=1 + rng.gamma(1.2, 250, n).astype(np.int64),
        start=rng.integers(0, SEASON_DAYS, n),
        thin_skin=np.exp(THIN_SKIN * rng.standard_normal(n)),
        day=0,
        here=np.ones(n, bool),
        away=away,
        load=np.zeros(n),
        since_message=np.zeros(n, np.int64),
        sent=np.zeros((7, n), bool),
        tapped=np.zeros((7, n), bool),
        visited=visited,
    )


def _joined(groups: list[People]) -> People:
    arrays = [name for name, part in vars(groups[0]).items() if isinstance(part, np.ndarray)]
    return replace(groups[0], **{name: np.concatenate([vars(g)[name] for g in groups], axis=-1) for name in arrays})


def _rolled(week: Bools, today: Bools) -> Bools:
    return np.concatenate([today[None], week[:-1]])


def _two(held: Floats, sent: Floats) -> Floats:
    return np.stack(np.broadcast_arrays(held, sent), axis=-1)


def sigmoid(x: NDArray[Any]) -> Floats:
    """1/(1 + e^−x), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)
