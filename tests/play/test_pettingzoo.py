"""The face that PettingZoo sees: its own checks, and the same games as through the compiled rules."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.test.state_test import state_test

from jumar.play import capture_the_flag_v0

# Zeros are what prisoners sense; a block of senses and a mask is what the observation is made of.
TOLD = ("Observation numpy array is all zeros", "Observation is not a NumPy array", "Observation space for each agent")
LONG = 1_100


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
    render_test(capture_the_flag_v0.env)
    assert "round 1, red makes step" in capsys.readouterr().out


def test_max_cycles() -> None:
    max_cycles_test(capture_the_flag_v0)


def test_state() -> None:
    state_test(capture_the_flag_v0.env(), capture_the_flag_v0.parallel_env(), num_cycles=20)
