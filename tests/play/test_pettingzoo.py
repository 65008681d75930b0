"""The face that PettingZoo sees: its own checks, and the same games as through the compiled rules."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np
import pytest
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.test.state_test import state_test

from jumar.play import PlayError, capture_the_flag_v0, maps, replay, rules
from jumar.play.aec import AGENTS

# Zeros are what prisoners sense; a block of senses and a mask is what the observation is made of.
TOLD = ("Observation numpy array is all zeros", "Observation is not a NumPy array", "Observation space for each agent")
LONG = 1_000


@pytest.fixture(autouse=True)
def what_is_meant_so() -> Any:
    with warnings.catch_warnings():
        for message in TOLD:
            warnings.filterwarnings("ignore", message)
        yield


def test_api() -> None:
    api_test(capture_the_flag_v0.env(max_cycles=LONG), num_cycles=LONG)


def test_parallel_api() -> None:
    parallel_api_test(capture_the_flag_v0.parallel_env(), num_cycles=LONG)


def test_seeds() -> None:
    seed_test(capture_the_flag_v0.env, num_cycles=LONG)
    parallel_seed_test(capture_the_flag_v0.parallel_env, num_cycles=LONG)


def test_render(capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = capture_the_flag_v0.env
    render_test(made)
    assert "round 1, red makes step" in capsys.readouterr().out


def test_max_cycles() -> None:
    max_cycles_test(capture_the_flag_v0)


def test_state() -> None:
    state_test(capture_the_flag_v0.env(), capture_the_flag_v0.parallel_env(), num_cycles=20)


STEPS = 6_000


def the_compiled(actions: np.ndarray, number: int, limit: int) -> rules.State:
    """The last state of a game whose agents took these actions, [cycles, 8], by the compiled rules alone."""
    field = maps.one(maps.draw(number, 1), 0)
    cycle = np.arange(len(actions))
    of_side = np.where((cycle // 3 % 2 == 0)[:, None], actions[:, :4], actions[:, 4:])
    begun = rules.start(field)._replace(limit=jax.numpy.int32(limit))
    return _scan(field, begun, np.resize(of_side.reshape(-1), 4 * 360))


@jax.jit
def _scan(field: maps.Field, begun: rules.State, actions: Any) -> rules.State:
    return jax.lax.scan(lambda now, action: (rules.step(field, now, action), None), begun, actions)[0]


def taken(rng: np.random.Generator) -> np.ndarray:
    """Actions of eight agents for a whole game, legal or not, that tend towards the enemy."""
    return rng.choice(5, p=[0.1, 0.15, 0.4, 0.15, 0.2], size=(360, 8))


def test_random_steps_through_every_face_make_the_same_games() -> None:
    """One by one, all at once, and in one compiled program; benchmarks/play_speed.py does the same for longer."""
    rng = np.random.default_rng(6)
    one, many = capture_the_flag_v0.raw_env(), capture_the_flag_v0.parallel_env()
    done, number, cycle = 0, 0, 0
    while done < STEPS:
        number, actions = number + 1, taken(rng)
        one.reset(options={"map": number})
        many.reset(options={"map": number})
        for cycle in range(360):
            for action in actions[cycle]:
                one.step(int(action))
            *_, over, _, _ = many.step(dict(zip(AGENTS, actions[cycle].tolist(), strict=True)))
            if all(over.values()):
                break
        done += 8 * (cycle + 1)
        last = the_compiled(actions[: cycle + 1], number, 4 * 360)
        for leaves in zip(*map(jax.tree.leaves, (one.game, many.unwrapped.game, last)), strict=True):
            assert np.array_equal(leaves[0], leaves[1])
            assert np.array_equal(leaves[0], leaves[2])
        assert replay.from_json(one.replay().to_json()).states()[-1].tick == last.tick
    assert all(one.terminations.values())


def test_rewards_prisoners_and_those_who_wait() -> None:
    env = capture_the_flag_v0.raw_env(max_cycles=4)
    env.reset(seed=1)
    assert env.observe("red_0")["action_mask"].sum() > 1
    assert env.observe("blue_0")["action_mask"].tolist() == [1, 0, 0, 0, 0]
    free = env.game.red.free.at[2].set(False)
    env.game = env.game._replace(red=env.game.red._replace(free=free))
    env._looked = None
    told = env.observe("red_2")
    assert not told["observation"].any()
    assert told["action_mask"].tolist() == [1, 0, 0, 0, 0]
    with pytest.raises(PlayError, match="is not over"):
        env.replay()
    for _ in range(32):
        env.step(0)
    assert env.rewards == {agent: -1 if agent.startswith("red") else 1 for agent in AGENTS}
    assert env.infos["red_0"] == {"winner": "blue", "ending": "limit"}
    assert all(flag is True for flag in env.terminations.values())
    assert env.agents == AGENTS
    for _ in range(8):
        env.step(None)
    assert env.agents == []


def test_the_side_that_moves_first_and_the_map_can_be_chosen() -> None:
    env = capture_the_flag_v0.raw_env(size=(14, 9), render_mode="ansi")
    env.reset(options={"first": "blue", "map": 5})
    assert env.observe("red_0")["action_mask"].sum() == 1
    drawn = env.render()
    env.reset(options={"first": "blue", "map": 5})
    assert env.render() == drawn
    assert str(drawn).count("#") == int(env.state()[..., 0].sum())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": (8, 8)}, "a map is 20 × 13 or 14 × 9"),
        ({"max_cycles": 0}, "one cycle or more"),
        ({"render_mode": "window"}, "render modes human, rgb_array, ansi"),
        ({"trees": 0.9}, "would close the field"),
    ],
)
def test_environments_that_cannot_be_made(given: dict[str, Any], told: str) -> None:
    with pytest.raises(PlayError, match=told):
        capture_the_flag_v0.env(**given)


@pytest.mark.parametrize(("options", "told"), [({"first": "green"}, "red or blue"), ({"map": "oak"}, "whole number"),
                                               ({"map": -1}, "0 or more")])  # fmt: skip
def test_options_that_do_not_exist(options: dict[str, Any], told: str) -> None:
    env = capture_the_flag_v0.env()
    with pytest.raises(PlayError, match=told):
        env.reset(options=options)


@pytest.mark.parametrize("action", [5, -1, 0.5, None, "north"])
def test_actions_that_do_not_exist(action: Any) -> None:
    env = capture_the_flag_v0.raw_env()
    env.reset(seed=0)
    with pytest.raises(PlayError, match="0 stay, 1 north, 2 east, 3 south, 4 west"):
        env.step(action)
