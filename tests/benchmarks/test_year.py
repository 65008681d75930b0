"""The benchmark of a year: what it prints is what it counted."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def year() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("year")
    for name in ("year", "year_run", "table"):
        sys.modules.pop(name, None)


def made(year: Any, served: list[float], gains: list[float]) -> Any:
    """A year whose best is 2 and whose incumbent is 1."""
    found = year.Year(seed=0, rows=10, control=False)
    for day, value in enumerate(served):
        found.days.append(
            year.Lived(day, f"d{day}", value, 1.0, 2.0, 2.5, 10, "released" if day == 1 else "", 0.1, 0.2)
        )
    found.releases = [year.Release(1, "d1", "v", "incumbent", gain, 0.001) for gain in gains]
    return found


def test_shares_and_false_releases(year: Any) -> None:
    options = year.parsed(["--days", "365"])
    good = {row.what: row for row in year.targets([made(year, [1.0] * 300 + [1.85] * 65, [0.1])], options)}
    assert good["share of the possible gain, last 28 days"].figure == "85%"
    assert good["share of the possible gain, last 28 days"].met
    assert good["the same against a best that explores nothing"].figure == "57%"
    assert good["truly worse when let in"].met
    bad = {row.what: row for row in year.targets([made(year, [1.0] * 300 + [1.75] * 65, [0.1, -0.01])], options)}
    assert not bad["share of the possible gain, last 28 days"].met
    assert bad["truly worse when let in"].figure == "1"
    assert not bad["truly worse when let in"].met
    control = year.parsed(["--days", "365", "--control"])
    broken = {row.what: row for row in year.targets([made(year, [1.75] * 365, [-0.01])], control)}
    assert broken["truly worse when let in"].met
    assert broken["share of the possible gain, last 28 days"].met is None


def test_what_is_written(year: Any, tmp_path: Path) -> None:
    year.write([made(year, [1.0, 1.5], [0.1])], tmp_path)
    assert (tmp_path / "days.csv").read_text().splitlines()[1].startswith("0,0,d0,1.0,1.0,2.0,2.5,10,,")
    assert len((tmp_path / "releases.csv").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "year.json").read_text())[0]["releases"][0]["gain"] == 0.1
    assert (tmp_path / "year.svg").read_text().startswith("<svg")


def test_two_days_through_the_real_loop(year: Any) -> None:
    """The decisions that were made are worth what the world says of their pmfs."""
    found = year.run(0, year.parsed(["--days", "2", "--rows", "500"]))
    assert len(found.days) == 2
    for day in found.days:
        assert abs(day.rows - 500) < 120
        assert day.served == pytest.approx(day.incumbent)
        assert day.incumbent < day.best < day.best_of_all
    assert found.attempts == {}
