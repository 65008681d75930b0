"""The game as a PettingZoo environment: eight agents that step one after the other, by the same rules as everywhere.

In: actions, each in the frame of its agent's side. Out: what that agent senses, which steps are legal, rewards. In a
cycle all eight agents step once, and the side that is not on turn, like the jailed, can only stay; so three cycles are
a turn and six a round, and the environment can be seen as parallel. All eight end together, at the end of a cycle.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np
from pettingzoo import AECEnv

from jumar.play import limits, maps, render, rules, senses
from jumar.play.errors import PlayError
from jumar.play.maps import ACTIONS, PLAYERS, SIZES, Field
from jumar.play.replay import ENDINGS, WINNERS, Replay, written
from jumar.play.rules import BLUE, PLAYING, RED, ROUNDS, STEPS, State

AGENTS = [f"{side}_{player}" for side in render.SIDES for player in range(PLAYERS)]
LAYERS = ("trees", "red", "blue", "red_flag", "blue_flag", "blue_on_turn")
CYCLES = 2 * STEPS * ROUNDS

_step = jax.jit(rules.step)
_start = jax.jit(rules.start)


@jax.jit
def _look(field: Field, state: State) -> tuple[Any, Any]:
    sides = ((state.red, state.blue), (state.blue, state.red))
    sensed = [senses.block(field, *pair) for pair in sides]
    return jax.numpy.stack(sensed), jax.numpy.stack([rules.mask(field, mine) for mine, _ in sides])


class raw_env(AECEnv[str, dict[str, np.ndarray], int | None]):  # noqa: N801 - PettingZoo's name for it
    """Capture the flag, four against four, without PettingZoo's wrappers.

    Args:
        size: columns and rows, one of ``maps.SIZES``.
        max_cycles: after which the score decides; 360 are the 60 rounds of the rules.
        render_mode: "human" prints, "ansi" returns text, "rgb_array" returns colours; None renders nothing.
        trees: share of cells with trees, see ``maps.draw``.

    Raises:
        PlayError: for another size or mode, or no cycles.
    """

    metadata = {
        "name": "capture_the_flag_v0",
        "render_modes": ["human", "rgb_array", "ansi"],
        "render_fps": 12,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        size: tuple[int, int] = SIZES[0],
        max_cycles: int = CYCLES,
        render_mode: str | None = None,
        trees: float = maps.TREES,
    ) -> None:
        super().__init__()
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise PlayError(f"There are the render modes {', '.join(modes)}, and None", where="render_mode",
                            example=render_mode, remedy="Give one of them.")  # fmt: skip
        if max_cycles < 1:
            raise PlayError("A game takes one cycle or more", where="max_cycles", example=max_cycles,
                            remedy=f"Leave it out for {CYCLES}.")  # fmt: skip
        self.size, self.trees = (size[0], size[1]), trees
        maps.check(0, 1, self.size, trees)
        limits.within("max_cycles", max_cycles, 1, 2 * limits.ROUNDS * STEPS)
        self.max_cycles, self.render_mode = max_cycles, render_mode
        self.possible_agents = list(AGENTS)
        self.agents = []
        self._rng = np.random.default_rng()
        self._actions = {agent: gymnasium.spaces.Discrete(len(ACTIONS)) for agent in AGENTS}
        self._observations = {agent: _observation_space() for agent in AGENTS}
        self.state_space = gymnasium.spaces.Box(0, PLAYERS, (size[1], size[0], len(LAYERS)), np.int8)

    def observation_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """A block of senses and the mask of actions."""
        return self._observations[agent]

    def action_space(self, agent: str) -> gymnasium.spaces.Space[Any]:
        """Stay, north, east, south, west, the enemy being in the east of both sides."""
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """A new game on a new map.

        Args:
            seed: from which maps are drawn from now on; without one the sequence of maps goes on.
            options: "map", the seed of this map, and "first", the side that moves first; others are not looked at.

        Raises:
            PlayError: if "first" is no side, or "map" no seed.
        """
        options = options or {}
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        drawn = int(self._rng.integers(2**31))
        number, first = options.get("map", drawn), options.get("first", render.SIDES[RED])
        if first not in render.SIDES:
            raise PlayError("The side that moves first is red or blue", where="options['first']", example=first,
                            remedy="Leave it out for red.")  # fmt: skip
        if not isinstance(number, int | np.integer):
            raise PlayError("A map is named by its seed, a whole number", where="options['map']", example=number,
                            remedy="Leave it out for a map drawn by the seed of reset.")  # fmt: skip
        self.field = jax.device_put(maps.one(maps.draw(int(number), 1, self.size, self.trees), 0))
        game = _start(self.field, render.SIDES.index(first))
        self.game = game._replace(limit=jax.numpy.int32(self.max_cycles * PLAYERS))
        self._cycle, self._place, self._looked = 0, 0, None
        self._taken: list[int] = []
        self._first, self._over = render.SIDES.index(first), False
        self.agents = list(AGENTS)
        self.agent_selection = AGENTS[0]
        self.rewards = dict.fromkeys(AGENTS, 0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self.infos = {agent: {} for agent in AGENTS}

    def observe(self, agent: str) -> dict[str, np.ndarray]:
        """What an agent senses now, and which of its steps would be legal; the side that waits can only stay."""
        side, player = divmod(AGENTS.index(agent), PLAYERS)
        sensed, masks = self._sensed()
        allowed = masks[side, player].astype(np.int8)
        if side != self._on_turn() or self._over:
            allowed[1:] = 0
        return {"observation": sensed[side, player].copy(), "action_mask": allowed}

    def step(self, action: int | None) -> None:
        """The next agent's step; one that is illegal, or not its side's turn, is a stay.

        Raises:
            PlayError: if the action is none of the five.
        """
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        chosen = _whole(action)
        self._cumulative_rewards[agent] = 0
        self._clear_rewards()
        if self._place // PLAYERS == self._on_turn() and not self._over:
            self.game = _step(self.field, self.game, np.int32(chosen))
            self._taken.append(chosen)
            self._over, self._looked = int(self.game.winner) != PLAYING, None
        self._place += 1
        if self._place == len(AGENTS):
            self._place = 0
            self._cycle += 1
            if self._over:
                self._end()
        self.agent_selection = AGENTS[self._place]
        self._accumulate_rewards()
        if self.render_mode == "human":
            self.render()

    def render(self) -> np.ndarray | str | list[Any] | None:
        """The whole board from above, in the frame of red; "human" prints it."""
        if self.render_mode is None:
            gymnasium.logger.warn("This environment was made without a render mode, and renders nothing.")
            return None
        game = jax.tree.map(np.asarray, self.game)
        if self.render_mode == "rgb_array":
            return render.image(self._numbers, game)
        drawn = render.text(self._numbers, game)
        if self.render_mode == "ansi":
            return drawn
        print(drawn, flush=True)
        return None

    def state(self) -> np.ndarray:
        """[height, width, 6] the whole board in the frame of red, layer by layer as in ``LAYERS``."""
        width, height = self.size
        game, field = jax.tree.map(np.asarray, self.game), self._numbers
        layers = np.zeros((height * width, len(LAYERS)), np.int8)
        layers[:, 0] = render.wood(field).reshape(-1)
        for side, cells in enumerate(render.cells_of(field, game)):
            np.add.at(layers[:, 1 + side], cells, 1)
        for side, cell in enumerate(render.flags_of(field, game)):
            layers[cell, 3 + side] = 1
        layers[:, 5] = self._on_turn() == BLUE
        return layers.reshape(height, width, len(LAYERS))

    def replay(self, *, red: str = "red", blue: str = "blue") -> Replay:
        """The finished game as a document.

        Raises:
            PlayError: while the game goes on.
        """
        if not self._over:
            raise PlayError("The game is not over, and a replay is of a whole game", remedy="Play on to its end.")
        return written(self._numbers, jax.tree.map(np.asarray, self.game), self._taken, red=red, blue=blue)

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def _numbers(self) -> Field:
        return jax.tree.map(np.asarray, self.field)

    def _on_turn(self) -> int:
        return (self._cycle // STEPS + self._first) % 2

    def _sensed(self) -> tuple[np.ndarray, np.ndarray]:
        if self._looked is None:
            sensed, masks = _look(self.field, self.game)
            self._looked = np.asarray(sensed), np.asarray(masks)
        return self._looked

    def _end(self) -> None:
        winner, ending = int(self.game.winner), int(self.game.ending)
        for agent in AGENTS:
            side = AGENTS.index(agent) // PLAYERS
            self.rewards[agent] = 1 if winner == side else -1 if winner == 1 - side else 0
            self.terminations[agent] = True
            self.infos[agent] = {"winner": WINNERS[winner], "ending": ENDINGS[ending]}


def _observation_space() -> gymnasium.spaces.Dict:
    block = gymnasium.spaces.Box(-1, 1, (senses.SIZE,), np.float32)
    return gymnasium.spaces.Dict(
        {"observation": block, "action_mask": gymnasium.spaces.Box(0, 1, (len(ACTIONS),), np.int8)}
    )


def _whole(action: Any) -> int:
    """The action as one of the five numbers."""
    if isinstance(action, int | np.integer) and 0 <= action < len(ACTIONS):
        return int(action)
    known = ", ".join(f"{number} {name}" for number, name in enumerate(ACTIONS))
    raise PlayError(
        f"There are the actions {known}", where="action", example=action, remedy="Give one of these numbers."
    )
