"""Behaviour is counted as it was played: boards set up by hand, and players of whom it is known what they do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boards_of_play import EAST, JAILED, Place, board, field

from jumar.play import RANDOM, PlayError, Policy, draw, maps, play, rules
from jumar.play.match import Result, play_on
from jumar.play.measure import behaviour, hunts, two_jailed
from jumar.play.measure.behaviour import Behaviour
from jumar.play.measure.entrants import BOTS, Entrant
from jumar.play.measure.hunts import Hunts
from jumar.play.measure.ratings import Share, share, surplus
from jumar.play.rules import BLUE, DRAW, LIMIT, RED, TURN, State

ROUND = 2 * TURN
MAPS, ROUNDS = 24, 40  # of all tests, so that each program compiles once
REDS = [(2, 1), (2, 3), (2, 5), (2, 7)]
BLUES = [(11, 7), (11, 5), (11, 3), (11, 1)]
ONE = np.zeros(1)


def stacked(*boards: State) -> tuple[maps.Field, State]:
    """These boards, the last again until they are as many as all tests use, and the field without trees for each."""
    filled = [*boards, *[boards[-1]] * (MAPS - len(boards))]
    ground = jax.tree.map(lambda leaf: jnp.stack([leaf] * MAPS), field())
    return ground, jax.tree.map(lambda *leaves: jnp.stack(leaves), *filled)


def steps(*given: tuple[int, int, int]) -> jax.Array:
    """[boards, ticks] stays, but for these: (board, tick, action)."""
    actions = np.zeros((MAPS, ROUNDS * ROUND), np.int8)
    for place, tick, action in given:
        actions[place, tick] = action
    return jnp.asarray(actions)


def turned(places: Sequence[Place]) -> list[Place]:
    """The same places seen from the other side."""
    return [None if place is None else (13 - place[0], 8 - place[1]) for place in places]


# Packs


def test_packs_and_how_often_three_are_about() -> None:
    """Red hunts a player of blue; three near it or one, one that steps onto it or none that does."""
    pack, lone, far = [(5, 1), (5, 3), (4, 2), (2, 7)], [(5, 1), *REDS[1:]], [(4, 1), *REDS[1:]]
    prey = [(6, 1), *BLUES[1:]]
    fields, begun = stacked(*(board(reds, prey, rounds=1) for reds in (pack, lone, pack, far)))
    found = hunts.counted(fields, begun, steps((0, 0, EAST), (1, 0, EAST)), RED)
    found = Hunts(*(counts[:4] for counts in found))
    assert found.tags.tolist() == [1, 1, 0, 0]
    assert found.packs.tolist() == [1, 0, 0, 0]
    # The tag itself was a chance. Where none is made there is one in each of red's three sweeps; in blue's the prey
    # would step back over the midline, and the one that is next to it would be none of red's.
    assert found.chances.tolist() == [1, 1, 6, 0]
    assert found.packs_about.tolist() == [1, 0, 6, 0]


def test_packs_of_the_other_side_and_after_the_end() -> None:
    """The same board turned round: blue hunts after red's three sweeps. What is over is not looked at."""
    pack, prey = [(5, 1), (5, 3), (4, 2), (2, 7)], [(6, 1), *BLUES[1:]]
    hunted = board(turned(prey), turned(pack), rounds=1)
    over = hunted._replace(winner=jnp.int32(DRAW))
    fields, begun = stacked(hunted, over, hunted, over)
    moves = steps((0, TURN, EAST), (1, TURN, EAST))
    found = Hunts(*(counts[:4] for counts in hunts.counted(fields, begun, moves, BLUE)))
    assert [found.tags.tolist(), found.packs.tolist()] == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert found.packs_about.tolist() == [4, 0, 6, 0]
    other = hunts.counted(fields, begun, moves, RED)
    assert not any(counts[:4].any() for counts in other)


def wandered(seed: int) -> Hunts:
    """Blue walks east whatever there is; red, which sees nothing, wanders about its home, some alone and some not."""
    rng = np.random.default_rng(seed)
    red = rng.choice(5, p=[0.4, 0.2, 0, 0.2, 0.2], size=(MAPS, ROUNDS, 1, TURN))
    blue = rng.choice(5, p=[0.15, 0.15, 0.4, 0.15, 0.15], size=(MAPS, ROUNDS, 1, TURN))
    fields = jax.tree.map(jnp.asarray, draw(seed, MAPS, maps.SIZES[1]))
    begun = jax.vmap(lambda ground: rules.start(ground, RED, ROUNDS))(fields)
    actions = np.concatenate([red, blue], axis=2).reshape(MAPS, -1).astype(np.int8)
    return hunts.counted(fields, begun, jnp.asarray(actions), RED)


