"""A league finds the strengths that made its games, shows cycles, and is as unsure as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jumar.play import PlayError, Policy, draw, maps
from jumar.play.measure import entrants, league
from jumar.play.measure.entrants import BOTS, Entrant
from jumar.play.measure.league import League
from jumar.play.measure.ratings import elo, lead, mean, share, surplus

STRENGTHS = np.array([0.0, 200.0, 350.0, -150.0])
NO_PLAYER = Policy(lambda params, sensed, mask, key: params, lambda field, mine, theirs, tick: None)


def simulated(count: int, seed: int, strengths: np.ndarray = STRENGTHS) -> np.ndarray:
    """[players, players, maps] games of players of known strength."""
    wins = 1 / (1 + 10 ** ((strengths - strengths[:, None]) / 400))
    return (np.random.default_rng(seed).random((*wins.shape, count)) < wins[..., None]).astype(np.float64)


def table_of(names: int, wins: dict[tuple[int, int], float], count: int = 50) -> np.ndarray:
    """[names, names, maps] draws, but for these pairs, who win this share whether they move first or second."""
    scored = np.full((names, names, count), 0.5)
    for (i, j), worth in wins.items():
        scored[i, j], scored[j, i] = worth, 1 - worth
    return scored


def everybody(*generations: int) -> list[Entrant]:
    return [*(Entrant(f"champion {g}", g, NO_PLAYER, np.zeros(1)) for g in generations), *BOTS]


# Ratings


def test_known_strengths_are_recovered() -> None:
    found = elo(simulated(4_000, 0), 0, seed=0, resamples=200)
    assert [one.elo for one in found] == pytest.approx(STRENGTHS.tolist(), abs=12)
    assert (found[0].elo, found[0].low, found[0].high) == (0, 0, 0)


def test_two_players_by_hand() -> None:
    """Three points of four games and a win more of each: odds of 4 to 2, 400 log10 2 of Elo."""
    scored = table_of(2, {(0, 1): 1.0}, 2)
    scored[1, 0, 1] = 1
    assert elo(scored, 1, seed=0)[0].elo == pytest.approx(400 * np.log10(2))


def covered(copies: int) -> float:
    """How often 95% intervals hold the truth, if every map is told so many times as if it were another one."""
    inside = []
    for seed in range(150):
        ratings = elo(np.repeat(simulated(60, seed), copies, axis=2), 0, seed, resamples=200)[1:]
        inside += [(one.low or 0) <= true <= (one.high or 0) for one, true in zip(ratings, STRENGTHS[1:], strict=True)]
    return float(np.mean(inside))


def test_intervals_of_ratings_cover() -> None:
    assert covered(1) > 0.90
    assert covered(2) < 0.87, "maps that are copies of each other are no news"


FAR = np.array([0.0, 900, *np.linspace(1_000, 1_200, 10)])


def held(strengths: np.ndarray, count: int, more: int = 0) -> float:
    """How often 95% intervals hold the truth, if every pair is given so many wins more of each over the other."""
    inside = []
    for seed in range(40):
        scored = simulated(count, seed, strengths)
        scored = np.concatenate([scored, np.full((*scored.shape[:2], more), 0.5)], axis=2)
        for one, true in zip(elo(scored, 0, seed, resamples=100)[1:], strengths[1:], strict=True):
            low, high = (end if end is not None else true for end in (one.low, one.high))
            inside.append(low <= true <= high)
    return float(np.mean(inside))


def test_a_weak_anchor_is_not_drowned() -> None:
    """Random makes one point of hundreds against each of eleven: what is added must not be as much as that."""
    assert held(FAR, 200) > 0.85
    assert held(FAR, 200, more=2) < 0.6, "a win more of everybody over everybody says otherwise"


CIRCLE = 400 * np.log10(0.97 / 0.03)  # all three do as well against each other, and so against the anchor


def test_ratings_of_a_circle_are_those_of_many_maps() -> None:
    """No ladder fits who beats each other in a circle; the intervals are of the ladder that many maps would give."""
    wins = np.full((4, 4), 0.5)
    for i, j, worth in ((1, 2, 0.9), (2, 3, 0.9), (3, 1, 0.9), (1, 0, 0.97), (2, 0, 0.97), (3, 0, 0.97)):
        wins[i, j], wins[j, i] = worth, 1 - worth
    inside = []
    for seed in range(100):
        scored = (np.random.default_rng(seed).random((4, 4, 60)) < wins[..., None]).astype(np.float64)
        inside += [(one.low or 0) <= CIRCLE <= (one.high or 9_999) for one in elo(scored, 0, seed, resamples=100)[1:]]
    assert np.mean(inside) > 0.88
    assert np.mean(inside) < 1


def test_who_always_wins_has_no_upper_end() -> None:
    few, many = (elo(table_of(3, {(0, 1): 1, (0, 2): 1, (1, 2): 0.7}, count), 2, seed=0)[0] for count in (20, 200))
    assert few.high is many.high is None
    assert few.low is not None
    assert few.low < few.elo < many.elo, "more games won say more"
    # Were it as weak as the lower end says, it would still win all of its twenty maps once in fifty tries or so.
    chances = [1 / (1 + 10 ** ((other - few.low) / 400)) for other in (0, 400 * np.log10(0.7 / 0.3))]
    assert 0.01 < np.prod(chances) ** 40 < 0.1
    # It lost to somebody who loses to the anchor: that bounds it.
    assert elo(table_of(3, {(0, 2): 1, (0, 1): 0.9, (1, 2): 0.7}), 2, seed=0)[0].high is not None
    loser = elo(table_of(2, {(0, 1): 0}), 1, seed=0)[0]
    assert loser.low is None
    assert loser.high is not None
    assert loser.high < 0


def test_a_long_ladder_is_fitted_to_its_end() -> None:
    """Each wins all against all below it: points found are points made, the mark of the greatest likelihood."""
    count, names = 500, 8
    scored = table_of(names, {(i, j): 1.0 for i in range(names) for j in range(i + 1, names)}, count)
    ratings = np.array([one.elo for one in elo(scored, 7, seed=0, resamples=10)])
    expected = 1 / (1 + 10 ** ((ratings - ratings[:, None]) / 400))
    made = (names - 1 - np.arange(names)) * 2 * count + 1
    games = 2 * count + 2 / (names - 1)
    assert expected.sum(axis=1) * games - games / 2 == pytest.approx(made, abs=1e-3)


# Shares


def test_shares_by_hand() -> None:
    nothing = mean(np.zeros(96))
    assert nothing.mean == nothing.low == 0
    assert nothing.high == pytest.approx(0.02 + 1.959964 * np.sqrt(2 * 0.98**2 + 98 * 0.02**2) / 100)
    assert share(np.zeros(3), np.zeros(3)) is None
    assert share(np.array([3, 0]), np.array([3, 0])) == mean(np.array([3]), np.array([3]))
    assert lead(np.zeros(3), np.zeros(3), np.zeros(3)) is None
    ahead = lead(np.array([1.0, 1, 0.5]), np.array([0, 0.5, 1]), np.array([1, 1, 1]))
    assert ahead is not None
    assert ahead.mean == pytest.approx(1 / 3)
    assert -1 <= ahead.low < ahead.mean < ahead.high <= 1


@pytest.mark.parametrize("truth", [0.5, 0.9])
def test_intervals_of_shares_cover(truth: float) -> None:
    """Both games of a map often end alike; told as two maps they look like twice as many."""
    rng = np.random.default_rng(1)
    by_map, by_game = [], []
    for _ in range(1_000):
        both = np.repeat(rng.random((100, 1)) < truth, 2, axis=1)
        by_map.append(mean(both.mean(axis=1)))
        by_game.append(mean(both.ravel()))
    right, wrong = (np.mean([one.low <= truth <= one.high for one in found]) for found in (by_map, by_game))
    assert 0.93 < right < 0.985
    assert wrong < 0.91


@pytest.mark.parametrize(("truth", "maps_", "least"), [(0.02, 10, 0.9), (0.98, 10, 0.9), (0.02, 100, 0.93)])
def test_intervals_near_the_ends_cover(truth: float, maps_: int, least: float) -> None:
    """Where the usual interval is 0 ± 0 of whoever lost nothing yet."""
    rng = np.random.default_rng(2)
    ours, usual = [], []
    for _ in range(600):
        x = (rng.random((maps_, 2)) < truth).mean(axis=1)
        one = mean(x)
        ours.append(one.low <= truth <= one.high)
        usual.append(abs(x.mean() - truth) <= 1.959964 * x.std() / np.sqrt(maps_))
    assert np.mean(ours) > least
    assert np.mean(usual) < np.mean(ours) - 0.04


def hunted(rng: np.random.Generator, keen: float, count: int) -> tuple[np.ndarray, ...]:
    """Tags, packs, chances of whom three are about, on maps some of which keep all together; packs are so keener."""
    chances = rng.poisson(6, count)
    about = rng.binomial(chances, rng.choice([0.1, 0.8], count))
    packs = rng.binomial(about, min(0.4 * keen, 1))
    return packs, packs + rng.binomial(chances - about, 0.4), about, chances


def test_intervals_of_a_surplus_cover_and_find_packs() -> None:
    rng = np.random.default_rng(3)
    for count in (10, 100):
        found = [surplus(*hunted(rng, 1, count)) for _ in range(400)]
        inside = np.mean([one is not None and one.low <= 0 <= one.high for one in found])
        assert inside > 0.92
    copied = [surplus(*(np.repeat(counts, 4) for counts in hunted(rng, 1, 100))) for _ in range(200)]
    assert np.mean([one is not None and one.low <= 0 <= one.high for one in copied]) < 0.8
    keener = [surplus(*hunted(rng, 2, 100)) for _ in range(50)]
    assert np.mean([one is not None and one.low > 0 for one in keener]) > 0.8


def test_a_surplus_by_hand() -> None:
    counts = np.array([2, 2]), np.array([2, 4]), np.array([1, 0]), np.array([4, 4])
    found = surplus(*counts)
    assert found is not None
    assert found.mean == pytest.approx(4 / 6 - 1 / 8)
    assert -1 <= found.low < found.mean < found.high <= 1
    assert surplus(*counts[:2], np.zeros(2), np.zeros(2)) is None
    assert surplus(np.zeros(2), np.zeros(2), *counts[2:]) is None
    nothing = np.zeros(1)
    assert surplus(*(np.append(one, nothing) for one in counts)) == found, "a map on which nothing was possible"


# The table


def test_a_cycle_is_told_by_the_table_and_not_by_ratings() -> None:
    scored = table_of(5, {(0, 1): 1, (1, 2): 1, (2, 0): 1, **{(i, 3): 0.9 for i in range(3)}})
    standings, points = league.told(everybody(0, 10, 20), scored, seed=0)
    ratings = [one.rating.elo for one in standings]
    assert ratings[:3] == pytest.approx([ratings[0]] * 3)
    assert [[points[i][j] for j in range(3)] for i in range(3)] == [[None, 1, 0], [0, None, 1], [1, 0, None]]
    assert [one.beaten for one in standings] == [None, 0.0, 0.5, None, None], "the last forgot how to beat the second"


def test_no_progress_beats_half() -> None:
    """Half the points of somebody is neither beaten nor not."""
    equal, _ = league.told(everybody(0, 10, 20), table_of(5, {}), seed=0)
    assert [one.beaten for one in equal] == [None, 0.5, 0.5, None, None]
    rng = np.random.default_rng(0)
    lucky = [league.told(everybody(0, 10), rng.choice([0, 1], (4, 4, 2)), 0)[0][1].beaten for _ in range(40)]
    assert np.mean(np.array(lucky, float)) == pytest.approx(0.5, abs=0.15)


def test_records_against_the_bots() -> None:
    scored = table_of(3, {(0, 1): 1.0}, 4)
    scored[0, 2] = [1, 1, 0, 0.5]  # moving first
    scored[2, 0] = [0, 1, 0, 0.5]  # what greedy makes of it in return
    standing = league.told(everybody(1), scored, seed=0)[0][0]
    record = standing.against["greedy"]
    assert (record.wins.mean, record.draws.mean, record.losses.mean) == (0.5, 0.25, 0.25)
    assert standing.against["random"].wins.mean == 1
    assert standing.against["random"].wins.low < 1


# Games


@pytest.fixture(scope="module")
def bots() -> League:
    return league.measure([], draw(11, 10, maps.SIZES[1]), 3, rounds=40)


def test_the_bots_in_order(bots: League) -> None:
    random, greedy = bots.standings
    assert (random.name, greedy.name) == ("random", "greedy")
    assert greedy.against["random"].wins.low > 0.5
    assert random.against["greedy"].losses == greedy.against["random"].wins
    assert greedy.rating.low is not None
    assert greedy.rating.low > random.rating.elo == 0


def test_every_pool_is_played_in_its_order_and_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever goes east comes nearer in a round than who stays or turns back, and nobody meets."""
    monkeypatch.setattr(entrants, "BOARDS", 18)  # five maps of nine games are pieces of two, and one is filled up
    goes = {"stays": 0, "goes": 2, "turns back": 4}
    players = [Entrant(name, i, NO_PLAYER, 1e4 * jnp.eye(5)[None, [step] * 4]) for i, (name, step) in
               enumerate(goes.items())]  # fmt: skip
    scored = entrants.games(players, draw(0, 5, maps.SIZES[1], trees=0), seed=0, rounds=1)
    expected = [[0.5, 0.0, 0.5], [1.0, 0.5, 1.0], [0.5, 0.0, 0.5]]
    assert np.array_equal(scored, np.repeat(np.array(expected)[..., None], 5, axis=2))


