"""A small sound log that every test of this floor starts from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def make_frame(rows: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """A randomised log: three actions at 1/2, 1/4, 1/4; users decide about four times each."""
    rng = np.random.default_rng(seed)
    action = rng.choice(3, rows, p=[0.5, 0.25, 0.25])
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(rows)],
            "user_id": [f"u{u}" for u in rng.integers(0, rows // 4, rows)],
            "time": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), unit="s"),
            "action": np.array(["none", "mail", "push"])[action],
            "propensity": np.array([0.5, 0.25, 0.25])[action],
            "reward": (rng.random(rows) < 0.2 + 0.1 * action).astype(float),
            "x": x,
            "country": rng.choice(["de", "fr", "us"], rows),
            "new": rng.random(rows) < 0.3,
        }
    )


@pytest.fixture
def frame() -> pd.DataFrame:
    return make_frame()


@pytest.fixture
def frame_of() -> Callable[..., pd.DataFrame]:
    return make_frame