def test_a_clump_that_tags_by_accident_has_no_surplus() -> None:
    tags, packs, chances, about = (np.concatenate(one) for one in zip(*map(wandered, range(8)), strict=True))
    rate, found = known(share(packs, tags)), known(surplus(packs, tags, about, chances))
    assert tags.sum() > 400
    assert rate.low > 0.25, "and yet it looks like packs"
    assert found.low < 0 < found.high
    # If those that are alone let half of their prey go, it is seen.
    lone = np.random.default_rng(0).binomial(tags - packs, 0.5)
    assert known(surplus(packs, packs + lone, about, chances)).low > 0


# Two in jail


def test_the_first_state_with_two_in_jail() -> None:
    two, one = [JAILED, JAILED, *REDS[2:]], [JAILED, (8, 4), *REDS[2:]]
    fields, begun = stacked(
        board(two, BLUES), board(two, [JAILED, JAILED, *BLUES[2:]]), board(one, [(9, 4), *BLUES[1:]]), board(one, BLUES)
    )
    moves = steps((2, 1, EAST))  # it walks into an enemy at home
    found, states = two_jailed.first_states(fields, begun, moves, RED)
    assert found[:4].tolist() == [True, False, True, False]
    assert states.tick[:4].tolist() == [0, 0, ROUND, 0]
    assert (~states.red.free).sum(axis=1).tolist()[2] == 2
    assert (states.winner[:4] == DRAW).tolist() == [False, True, False, True], "there is nothing to go on from"
    assert not two_jailed.first_states(fields, begun, moves, BLUE)[0].any()


def test_answers() -> None:
    """Red has two in jail, in the far upper corner; blue's flag is at (12, 5)."""

    def two(*free: Place, blue: list[tuple[int, int]] = BLUES) -> State:
        return board([JAILED, JAILED, *free], blue)

    home = REDS[3]
    boards = {
        "stays": two(REDS[2], home),
        "bails": two((8, 0), home),
        "bails late": two((8, 0), home),
        "rescues": two((10, 0), home),
        "rushes": two((7, 5), home),
        "decoys": two((8, 8), (7, 2)),
        "draws off alone": two((8, 8), home),
        "goes alone": two(REDS[2], (7, 2)),
        "nobody to bail": board([(9, 0), *REDS[1:]], BLUES),
    }
    fields, states = stacked(*boards.values())
    after = two_jailed.AFTER * ROUND
    moves = steps((1, 2, EAST), (2, after + 2, EAST), (3, 2, EAST), (3, 6, EAST))
    winner = jnp.array([RED, BLUE, DRAW, BLUE, BLUE, BLUE, BLUE, RED, *[DRAW] * (MAPS - 8)])[None, None]
    result = Result(winner, None, None, states, moves[None, None])
    told = two_jailed.answered(fields, states, result, RED)
    found = {name: [what for what in ("bails", "rescues", "rushes", "decoys") if getattr(told, what)[i]]
             for i, name in enumerate(boards)}  # fmt: skip
    assert found == {
        "stays": [], "bails": ["bails"], "bails late": [], "rescues": ["bails", "rescues", "rushes"],
        "rushes": ["rushes"], "decoys": ["decoys"], "draws off alone": [], "goes alone": [],
        "nobody to bail": [],
    }  # fmt: skip
    assert np.flatnonzero(told.wins).tolist() == [0, 7]
    assert np.flatnonzero(told.draws).tolist() == [2, *range(8, MAPS)]
    assert told.losses.sum() == 5
    assert two_jailed.answered(fields, states, result, BLUE).losses.sum() == 2


# Games that go on


