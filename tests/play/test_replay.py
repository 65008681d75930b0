"""Replays and pictures: the same game again, and clear errors about documents that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards_of_play import JAILED, begin, board, field, jitted_step
from PIL import Image

from jumar.play import PlayError, Replay, Result, draw, maps, render, replay, rules


@pytest.fixture(scope="module")
def game() -> Replay:
    ground = maps.one(draw(1, 1, maps.SIZES[1]), 0)
    actions = np.random.default_rng(0).integers(0, 5, 96)
    last = begin(ground, rules.RED, 4)
    for action in actions:
        last = jitted_step(ground, last, np.int32(action))
    return replay.written(ground, last, actions, red="one", blue="other")


def test_a_document_gives_the_game_again(game: Replay, tmp_path: Path) -> None:
    game.save(tmp_path / "game.json")
    again = replay.load(tmp_path / "game.json")
    assert again == game
    assert (again.red, again.blue, len(again.actions)) == ("one", "other", 96)
    states = again.states()
    assert [int(state.tick) for state in states] == list(range(97))
    assert replay.WINNERS[int(states[-1].winner)] == game.winner


def test_an_animated_picture(game: Replay, tmp_path: Path) -> None:
    game.gif(tmp_path / "game.gif", every=24)
    with Image.open(tmp_path / "game.gif") as picture:
        assert picture.size == (14 * render.SCALE, 9 * render.SCALE)
        assert getattr(picture, "n_frames", 1) == 5


def test_the_board_as_text_and_as_colours() -> None:
    ground = field(((4, 2),))
    state = board([(8, 4), (2, 3), JAILED, (2, 7)], [(11, 7), (11, 5), (5, 1), (11, 1)], carries=0)
    lines = render.text(ground, state).splitlines()
    assert lines[4][8 * 2 : 8 * 2 + 2] == "A*"
    assert lines[3][1 * 2 : 2 * 2 + 1] == "> B"
    assert lines[2][4 * 2] == "#"
    assert lines[1][5 * 2] == "c"
    assert lines[0][13 * 2] == "["
    assert lines[-1] == "round 1, red makes step 1 of 3; in jail: 1 red, 0 blue"
    assert "C" not in "".join(lines[:-1])
    colours = render.image(ground, state, scale=8)
    assert colours.shape == (72, 112, 3)
    assert tuple(colours[1 * 8 + 4, 5 * 8 + 4]) == render.COLOURS[1]
    assert tuple(colours[2 * 8 + 4, 4 * 8 + 4]) == render.TREE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "is of version 2, and this Jumar plays version 1"),
        ({"format": "chess"}, "is no replay"),
        ({"actions": "9"}, "damaged"),
        ({"trees": [["#"]]}, "damaged"),
        ({"limit": "long"}, "damaged"),
        ({"more": 1}, "damaged"),
        ({"red": "\x1b]0;mine\x07"}, "damaged"),
        ({"blue": "\ud800"}, "damaged"),
        ({"red": "x" * 101}, "damaged"),
        ({"limit": 999_999, "actions": "0" * 900_000}, "damaged"),
        ({"version": "9" * 1_000}, "is of version '9{39}, and"),
        ({"trees": ["." * 10] * 10}, "10 × 10, which is not played here"),
        ({"winner": "nobody"}, "does not end as it says"),
        ({"actions": "0" * 50}, "does not end as it says"),
    ],
)
def test_documents_that_are_refused(game: Replay, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = tmp_path / "game.json"
    path.write_text(json.dumps(json.loads(game.to_json()) | change), encoding="utf-8")
    with pytest.raises(PlayError, match=told) as refused:
        replay.load(path)
    assert "game.json" in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "null", '{"format": "jumar.play.replay"}', "{"])
def test_texts_that_are_no_replays(text: str) -> None:
    with pytest.raises(PlayError, match="is no replay"):
        replay.from_json(text)


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PlayError, match="cannot be read"):
        replay.load(tmp_path / "nothing.json")
    with pytest.raises(PlayError, match="keep=True"):
        replay.of(draw(1, 1), Result(None, None, None, rules.start(maps.one(draw(1, 1), 0)), None), (0, 0, 0))
    with pytest.raises(PlayError, match="no pictures"):
        render.gif([], tmp_path / "no.gif")
