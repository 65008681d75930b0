"""Deciding: exact, repeatable, the same in plain values and in Arrow, and never without a logged decision."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from service_kit import CONTEXT, KINDS, make_policy

from jumar.errors import OptionError
from jumar.policy import Policy
from jumar.policy.exploration import odds, parse_exploration, random_turns
from jumar.policy.sampling import draw, hash_key, uniforms
from jumar.serve.contexts import MalformedError
from jumar.serve.decider import Decider
from jumar.serve.journal import JournalError
from jumar.serve.messages import new_id

DAY = datetime.date(2026, 3, 1)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return make_policy()


def some(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "x": None if rng.random() < 0.2 else float(rng.normal()),
            "k": int(rng.integers(-3, 9)),
            "spelt": str(rng.choice(["1.5", "-2", "none", "1e3"])),
            "when": f"2026-03-{rng.integers(1, 28):02d}T{rng.integers(0, 23):02d}:10:00+01:00",
            "flag": bool(rng.random() < 0.5),
            "c": str(rng.choice(["a", "b", "zz", "<missing>"])),
            "n": int(rng.integers(6, 10)),
            "l": None if rng.random() < 0.2 else [str(v) for v in rng.choice(["p", "q", "r"], rng.integers(0, 5))],
        }
        for _ in range(rows)
    ]


def read(decider: Decider, contexts: list[dict[str, Any]]) -> dict[str, list[Any]]:
    rows = [decider.reader.row(msgspec.json.encode(context)) for context in contexts]
    assert not any(fault for _, fault in rows)
    return decider.reader.columns([row for row, _ in rows])


def arrow(decider: Decider, columns: dict[str, list[Any]]) -> pa.RecordBatch:
    fields = decider.reader.features
    arrays = [pa.array(columns[field.name], field.type) for field in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=fields)


# Scores and draws


@pytest.mark.parametrize("mode", ["policy", "floor:0.05", "softmax:2", "top-two", "thompson:0.01"])
def test_decisions_are_exact_repeatable_and_alike_in_any_form(policy: Policy, mode: str) -> None:
    decider = Decider(policy, parse_exploration(mode), "salt", version="v")
    columns, ids, units = read(decider, some(300)), [f"d{i}" for i in range(300)], [None] * 300
    batch = arrow(decider, columns)
    plain, columnar = decider.decide(columns, units, ids), decider.decide(batch, units, ids)
    assert plain.actions == columnar.actions
    assert_array_equal(plain.pmf, columnar.pmf)
    scores = decider.scores(columns, 300)
    assert_array_equal(plain.pmf, decider.exploration.pmf(scores))
    action, propensity = draw(plain.pmf, uniforms(hash_key("draw", "salt", "v"), ids))
    assert plain.actions == [policy.actions[place] for place in action]
    assert_array_equal(plain.propensity, propensity)
    assert not any(plain.faults)
    alone = [decider.decide(batch.slice(i, 1), [None], ids[i : i + 1]) for i in range(20)]
    assert [one.actions[0] for one in alone] == list(plain.actions[:20])
    assert_allclose([one.pmf[0] for one in alone], plain.pmf[:20], atol=1e-6)


def test_without_exploration_probabilities_are_those_of_the_policy(policy: Policy) -> None:
    decider = Decider(policy)
    batch = arrow(decider, read(decider, some(200)))
    decided = decider.decide(batch, [None] * 200, [str(i) for i in range(200)])
    assert_allclose(decided.pmf, policy.pmf(pa.Table.from_batches([batch])), atol=1e-7)
    assert decider.version == policy.name


def test_another_salt_or_version_draws_anew(policy: Policy) -> None:
    ids = [f"d{i}" for i in range(400)]
    columns = read(Decider(policy), some(400))
    taken = [
        Decider(policy, salt=salt, version=version).decide(columns, [None] * 400, ids).actions
        for salt, version in (("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"))
    ]
    assert taken[0] == taken[1]
    assert taken[0] != taken[2]
    assert taken[0] != taken[3]


def test_logged_rows_are_the_same_in_any_form(policy: Policy) -> None:
    decider = Decider(policy, version="v")
    contexts = some(50)
    columns, ids, units = read(decider, contexts), [str(i) for i in range(50)], ["u"] * 50
    decided, now = decider.decide(columns, units, ids), [1_700_000_000_000_000] * 50
    plain = decided.columns(columns, now)
    logged = pa.RecordBatch.from_arrays(
        [pa.array(plain[f.name], f.type) for f in decider.schema], schema=decider.schema
    )
    times = pa.array(now, pa.timestamp("us", "UTC"))
    assert decided.record_batch(arrow(decider, columns), times, decider.schema).equals(logged)
    found = logged.to_pylist()[0]
    assert {name: found[name] for name in ("x", "k", "spelt", "flag", "c", "n", "l")} == {
        name: contexts[0][name] for name in ("x", "k", "spelt", "flag", "c", "n", "l")
    }
    assert found["when"] == datetime.datetime.fromisoformat(contexts[0]["when"]).astimezone(datetime.UTC).replace(
        tzinfo=None
    )
    assert found["propensity"] == found["pmf"][policy.actions.index(found["action"])]


def test_candidates_restrict_and_renormalise(policy: Policy) -> None:
    decider = Decider(policy, version="v")
    columns, ids = read(decider, some(60)), [str(i) for i in range(60)]
    mask = decider.allowed([["b", "a"]] * 30 + [None] * 30)
    decided, free = decider.decide(columns, [None] * 60, ids, allowed=mask), decider.decide(columns, [None] * 60, ids)
    kept = free.pmf[:30] * [1, 1, 0]
    assert_allclose(decided.pmf[:30], kept / kept.sum(axis=1, keepdims=True))
    assert_array_equal(decided.pmf[30:], free.pmf[30:])
    assert "c" not in decided.actions[:30]
    for wrong in (["z"], [1], [True], []):
        with pytest.raises(OptionError):
            decider.allowed([wrong])


def test_actions_of_any_type_keep_it() -> None:
    for actions in ((1, 2), (False, True), (0, 1)):
        decider = Decider(make_policy(actions=actions), default=actions[1])
        assert decider.schema.field("action").type == pa.array(list(actions)).type
        assert decider.default == 1
        with pytest.raises(OptionError, match="does not know"):
            decider.allowed([["1"]])
    with pytest.raises(OptionError, match="does not know"):
        Decider(make_policy(actions=(0, 1)), default=True)


# Falling back


def test_a_context_that_does_not_fit_falls_back_and_says_why(policy: Policy) -> None:
    decider = Decider(policy, default="b", version="v")
    for change, word in (
        ({"x": "1"}, "str"), ({"k": 1.5}, "float"), ({"when": "yesterday"}, "datetime"),
        ({"l": "p"}, "array"), ({"flag": 1}, "bool"), ({"c": 5}, "str"), ({"n": "7"}, "int"),
    ):  # fmt: skip
        row, fault = decider.reader.row(msgspec.json.encode(CONTEXT | change))
        assert fault is not None
        assert word in fault
        assert row == (None,) * len(KINDS)
    huge = b'{"k": 1' + b"0" * 5_000 + b"}"
    for beyond in (huge, b'{"x": 1e999}', msgspec.json.encode(CONTEXT | {"when": "0001-01-01T00:00:00+12:00"})):
        with pytest.raises(MalformedError, match="range"):
            decider.reader.row(beyond)
    for name in CONTEXT:
        row, fault = decider.reader.row(msgspec.json.encode({k: v for k, v in CONTEXT.items() if k != name}))
        assert fault is not None
        assert f"`{name}`" in fault
        assert decider.reader.row(msgspec.json.encode(CONTEXT | {name: None, "unknown": [{}]}))[1] is None
    decided = decider.decide(
        decider.reader.columns([decider.reader.missing] * 2), [None] * 2, ["1", "2"], faults=["no", None]
    )
    assert decided.faults == ["no", None]
    assert decided.actions[0] == "b"
    assert decided.propensity[0] == 1.0
    assert_array_equal(decided.pmf[0], [0.0, 1.0, 0.0])
    mask = decider.allowed([["c", "a"], None])
    decided = decider.decide(
        decider.reader.columns([decider.reader.missing] * 2), [None] * 2, ["1", "2"], allowed=mask, faults=["no", None]
    )
    assert decided.actions[0] == "a"  # the first candidate in the policy's order


def test_a_graph_that_fails_or_says_nonsense_falls_back(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    decider = Decider(policy, default="c")
    columns, ids = read(decider, some(3)), ["1", "2", "3"]
    sound = decider._scorer.run

    def broken(blocks: Any) -> Any:
        raise RuntimeError("the runtime says no")

    def nonsense(blocks: Any) -> Any:
        pmf, clone = sound(blocks)
        pmf[1] = np.nan
        pmf[2] = 0.0
        return pmf, clone

    monkeypatch.setattr(decider._scorer, "run", broken)
    decided = decider.decide(columns, [None] * 3, ids)
    assert list(decided.actions) == ["c"] * 3
    assert all("the runtime says no" in str(fault) for fault in decided.faults)
    monkeypatch.setattr(decider._scorer, "run", nonsense)
    decided = decider.decide(columns, [None] * 3, ids)
    assert [fault is None for fault in decided.faults] == [True, False, False]
    assert list(decided.actions[1:]) == ["c", "c"]
    assert_array_equal(decided.propensity[1:], [1.0, 1.0])


def test_the_default_action_is_production_s_own_favourite(policy: Policy) -> None:
    decider = Decider(policy)
    nothing = decider.reader.columns([decider.reader.missing])
    assert decider.default == decider.scores(nothing, 1).clone[0].argmax()


def test_a_feature_named_like_a_column_of_the_log_is_refused(policy: Policy) -> None:
    card = policy.card
    features = (msgspec.structs.replace(card.log_schema.features[0], name="propensity"), *card.log_schema.features[1:])
    schema = msgspec.structs.replace(card.log_schema, features=features)
    with pytest.raises(JournalError, match="propensity"):
        Decider(Policy(msgspec.structs.replace(card, log_schema=schema), policy.model))


# Budget


def test_budget_logs_the_law_it_draws_by(policy: Policy) -> None:
    decider = Decider(policy, parse_exploration("budget:3"), "salt", version="v")
    rows = 5 * 400
    units, counts = [f"u{i % 400}" for i in range(rows)], [1 + i // 400 for i in range(rows)]
    columns, ids = read(decider, some(400) * 5), [f"d{i}" for i in range(rows)]
    decided = decider.decide(columns, units, ids, counts=counts, day=DAY)
    turns = random_turns("salt", DAY, units, 3)
    h = odds(counts, turns, 3)
    own = decider.scores(columns, rows).pmf
    surest = np.eye(3)[own.argmax(axis=1)]
    assert_allclose(decided.pmf, (1 - h)[:, None] * surest + h[:, None] * own)
    off = np.array(
        [action != policy.actions[place] for action, place in zip(decided.actions, own.argmax(axis=1), strict=True)]
    )
    assert off.any()
    assert (turns[off] == np.array(counts)[off]).all()  # only in its turn does a unit get another than the likeliest
    assert decided.exploration[401] == "budget:3:2"
    assert not decider.decide(columns, units, ids).propensity[h == 0].min() < 1.0


def test_ids_are_uuids_in_order() -> None:
    made = [new_id() for _ in range(2_000)]
    assert len(set(made)) == 2_000
    assert all(len(one) == 36 and one[14] == "7" and one[19] in "89ab" for one in made)
    assert made[0][:8] <= made[-1][:8]
