"""Logs of environments: rows by hand and by the environment's own dynamics, exact propensities, refusals in words."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli, cli_worlds, fitting
from jumar.errors import OptionError, PolicyError
from jumar.learn import FitConfig
from jumar.worlds import gym_logs

Capture = pytest.CaptureFixture[str]
SKEWED = np.array([0.8, 0.2])
CARTPOLE = "CartPole-v1"


class Climb(gymnasium.Env[np.ndarray, int]):
    """Action 6 climbs, 5 stays; the reward is ten times the height; at three it is over, and after five steps cut."""

    observation_space = gymnasium.spaces.Box(0, 9, (2, 1), np.float64)
    action_space = gymnasium.spaces.Discrete(2, start=5)  # type: ignore[assignment]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.height, self.taken = 0, 0
        return self.seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.height, self.taken = self.height + (action == 6), self.taken + 1
        return self.seen(), 10.0 * self.height, self.height == 3, self.taken == 5, {}

    def seen(self) -> np.ndarray:
        return np.array([[self.height], [self.taken]], np.float64)


class Pictures(Climb):
    observation_space = gymnasium.spaces.Dict({"picture": gymnasium.spaces.Discrete(2)})  # type: ignore[assignment]


def skewed(shown: np.ndarray) -> np.ndarray:
    return np.tile(SKEWED, (len(shown), 1))


def balanced(shown: np.ndarray) -> np.ndarray:
    """Pushes the cart under the pole: keeps it up for the whole episode."""
    right = shown[:, 2] + 0.5 * shown[:, 3] > 0
    return np.stack([~right, right], axis=1).astype(float)


def test_rows_by_hand() -> None:
    log = gym_logs.collect(Climb, 400, [(1.0, skewed)], epsilon=0.5, seed=3).to_pandas()
    assert list(log.columns) == list(gym_logs.spaces_of(Climb).schema.names)
    assert len(log) == 400
    for number, (unit, episode) in enumerate(log.groupby("unit", sort=False)):
        assert unit == f"episode3-{number}"
        assert (episode.step == np.arange(len(episode))).all()
        climbed = (episode.action == 6).cumsum()
        assert (episode.obs_0 == climbed.shift(fill_value=0)).all()
        assert (episode.obs_1 == episode.step).all()
        assert (episode.reward == 10.0 * climbed).all()
        assert (episode.end == (climbed == 3)).all()
        assert (episode.truncated == (~episode.end & (episode.step == episode.step.iloc[-1]))).all()
    assert set(log.groupby("unit").size()) <= {3, 4, 5}
    assert (np.diff(log.time) == 1).all()
    assert log.decision_id.is_unique
    expected = 0.5 * SKEWED + 0.25
    np.testing.assert_allclose(np.stack(log.pmf.tolist()), np.tile(expected, (400, 1)))
    np.testing.assert_allclose(log.propensity, expected[log.action - 5])


def test_a_log_that_is_full_cuts_the_last_episode() -> None:
    log = gym_logs.collect(Climb, 7, epsilon=0, seed=0)
    assert len(log) == 7
    assert log["end"][-1].as_py() != log["truncated"][-1].as_py()
    whole = gym_logs.collect(Climb, 300, epsilon=0, seed=0)
    assert whole.slice(0, 6).drop_columns("truncated").equals(log.slice(0, 6).drop_columns("truncated"))


def test_rows_are_what_the_environment_does() -> None:
    log = gym_logs.collect(CARTPOLE, 3_000, [(1.0, balanced), (1.0, None)], epsilon=0.4, seed=1).to_pandas()
    env: Any = gymnasium.make(CARTPOLE).unwrapped
    env.reset(seed=0)
    shown = log[[f"obs_{i}" for i in range(4)]].to_numpy()
    for row in np.random.default_rng(0).integers(0, len(log) - 1, 200):
        env.reset(seed=0)
        env.state = tuple(shown[row].astype(float))
        after, reward, end, _, _ = env.step(int(log.action[row]))
        assert (reward, end) == (log.reward[row], log.end[row])
        if log.unit[row + 1] == log.unit[row]:
            np.testing.assert_allclose(after, shown[row + 1], atol=1e-5)
        else:
            assert log.end[row] or log.truncated[row]


def test_propensities_are_those_of_who_played() -> None:
    log = gym_logs.collect(CARTPOLE, 12_000, [(3.0, balanced), (1.0, None), (1.0, skewed)], epsilon=0.2, seed=5)
    rows = log.to_pandas()
    shown, right = rows[[f"obs_{i}" for i in range(4)]].to_numpy(), rows.action.to_numpy()
    played = np.stack([balanced(shown), np.full((len(rows), 2), 0.5), skewed(shown)])
    pmf = 0.8 * played[rows.checkpoint, np.arange(len(rows))] + 0.1
    np.testing.assert_allclose(np.stack(rows.pmf.tolist()), pmf, rtol=1e-12)
    np.testing.assert_allclose(rows.propensity, pmf[np.arange(len(rows)), right], rtol=1e-12)
    for checkpoint in range(3):
        for action in range(2):
            weight = ((right == action) / rows.propensity)[rows.checkpoint == checkpoint]
            assert abs(weight.mean() - 1) < 4 * weight.std() / np.sqrt(len(weight))
    episodes = rows.groupby("unit").checkpoint.agg(["min", "max"])
    assert (episodes["min"] == episodes["max"]).all()
    many = gym_logs.collect(Climb, 8_000, [(3.0, skewed), (1.0, None)], seed=2).to_pandas()
    first = many[many.step == 0].checkpoint == 0
    assert abs(first.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / len(first))


def test_time_limits_are_no_ends() -> None:
    log = gym_logs.collect(CARTPOLE, 2_100, [(1.0, balanced)], epsilon=0.0, seed=2).to_pandas()
    sizes = log.groupby("unit", sort=False).size()
    assert sizes.iloc[0] == 500
    assert log.truncated[sizes.iloc[0] - 1]
    assert not log.end[:500].any()


def test_the_same_seed_gives_the_same_rows_however_many_play_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(steps: int, seed: int = 9) -> pa.Table:
        return gym_logs.collect("Acrobot-v1", steps, [(1.0, None)], seed=seed)

    side_by_side = once(6_000)
    assert side_by_side.equals(once(6_000))
    assert not side_by_side.select(["action"]).equals(once(6_000, 10).select(["action"]))
    monkeypatch.setattr(gym_logs, "MOST_LANES", 1)
    assert side_by_side.equals(once(6_000))
    assert side_by_side.slice(0, 2_999).equals(once(3_000).slice(0, 2_999))


def test_numbered_observations_are_one_whole_number() -> None:
    log = gym_logs.collect("FrozenLake-v1", 500, seed=1)
    assert log.schema.field("obs_0").type == pa.int64()
    assert "obs_1" not in log.column_names
    assert set(np.asarray(log["obs_0"])) <= set(range(16))
    assert set(np.asarray(log["propensity"])) == {0.25}


def test_a_log_is_read_as_it_is() -> None:
    table = gym_logs.collect(Climb, 2_000, [(1.0, skewed)], seed=1)
    left_out = ["step", "checkpoint", "end", "truncated"]
    log = jumar.read_log(table, reward_range=(0, 30), ignore=left_out)
    roles = log.schema.roles
    assert (roles.unit, roles.time, roles.pmf, roles.propensity) == ("unit", "time", "pmf", "propensity")
    assert tuple(log.schema.actions) == (5, 6)
    assert [feature.name for feature in log.schema.features] == ["obs_0", "obs_1"]


# Refusals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Atlantis-v0",), "Atlantis"),
        (("Pendulum-v1",), "discrete action"),
        ((Pictures,), "observations"),
        ((Climb, 0), "fewer than one step"),
        ((Climb, 5, []), "Weights"),
        ((Climb, 5, [(-1.0, None)]), "Weights"),
        ((Climb, 5, [(1.0, lambda shown: np.ones((len(shown), 2)))]), "sum to 1"),
        ((Climb, 5, [(1.0, lambda shown: np.ones((len(shown), 3)) / 3)]), "shape"),
    ],
)
def test_what_cannot_be_logged_is_refused(words: tuple[Any, ...], said: str) -> None:
    arguments: Any = words if len(words) > 1 else (*words, 5)
    with pytest.raises(OptionError, match=said):
        gym_logs.collect(*arguments)
    for wrong in ({"epsilon": 1.2}, {"seed": -1}):
        with pytest.raises(OptionError):
            gym_logs.collect(Climb, 5, **wrong)  # type: ignore[arg-type]


def test_what_is_not_installed_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.setitem(sys.modules, "minari", None)
    assert cli.main(["collect", CARTPOLE, "x.parquet"]) == 2
    assert "jumar[gym]" in capsys.readouterr().err
    with pytest.raises(OptionError, match="pip install 'minari"):
        gym_logs.from_minari("D4RL/door-v2")


def test_a_failure_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "log.parquet"
    target.write_bytes(b"yesterday")
    calls: list[int] = []

    def fails_later(shown: np.ndarray) -> np.ndarray:
        calls.append(len(shown))
        return skewed(shown) if len(calls) < 9 else skewed(shown) * 2

    with pytest.raises(OptionError):
        gym_logs.write(Climb, 100, target, [(1.0, fails_later)])
    assert target.read_bytes() == b"yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]
    gym_logs.write(Climb, 100, target, [(1.0, skewed)], epsilon=0.1, seed=4)
    assert pq.read_table(target).equals(gym_logs.collect(Climb, 100, [(1.0, skewed)], epsilon=0.1, seed=4))


# Saved policies


@pytest.fixture(scope="module")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short fit of a policy that keeps the pole up, because that is what its reward says."""
    place = tmp_path_factory.mktemp("policy")
    log = gym_logs.collect(CARTPOLE, 3_000, [(1.0, balanced), (1.0, None)], epsilon=0.6, seed=1)
    shown = np.stack([np.asarray(log[f"obs_{i}"]) for i in range(4)], axis=1)
    right = balanced(shown)[np.arange(len(log)), np.asarray(log["action"])]
    log = log.set_column(log.column_names.index("reward"), "reward", pa.array(right))
    log = log.drop_columns(["step", "checkpoint", "end", "truncated"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "FitConfig", lambda **given: FitConfig(**given | {"updates": 60, "evaluations": 2}))
        result = jumar.improve(jumar.read_log(log, reward_range=(0, 1)), confidence=0.9, candidates=1)
    assert result.certificate.verdict == "certified", result.certificate.reasons
    result.save(place / "run")
    return place / "run"


def test_a_saved_policy_plays(policy_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "log.parquet"
    words = ["collect", CARTPOLE, str(out), "--steps", "4000", "--epsilon", "0.1", "--seed", "3"]
    assert cli.main([*words, "--policy", str(policy_folder), "--policy", "random"]) == 0
    assert "4,000 steps" in capsys.readouterr().out
    log = pq.read_table(out)
    mine = log.filter(np.asarray(log["checkpoint"]) == 0)
    pmf = jumar.load_policy(policy_folder).pmf(mine)
    np.testing.assert_allclose(np.stack(mine["pmf"].to_pylist()), 0.9 * pmf + 0.05, atol=1e-6)
    rows = log.to_pandas().groupby(["checkpoint", "unit"]).size().groupby("checkpoint").mean()
    assert rows[0] > 3 * rows[1]


def test_a_policy_of_another_environment_is_refused(policy_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(PolicyError, match="actions"):
        cli_worlds._behaviour(str(policy_folder), gym_logs.spaces_of(Climb))
    out = tmp_path / "log.parquet"
    assert cli.main(["collect", "MountainCar-v0", str(out), "--policy", str(policy_folder)]) == 2
    assert "obs_2" in capsys.readouterr().err
    assert cli.main(["collect", CARTPOLE, str(out), "--policy", str(tmp_path / "none")]) == 2
    assert not out.exists()


# Minari


def dataset(**changes: Any) -> SimpleNamespace:
    """Two episodes of two and three steps, as Minari hands them over."""
    first = {"id": 4, "observations": np.arange(6.0).reshape(3, 2), "actions": np.array([1, 0])}
    first |= {
        "rewards": np.array([0.5, 2.0]),
        "terminations": np.array([False, True]),
        "truncations": np.zeros(2, bool),
    }
    second = {"id": 7, "observations": np.arange(8.0).reshape(4, 2), "actions": np.array([0, 0, 1])}
    second |= {"rewards": np.zeros(3), "terminations": np.zeros(3, bool), "truncations": np.zeros(3, bool)}
    episodes = [SimpleNamespace(**first | changes), SimpleNamespace(**second)]
    return SimpleNamespace(iterate_episodes=lambda: iter(episodes))


def test_minari_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    log = gym_logs.from_minari(dataset()).to_pandas()
    assert log.unit.tolist() == ["episode-4"] * 2 + ["episode-7"] * 3
    assert log.step.tolist() == [0, 1, 0, 1, 2]
    assert log.obs_1.tolist() == [1.0, 3.0, 1.0, 3.0, 5.0]
    assert log.action.tolist() == [1, 0, 0, 0, 1]
    assert log.reward.tolist() == [0.5, 2.0, 0.0, 0.0, 0.0]
    assert log.end.tolist() == [False, True, False, False, False]
    assert log.truncated.tolist() == [False, False, False, False, True]
    assert "propensity" not in log

    def load(name: str) -> SimpleNamespace:
        if name != "climb/short-v0":
            raise FileNotFoundError(f"{name} not found locally")
        return dataset()

    monkeypatch.setitem(sys.modules, "minari", SimpleNamespace(load_dataset=load))  # type: ignore[arg-type]
    assert gym_logs.from_minari("climb/short-v0").to_pandas().equals(log)
    with pytest.raises(OptionError, match="minari download"):
        gym_logs.from_minari("climb/long-v0")


def test_minari_datasets_that_are_no_logs_are_refused() -> None:
    for wrong in ({"actions": np.zeros((2, 3))}, {"observations": {"a": np.zeros(3)}}):
        with pytest.raises(OptionError):
            gym_logs.from_minari(dataset(**wrong))
    with pytest.raises(OptionError, match="no step"):
        gym_logs.from_minari(SimpleNamespace(iterate_episodes=lambda: iter(())))
