"""The policy on disk and in hand: what is written, what is refused, what it decides."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jumar
from jumar.errors import LogError, PolicyError
from jumar.improvement import Improvement
from jumar.policy.artifact import _read_card


@pytest.fixture
def copy(run_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run_folder / "policy", tmp_path / "policy")


@pytest.fixture(scope="module")
def rows(make_bandit: Callable[..., pa.Table]) -> pa.Table:
    return make_bandit(3_000, seed=9, extra=True)


@pytest.fixture(scope="module")
def policy(run_folder: Path) -> jumar.Policy:
    return jumar.load_policy(run_folder)


def test_a_saved_policy_is_loaded_as_it_was(policy: jumar.Policy, certified: Improvement, rows: pa.Table) -> None:
    assert certified.policy is not None
    assert policy.card == certified.policy.card
    assert_array_equal(policy.pmf(rows), certified.policy.pmf(rows))


def test_the_policy_folder_holds_a_graph_and_a_card_and_no_pickle(run_folder: Path) -> None:
    folder = run_folder / "policy"
    assert sorted(path.name for path in folder.iterdir()) == ["policy.json", "policy.onnx"]
    card = json.loads((folder / "policy.json").read_bytes())
    assert card["actions"] == ["a", "b"]
    assert card["model_sha256"] == hashlib.sha256((folder / "policy.onnx").read_bytes()).hexdigest()
    graph = onnx.load(folder / "policy.onnx").graph
    assert {one.name for one in graph.input} == {"segment", "noise", "age", "tags", "when"}
    assert {one.name for one in graph.output} >= {"pmf"}


def test_the_policy_found_what_there_was_to_find(policy: jumar.Policy, rows: pa.Table) -> None:
    right = np.asarray(rows["segment"]) == "right"
    pmf = policy.pmf(rows)
    assert pmf[right, 1].min() > 0.5
    assert pmf[~right, 0].min() > 0.5
    assert pmf.min() >= 0.05 - 1e-6
    assert_allclose(pmf.sum(axis=1), 1, atol=1e-15)


def test_any_form_of_rows_gives_the_same_pmf(policy: jumar.Policy, rows: pa.Table) -> None:
    expected = policy.pmf(rows)
    assert_array_equal(policy.pmf(rows.to_pandas()), expected)
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    assert_array_equal(policy.pmf(frame), expected)
    assert policy.pmf(rows.slice(0, 0)).shape == (0, 2)


def test_decisions_are_drawn_by_id_from_the_exact_pmf(policy: jumar.Policy, rows: pa.Table) -> None:
    decided, pmf = policy.decide(rows), policy.pmf(rows)
    assert decided["decision_id"].to_pylist() == rows["decision_id"].to_pylist()
    assert_array_equal(np.array(decided["pmf"].to_pylist()), pmf)
    place = (np.asarray(decided["action"]) == "b").astype(int)
    assert_array_equal(np.asarray(decided["propensity"]), pmf[np.arange(len(pmf)), place])
    salt = f"{policy.card.model_sha256[:16]}:0"
    for i in range(50):
        digest = hashlib.md5(f"{salt}:{rows['decision_id'][i]}".encode()).digest()
        uniform = (int.from_bytes(digest, "little") >> 75) / 2**53
        assert place[i] == int(uniform >= pmf[i, 0])
    turned = policy.decide(rows.take(pa.array(np.arange(len(pmf))[::-1])))
    assert turned["action"].to_pylist()[::-1] == decided["action"].to_pylist()
    assert policy.decide(rows, seed=0) == decided
    assert policy.decide(rows, seed=1)["action"] != decided["action"]


def test_rows_without_ids_are_drawn_afresh_unless_a_seed_is_given(policy: jumar.Policy, rows: pa.Table) -> None:
    nameless = rows.drop_columns(["decision_id"])
    assert policy.decide(nameless)["action"] != policy.decide(nameless)["action"]
    assert policy.decide(nameless, seed=3) == policy.decide(nameless, seed=3)


def test_unseen_and_missing_values_are_decided_upon(policy: jumar.Policy) -> None:
    frame = pd.DataFrame(
        {
            "segment": ["middle", None],
            "noise": [1e30, None],
            "age": [-1e30, None],
            "tags": [["t1", "?"] * 50, None],
            "when": [pd.Timestamp("1950-01-01"), None],
        }
    ).astype({"noise": float, "age": float})
    pmf = policy.pmf(pa.Table.from_pandas(frame, preserve_index=False))
    assert np.isfinite(pmf).all()
    assert_allclose(pmf.sum(axis=1), 1)


def test_rows_that_do_not_fit_are_refused(policy: jumar.Policy, rows: pa.Table) -> None:
    with pytest.raises(LogError, match="'segment'"):
        policy.pmf(rows.drop_columns(["segment"]))
    with pytest.raises(LogError, match="'noise'"):
        policy.pmf(rows.set_column(3, "noise", pa.array(["x"] * len(rows))))


@pytest.mark.parametrize("name", ["policy.json", "policy.onnx"])
def test_an_incomplete_folder_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(PolicyError, match=name):
        jumar.load_policy(copy)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy"):
        jumar.load_policy(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["cut", "turned", "empty"])
def test_a_damaged_graph_is_refused(copy: Path, damage: str) -> None:
    content = bytearray((copy / "policy.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "policy.onnx").write_bytes({"cut": content[:-9], "turned": content, "empty": b""}[damage])
    with pytest.raises(PolicyError, match="hashes differ"):
        jumar.load_policy(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"format": "one"}', b'"\xff"'])
def test_a_card_that_is_none_is_refused(copy: Path, content: bytes) -> None:
    (copy / "policy.json").write_bytes(content)
    with pytest.raises(PolicyError, match=r"policy\.json"):
        jumar.load_policy(copy)


@pytest.mark.parametrize(("old", "new"), [('"a",', '"z",'), ('"temperature": 0.', '"temperature": 1.')])
def test_an_edited_card_is_refused(copy: Path, old: str, new: str) -> None:
    text = (copy / "policy.json").read_text()
    assert old in text
    (copy / "policy.json").write_text(text.replace(old, new, 1))
    with pytest.raises(PolicyError):
        jumar.load_policy(copy)


def test_a_card_written_before_there_were_prices_is_still_whole(policy: jumar.Policy, tmp_path: Path) -> None:
    """``card_without_prices.json`` was written by version 0.1 before a card knew ``price`` and ``costs``."""
    old = Path(__file__).parent / "data" / "card_without_prices.json"
    assert not {"price", "costs"} & json.loads(old.read_bytes()).keys()
    card = _read_card(old.read_bytes(), str(old))
    assert (card.price, card.costs) == (0.0, [])
    changed = tmp_path / "policy.json"
    changed.write_text(old.read_text().replace('"pessimism": 1.0', '"pessimism": 1.0,\n  "price": 0.5'))
    with pytest.raises(PolicyError, match="changed"):
        _read_card(changed.read_bytes(), str(changed))


def test_a_card_holds_prices_and_costs(policy: jumar.Policy, tmp_path: Path) -> None:
    card = msgspec.structs.replace(policy.card, price=0.25, costs=[0.0, 1.5])
    jumar.Policy(card, policy.model).save(tmp_path)
    assert jumar.load_policy(tmp_path).card == card
    (tmp_path / "policy.json").write_text((tmp_path / "policy.json").read_text().replace("1.5", "2.5"))
    with pytest.raises(PolicyError, match="changed"):
        jumar.load_policy(tmp_path)


def test_entries_that_this_version_does_not_know_are_under_the_seal(copy: Path) -> None:
    card = json.loads((copy / "policy.json").read_bytes())
    (copy / "policy.json").write_text(json.dumps({"unknown": 1} | card))
    with pytest.raises(PolicyError, match="changed"):
        jumar.load_policy(copy)


def test_another_format_is_refused_by_name(copy: Path) -> None:
    card = json.loads((copy / "policy.json").read_bytes())
    (copy / "policy.json").write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(PolicyError, match="format 99"):
        jumar.load_policy(copy)
