"""What players do, measured and not asserted: whether they hunt in packs, and what they do once two are in jail.

In: a player, its opponent, a stack of maps that are in no training, a seed. Out: a ``Behaviour``: the same figures
for the player, for it with its mates unseen, and for both bots in its chair, so that what is called a behaviour has
something to be compared with. It is one JSON document, and ``table`` for a terminal.

It is about one player of one training against one opponent. Each interval holds its truth in 95 of 100 cases by itself:
of forty in a table two are off. Say before which one you look at, or ask for more than that it leaves out nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jumar.play import limits, rules
from jumar.play.errors import PlayError
from jumar.play.maps import Field
from jumar.play.match import Policy, Result, play_on
from jumar.play.measure import hunts, two_jailed
from jumar.play.measure.documents import Kind, Measured, columns
from jumar.play.measure.entrants import BOTS, Entrant
from jumar.play.measure.hunts import Hunts
from jumar.play.measure.ratings import Share, lead, share, surplus
from jumar.play.measure.two_jailed import Answers
from jumar.play.rules import BLUE, RED, ROUNDS, State

UNSEEN = "mates unseen"


@dataclass(frozen=True)
class Hunting:
    """How one of those compared tags. Shares are None where there was nothing to count.

    Attributes:
        name: who.
        tags: how many enemies it jailed.
        packs: how many of these while three or more of its free players were within three cells.
        pack_rate: packs over tags.
        in_reach: how often three or more were about where one of its players and an enemy were one step from a tag,
            whether it was made or not. It is what the pack rate is of players that walk in a clump and meet enemies by
            accident.
        surplus: the pack rate less that. Above 0 its tags are more often by packs than its chances are: it waits for
            mates or comes with them, or those of its players that keep together are the keener ones. Else it walks in
            a clump or alone, and nothing says that it hunts in packs.
    """

    name: str
    tags: int
    packs: int
    pack_rate: Share | None
    in_reach: Share | None
    surplus: Share | None


@dataclass(frozen=True)
class Cornered:
    """What one of those compared does from the states in which the player's side first had two in jail.

    Shares are of these states, and None if there were none; see ``two_jailed.Answers``. Somebody came into them by a
    way of playing, and others might never have: so this says who does what and who does better there, and not who is
    better with two in jail, nor in states of their own.

    Attributes:
        name: who.
        bails: came near the jail.
        rescues: freed its mates.
        rushes: came near the flag, or were there.
        decoys: were near an enemy, as a decoy is, while another was near the flag or the jail. Whether the enemy
            followed is not looked at, nor whether it was meant.
        wins: of the games, in the end.
        draws: of the games.
        losses: of the games.
        lead: its points, a draw being ½, less the player's from the same states, state by state.
    """

    name: str
    bails: Share | None
    rescues: Share | None
    rushes: Share | None
    decoys: Share | None
    wins: Share | None
    draws: Share | None
    losses: Share | None
    lead: Share | None


@dataclass(frozen=True)
class Behaviour(Measured):
    """Measured behaviour; the first of every list is the player, the others are what it is compared with.

    Attributes:
        player: its name.
        opponent: who it plays against.
        size: columns and rows of the maps.
        maps: how many, each with a game from both sides.
        rounds: after which a game is decided by its score.
        seed: of all chance.
        hunting: in whole games.
        led_by: who played in the player's chair until it had two in jail.
        states: in how many of these games it came to that.
        cornered: from these states.
    """

    player: str
    opponent: str
    size: tuple[int, int]
    maps: int
    rounds: int
    seed: int
    hunting: tuple[Hunting, ...]
    led_by: str
    states: int
    cornered: tuple[Cornered, ...]


def measure(
    player: Entrant, opponent: Entrant, fields: Field, seed: int, *, blinded: Policy | None = None,
    led_by: str | None = None, rounds: int = ROUNDS,
) -> Behaviour:  # fmt: skip
    """Let the player, and those it is compared with, play the opponent on all maps, both sides.

    Args:
        player: whose behaviour it is.
        opponent: whom all play.
        fields: a stack of maps, of a seed below ``training.HELD_OUT`` and thus in no training.
        seed: of all chance.
        blinded: plays the player's parameters without what its senses tell of mates.
        led_by: whose games lead to the states with two in jail, by name; the player's by default.
        rounds: after which a game is decided by its score.

    Raises:
        PlayError: nobody of this name is compared, or the numbers are out of their ranges.
    """
    limits.within("seed", seed, 0, limits.SEED)
    unseen = [] if blinded is None else [Entrant(f"{player.name}, {UNSEEN}", player.generation, blinded, player.params)]
    compared = [player, *unseen, *reversed(BOTS)]
    names = [one.name for one in compared]
    led_by = led_by or player.name
    if led_by not in names:
        raise PlayError("Nobody of this name is compared", where="led_by", example=led_by,
                        remedy=f"Say one of {', '.join(names)}.")  # fmt: skip
    leads = names.index(led_by)
    fields = Field(*map(jnp.asarray, fields))
    hunted: list[list[Hunts]] = []
    answered: list[list[Answers]] = []
    found: list[np.ndarray] = []
    for chair in (RED, BLUE):
        table = _Table(fields, opponent, chair, jax.random.fold_in(jax.random.key(seed), chair), rounds)
        begun = table.begun()
        games = [table.play(begun, one, place) for place, one in enumerate(compared)]
        hunted.append([hunts.counted(fields, begun, game.actions[0, 0], chair) for game in games])
        there, states = two_jailed.first_states(fields, begun, games[leads].actions[0, 0], chair)
        after = [table.play(states, one, len(compared) + place) for place, one in enumerate(compared)]
        answered.append([two_jailed.answered(fields, states, game, chair) for game in after])
        found.append(there)
    height, width = fields.way.shape[1:]
    return Behaviour(
        player.name, opponent.name, (width, height), len(fields.flag), rounds, seed,
        tuple(_hunting(one.name, *both) for one, *both in zip(compared, *hunted, strict=True)),
        led_by, int(np.sum(found)), _cornered(names, answered, np.array(found)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """The maps, the opponent, and a chair at which one after the other sits down."""

    fields: Field
    opponent: Entrant
    chair: int
    key: Any
    rounds: int

    def begun(self) -> State:
        return jax.vmap(lambda field: rules.start(field, RED, self.rounds))(self.fields)

    def play(self, states: State, one: Entrant, place: int) -> Result:
        red, blue = rules.swap(self.chair == BLUE, one, self.opponent)
        return play_on(self.fields, states, red.policy, red.params, blue.policy, blue.params,
                       jax.random.fold_in(self.key, place), rounds=self.rounds, keep=True)  # fmt: skip


def _hunting(name: str, *both: Hunts) -> Hunting:
    per_map = Hunts(*map(sum, zip(*both, strict=True)))
    return Hunting(
        name, int(per_map.tags.sum()), int(per_map.packs.sum()), share(per_map.packs, per_map.tags),
        share(per_map.packs_about, per_map.chances),
        surplus(per_map.packs, per_map.tags, per_map.packs_about, per_map.chances),
    )  # fmt: skip


def _cornered(names: list[str], answered: list[list[Answers]], found: np.ndarray) -> tuple[Cornered, ...]:
    """Shares of the states found, [2, maps], of all who were asked."""
    trials = found.sum(axis=0)
    told, points = [], []
    for name, *both in zip(names, *answered, strict=True):
        stacked = Answers(*map(np.stack, zip(*both, strict=True)))
        points.append(((stacked.wins + stacked.draws / 2) * found).sum(axis=0))
        shares = {
            what: share((answer * found).sum(axis=0), trials)
            for what, answer in zip(Answers._fields, stacked, strict=True)
        }
        told.append(Cornered(name, **shares, lead=lead(points[-1], points[0], trials) if len(points) > 1 else None))
    return tuple(told)


def _sound(behaviour: Behaviour) -> bool:
    names = [one.name for one in behaviour.hunting]
    return bool(names) and names[0] == behaviour.player and names == [one.name for one in behaviour.cornered]


DOCUMENT = Behaviour.kind = Kind(Behaviour, "behaviour", 3, _sound)
load = DOCUMENT.load


def table(behaviour: Behaviour) -> str:
    """The behaviour for a terminal, at most 100 columns wide."""
    tags = [["tags by three or more within three cells", "tags", "pack rate %", "in reach %", "surplus"]]
    for one in behaviour.hunting:
        tags.append([one.name[:40], str(one.tags), *map(_percent, (one.pack_rate, one.in_reach, one.surplus))])
    names = (one.name.removeprefix(f"{behaviour.player}, ")[:18] for one in behaviour.cornered)
    rows = [[f"% of {behaviour.states}", *names]]
    for name in (*Answers._fields, "lead"):
        rows.append([name, *(_percent(getattr(one, name)) for one in behaviour.cornered)])
    about = f"{behaviour.player} against {behaviour.opponent}: {behaviour.maps} maps, both sides; 95% intervals by map"
    return (
        f"{about}\n\n{columns(tags)}\n\n"
        "in reach: of the chances of a tag, made or not, those with three or more about\n"
        "surplus: pack rate less in reach; about 0 for who walks in a clump and tags by accident\n"
        "each interval is 95% sure by itself: of forty, two are off\n\n"
        f"from states in which {behaviour.led_by} first had two in jail, {two_jailed.AFTER} rounds, and the end;\n"
        "its way of playing led to them, so they tell nothing of states of the others' own\n"
        f"{columns(rows)}"
    )


def _percent(part: Share | None) -> str:
    return "–" if part is None else f"{100 * part.mean:.0f} ({100 * part.low:.0f} to {100 * part.high:.0f})"
