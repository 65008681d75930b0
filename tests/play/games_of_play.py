"""Small games for the tests of pages, played by walkers who drift towards the enemy and so meet it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from boards_of_play import begin, jitted_step

from jumar.play import Replay, draw, maps, replay, rules

DRIFT = (0.1, 0.15, 0.45, 0.15, 0.15)
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror=window.hacked=1> %data% & \u2028 \"'<!--"


@lru_cache
def walk(seed: int, rounds: int = 12, red: str = "one", blue: str = "other") -> Replay:
    """A game of walkers on a small map."""
    ground = maps.one(draw(seed, 1, maps.SIZES[1]), 0)
    state = begin(ground, rules.RED, rounds)
    actions = np.random.default_rng(seed).choice(5, 24 * rounds, p=DRIFT).astype(np.int32)
    for action in actions:
        state = jitted_step(ground, state, action)
    return replay.written(ground, state, actions[: int(state.tick)], red=red, blue=blue)