def _by_the_clock(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return 1e5 * jnp.broadcast_to((jnp.arange(5) + sensed) % 5, (4, 5)).astype(float)


CLOCK = Policy(_by_the_clock, lambda field, mine, theirs, tick: tick // 4 * 7 % 5)


def test_games_go_on_as_if_they_had_never_stopped() -> None:
    """Players that do what the clock says, which would not do the same from the beginning."""
    fields = draw(3, 5, maps.SIZES[1])
    whole = play(fields, CLOCK, ONE, CLOCK, ONE, jax.random.key(0), rounds=6, keep=True)
    begun = jax.vmap(lambda ground: rules.start(ground, RED, 6))(jax.tree.map(jnp.asarray, fields))
    short = begun._replace(limit=begun.limit * 0 + 2 * ROUND)
    half = play_on(fields, short, CLOCK, ONE, CLOCK, ONE, jax.random.key(1), rounds=6, keep=True).state
    half = jax.tree.map(lambda leaf: leaf[0, 0], half)
    assert half.tick.tolist() == [2 * ROUND] * 5
    half = half._replace(limit=begun.limit, winner=begun.winner, ending=begun.ending)
    on = play_on(fields, half, CLOCK, ONE, CLOCK, ONE, jax.random.key(1), rounds=6, keep=True)
    for ours, theirs in zip(jax.tree.leaves(on.state), jax.tree.leaves(whole.state), strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(on.actions[0, 0, :, : 4 * ROUND], whole.actions[0, 0, :, 2 * ROUND :])
    assert (np.asarray(on.ending) == LIMIT).all()


@pytest.mark.parametrize(
    "change", [{"tick": jnp.full(MAPS, 4)}, {"tick": jnp.zeros(2, int)}, {"first": jnp.full(MAPS, BLUE)}]
)
def test_states_from_which_no_game_goes_on(change: dict[str, Any]) -> None:
    fields, states = stacked(board(REDS, BLUES))
    with pytest.raises(PlayError, match="beginning of a round of red's"):
        play_on(fields, states._replace(**change), RANDOM, ONE, RANDOM, ONE, jax.random.key(0))


# The whole


def _to_the_jail(params: Any, sensed: Any, mask: Any, key: Any) -> jax.Array:
    return jnp.broadcast_to(jnp.array([0.0, 20, 40, 0, 0]), (4, 5))


@pytest.fixture(scope="module")
def measured() -> Behaviour:
    """A player that steps at random, held against one that always goes to the corner in which its mates sit."""
    goes = Entrant("greedy", None, Policy(_to_the_jail, RANDOM.sense), ONE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behaviour, "BOTS", (BOTS[0], goes))
        player = Entrant("anybody", 7, RANDOM, ONE)
        return behaviour.measure(player, BOTS[0], draw(21, MAPS, maps.SIZES[1]), 5, blinded=RANDOM, rounds=ROUNDS)


def known(part: Share | None) -> Share:
    assert part is not None
    return part


def test_everybody_is_measured(measured: Behaviour) -> None:
    names = ["anybody", "anybody, mates unseen", "greedy", "random"]
    assert [one.name for one in measured.hunting] == [one.name for one in measured.cornered] == names
    for one in measured.hunting:
        if one.tags:
            assert known(one.pack_rate).mean == one.packs / one.tags
    assert measured.hunting[0].tags > 0


def test_who_goes_to_the_jail_is_seen_to_go_there(measured: Behaviour) -> None:
    player, _, goes, random = measured.cornered
    assert measured.states >= 5
    assert measured.led_by == "anybody"
    assert known(goes.bails).low > max(known(one.bails).mean for one in (player, random))
    assert known(goes.rescues).mean > known(player.rescues).mean
    for one in measured.cornered:
        assert sum(known(part).mean for part in (one.wins, one.draws, one.losses)) == pytest.approx(1)


def test_who_leads_into_the_states_is_one_of_those_compared() -> None:
    with pytest.raises(PlayError, match="Nobody of this name is compared"):
        behaviour.measure(BOTS[0], BOTS[0], draw(21, 1, maps.SIZES[1]), 5, led_by="somebody")


def test_leads_are_of_points(measured: Behaviour) -> None:
    player, _, goes, _ = measured.cornered
    points = [known(one.wins).mean + known(one.draws).mean / 2 for one in (goes, player)]
    lead = known(goes.lead)
    assert player.lead is None
    assert lead.mean == pytest.approx(points[0] - points[1])
    assert lead.low < lead.mean < lead.high


def test_a_document_gives_the_behaviour_again(measured: Behaviour, tmp_path: Path) -> None:
    measured.save(tmp_path / "behaviour.json")
    assert behaviour.load(tmp_path / "behaviour.json") == measured
    given = json.loads(measured.to_json())
    assert (given["format"], given["version"]) == ("jumar.play.behaviour", 3)
    for change, told in (
        ({"version": 1}, "of version 1"),
        ({"hunting": []}, "damaged"),
        ({"format": 1}, "no behaviour"),
    ):
        (tmp_path / "other.json").write_text(json.dumps(given | change), encoding="utf-8")
        with pytest.raises(PlayError, match=told):
            behaviour.load(tmp_path / "other.json")


def test_a_table_of_behaviour(measured: Behaviour) -> None:
    lines = behaviour.table(measured).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "anybody against random: 24 maps, both sides; 95% intervals by map"
    assert lines[3].startswith("anybody ")
    assert lines[-1].startswith("lead")
