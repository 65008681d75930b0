"""The examples run on real data and find what they say they find."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jumar

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_thornton_certifies_offering_until_it_costs_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    result = example("thornton").main(costs=(0.4, 1.0))

    assert result.people == 2830
    assert [found.confidence for found in result.free] == [0.99, 0.999]
    for found in result.free:
        assert found.verdict == "certified"
        assert found.direction == "offer"
        assert found.offered_after > 0.9 > found.offered_before
        assert 0 < found.at_least < found.gain < 0.13  # offering to everybody would gain about 0.1
    assert result.free[1].at_least < result.free[0].at_least
    estimated, most = result.price
    assert 1 < estimated < most

    assert result.unlogged.verdict == "conditional"
    assert result.unlogged.gamma is not None

    dear, dearest = result.by_cost
    assert dear.verdict == "refused"
    assert dear.reasons
    assert dear.direction is None
    assert dearest.verdict == "certified"
    assert dearest.direction == "withhold"
    assert "offering less from 1" in capsys.readouterr().out


def test_open_bandit_refuses_and_says_how_many_rows_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("open_bandit")
    result = module.main(tmp_path)

    certificate = result.certificate
    assert certificate.verdict == "refused"
    assert certificate.reasons
    assert 4_000 < certificate.rows < 6_000
    assert certificate.rows_needed is None or certificate.rows_needed > certificate.rows
    assert result.rows_hoped_for > 1_000_000

    weights = {one.log: one for one in result.weights}
    assert len(weights) == 6
    assert weights["random/all"].items == 80
    assert weights["random/all"].largest == pytest.approx(1)
    assert weights["random/all"].effective_rows == pytest.approx(10_000)
    assert weights["bts/women"].largest == pytest.approx(21_739, rel=1e-3)
    assert weights["bts/women"].effective_rows == pytest.approx(2.1, abs=0.05)

    out = capsys.readouterr().out
    assert certificate.reasons[0] in out
    assert f"{result.rows_hoped_for:,}" in out
    assert module.download(tmp_path) == tmp_path / module.WHEEL  # kept: no second download


def test_open_bandit_says_plainly_that_it_cannot_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    with pytest.raises(jumar.JumarError, match=r"could not be downloaded.*Check the network"):
        example("open_bandit").main(tmp_path)


def test_open_bandit_refuses_another_file(tmp_path: Path) -> None:
    module = example("open_bandit")
    (tmp_path / module.WHEEL).write_bytes(b"something else")

    with pytest.raises(jumar.JumarError, match="not the file that was published"):
        module.main(tmp_path)