@pytest.mark.parametrize(
    ("entrant", "told"),
    [(BOTS[0], "one name"), (Entrant("two", 1, NO_PLAYER, np.zeros(2)), "a pool of one")],
)
def test_who_cannot_enter(entrant: Entrant, told: str) -> None:
    with pytest.raises(PlayError, match=told):
        league.measure([entrant], draw(0, 1, maps.SIZES[1]), 0)


# Documents


def test_a_document_gives_the_league_again(bots: League, tmp_path: Path) -> None:
    bots.save(tmp_path / "folder/league.json")
    assert league.load(tmp_path / "folder/league.json") == bots
    given = json.loads(bots.to_json())
    assert (given["format"], given["version"]) == ("jumar.play.league", 1)


def _without(key: str) -> Any:
    return lambda given: given.pop(key)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda given: given.update(version=2), "of version 2"),
        (lambda given: given.update(format="other"), "This is no league"),
        (lambda given: given.update(maps="many"), "damaged"),
        (lambda given: given["points"].pop(), "damaged"),
        (lambda given: given["points"][0].reverse(), "damaged"),
        (_without("standings"), "damaged"),
    ],
)
def test_documents_that_are_none(bots: League, tmp_path: Path, change: Any, told: str) -> None:
    given = json.loads(bots.to_json())
    change(given)
    path = tmp_path / "league.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    with pytest.raises(PlayError, match=told):
        league.load(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PlayError, match="cannot be read"):
        league.load(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"format": "jumar.pl', encoding="utf-8")
    with pytest.raises(PlayError, match="This is no league"):
        league.load(tmp_path / "cut.json")


def test_a_table_for_a_terminal() -> None:
    """However many and however long their names."""
    count = 40
    players = [Entrant(f"a champion with a long name {g}", g, NO_PLAYER, np.zeros(1)) for g in range(0, 10 * count, 10)]
    rng = np.random.default_rng(0)
    scored = rng.choice([0, 0.5, 1], (count + 2, count + 2, 20))
    standings, points = league.told([*players, *BOTS], scored, seed=0)
    text = league.table(League((20, 13), 20, 60, 0, standings, points))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith(" 42 greedy") for line in lines) == 2
    assert sum(line.startswith("  1 a champion with a") for line in lines) == 2
    assert "390" in text
    assert "fixed" in text


def test_the_table_says_which_ratings_are_open() -> None:
    standings, points = league.told(everybody(0), table_of(3, {(0, 1): 1, (0, 2): 1, (2, 1): 1}), seed=0)
    line = league.table(League((14, 9), 50, 60, 0, standings, points)).splitlines()[3]
    assert line.split()[:3] == ["1", "champion", "0"]
    assert "to open" in line
    assert line.endswith("100/0/0 (91–100)  100/0/0 (91–100)")
