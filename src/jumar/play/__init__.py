"""Capture the flag, four against four in the fog: a game to breed players for, an island beside the rest of Jumar.

In: maps, players, seeds. Out: games, thousands at once, in compiled JAX; the same game through PettingZoo is
``jumar.play.capture_the_flag_v0`` (``pip install 'jumar[play]'``). It imports nothing of Jumar, and nothing of Jumar
imports it.
"""

from jumar.play.bots import GREEDY, RANDOM
from jumar.play.errors import PlayError
from jumar.play.maps import Field, draw
from jumar.play.match import Policy, Result, both_sides, play
from jumar.play.replay import Replay

__all__ = ["GREEDY", "RANDOM", "Field", "PlayError", "Policy", "Replay", "Result", "both_sides", "draw", "play"]
