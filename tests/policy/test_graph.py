"""One function, three spellings: the exported graph on raw inputs, its fast path, and JAX."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from jumar.errors import PolicyError
from jumar.features import FeatureSpec, read_blocks
from jumar.features.raw import MISSING_TEXT, TIME_PARTS
from jumar.features.spec import CategoryColumn, IdsColumn, NumberColumn
from jumar.features.vectors import init_tables, vector_width
from jumar.learn import FitResult, OneStep, Steered
from jumar.learn.data import block_columns
from jumar.learn.learned import Learned, pessimistic_advantage
from jumar.learn.networks import init_stack
from jumar.learn.tilt import tilt
from jumar.policy import Scorer, build_graph
from jumar.policy.graph import MEMBERS as MEMBERS_NAME
from jumar.policy.graph import MISSING_TIME

ACTIONS, MEMBERS, MOST_ROWS = 3, 4, 8
SCALE, PESSIMISM, MINIMUM = 0.05, 1.0, (0.02, 0.02, 0.02)
RATES = (0.2, 2.0, 50.0)
SMALL, LARGE = ("x", "y", ""), tuple(f"v{i}" for i in range(40))
Row = dict[str, Any]


def number(name: str, part: str = "", **changes: Any) -> NumberColumn:
    plain: dict[str, Any] = {"centre": 0.5, "width": 2.0, "mean": 0.1, "scale": 0.8, "missing": False, "levels": ()}
    return NumberColumn(name=name, part=part, **plain | changes)


SPEC = FeatureSpec(
    numbers=(
        number("x", missing=True),
        number("k", levels=(0.0, 1.0, 5.0)),
        number("days", "days", centre=19_000.0, width=100.0),
        *(number("days", part, centre=0.0, width=1.0) for part in TIME_PARTS[1:]),
    ),
    categories=(CategoryColumn(name="c", vocabulary=SMALL), CategoryColumn(name="g", vocabulary=LARGE)),
    ids=(
        IdsColumn(name="l", vocabulary=("a", "b", "c"), length=3),
        IdsColumn(name="m", vocabulary=tuple(f"m{i}" for i in range(20)), length=1),
    ),
)


def learner(spec: FeatureSpec, seed: int = 0) -> OneStep:
    """Random parameters: parity must hold for any, and these differ more than fitted ones."""
    rng = np.random.default_rng(seed)

    def group(members: int, outputs: int) -> dict[str, Any]:
        net = init_stack(rng, members, (vector_width(spec), 16, 8, outputs))
        for layer in net:
            layer["bias"] = jnp.asarray(0.3 * rng.standard_normal(layer["bias"].shape, np.float32))
        net[-1]["weight"] = 4.0 * net[-1]["weight"]
        return {"tables": init_tables(spec, rng), "net": net}

    return OneStep(
        spec, ACTIONS, group(1, ACTIONS), group(MEMBERS, 1 + ACTIONS), 0.3, 0.2, FitResult({}), FitResult({})
    )


def graph(learned: Learned, rates: tuple[float, ...], **priced: Any) -> Any:
    return build_graph(learned, inverse_temperatures=rates, scale=SCALE, pessimism=PESSIMISM, minimum=MINIMUM, **priced)


@cache
def spellings() -> tuple[onnxruntime.InferenceSession, Scorer]:
    model = graph(learner(SPEC), RATES[1:2])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session, Scorer(model, SPEC, ("pmf", "clone", "advantage", "q"))


def raw_inputs(rows: list[Row]) -> dict[str, np.ndarray]:
    """Rows as a user of the graph alone would feed them."""

    def matrix(name: str) -> np.ndarray:
        lists = [row[name] or [] for row in rows]
        width = max(1, *(len(one) for one in lists))
        padded = [[*(entry if entry is not None else "?" for entry in one)] for one in lists]
        return np.array([one + [MISSING_TEXT] * (width - len(one)) for one in padded], dtype=object)

    def text(name: str) -> np.ndarray:
        return np.array([MISSING_TEXT if row[name] is None else row[name] for row in rows], dtype=object)

    def floats(name: str) -> np.ndarray:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float32)

    seconds = [MISSING_TIME if row["days"] is None else row["days"] // 1_000_000 for row in rows]
    return {
        "x": floats("x"),
        "k": floats("k"),
        "days": np.array(seconds, np.int64),
        "c": text("c"),
        "g": text("g"),
        "l": matrix("l"),
        "m": matrix("m"),
    }


def table(rows: list[Row]) -> pa.RecordBatch:
    types = {
        "x": pa.float64(),
        "k": pa.float64(),
        "days": pa.timestamp("us"),
        "c": pa.string(),
        "g": pa.string(),
        "l": pa.list_(pa.string()),
        "m": pa.list_(pa.string()),
    }
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(types))


@cache
def compiled(seed: int) -> Any:
    learned = learner(SPEC, seed)
    return jax.jit(lambda batch, rate: outputs(learned, batch, rate))


def outputs(learned: OneStep, batch: Any, rate: Any) -> tuple[Any, ...]:
    logits, q = learned.outputs(batch)
    advantage = pessimistic_advantage(logits, q, PESSIMISM)
    pmf = tilt(logits, advantage / SCALE, rate, jnp.asarray(MINIMUM))
    return pmf, jax.nn.softmax(logits), advantage, q.mean(axis=0)


def in_jax(rows: list[Row], rate: float, seed: int = 0) -> list[np.ndarray]:
    padded = rows + [EMPTY] * (MOST_ROWS - len(rows))  # one shape, compiled once
    return [np.asarray(one)[: len(rows)] for one in compiled(seed)(columns(SPEC, padded), rate)]


def columns(spec: FeatureSpec, rows: list[Row]) -> dict[str, jax.Array]:
    return {name: jnp.asarray(v) for name, v in block_columns(read_blocks(table(rows), spec)).items()}


# Below 1e-37 single precision is subnormal, which compilers may flush to zero.
NUMBERS = (
    st.none()
    | st.sampled_from([0.0, -0.0, 1.0, 5.0, 1e30, -1e30, 3e38, 1e-30])
    | st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-37)
)
TEXTS = st.none() | st.sampled_from([*SMALL, *LARGE[:3], "unseen", "é", "<Missing>"]) | st.text(max_size=3)
LISTS = st.none() | st.lists(st.sampled_from(["a", "b", "c", "m1", "m19", "zz", ""]), max_size=6)
MICROS = st.none() | st.integers(-3 * 10**15, 4 * 10**15)
ROW = st.fixed_dictionaries(
    {"x": NUMBERS, "k": NUMBERS, "days": MICROS, "c": TEXTS, "g": TEXTS, "l": LISTS, "m": LISTS}
)
EMPTY: Row = {"x": None, "k": None, "days": None, "c": None, "g": None, "l": None, "m": None}
HARD: Row = {"x": -1e30, "k": 5.0, "days": -1, "c": "", "g": "v39", "l": ["a", "zz", "b", "c"], "m": []}


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=MOST_ROWS))
@example([EMPTY])
@example([HARD, EMPTY])
def test_graph_fast_path_and_jax_agree(rows: list[Row]) -> None:
    if any(row[name] and "\0" in row[name] for row in rows for name in ("c", "g")):
        return  # the runtime's strings end at a zero byte
    session, scorer = spellings()
    names = ["pmf", "clone", "advantage", "q"]
    raw: list[Any] = list(session.run(names, raw_inputs(rows)))
    full = dict(zip(names, raw, strict=True))
    fast = dict(zip(names, scorer.run(read_blocks(table(rows), SPEC)), strict=True))
    for name, expected in zip(names, in_jax(rows, RATES[1]), strict=True):
        assert_allclose(full[name], fast[name], atol=1e-6, err_msg=name)
        assert_allclose(fast[name], expected, atol=1e-5, err_msg=name)
    assert_allclose(fast["pmf"].sum(axis=1), 1.0, atol=1e-15)
    assert np.isfinite(fast["pmf"]).all()
    assert (fast["pmf"] > 0).all()


def test_members_of_the_ensemble_are_named() -> None:
    """One by one, in the unit of the advantage; their mean less κ deviations is the advantage itself."""
    scorer = Scorer(graph(learner(SPEC), RATES[1:2]), SPEC, ("clone", "advantage", MEMBERS_NAME))
    rows = [HARD, EMPTY, HARD | {"x": 0.25, "k": 1.0}]
    clone, advantage, members = scorer.run(read_blocks(table(rows), SPEC))
    assert members.shape == (len(rows), MEMBERS, ACTIONS)
    q = np.moveaxis(np.asarray(learner(SPEC).outputs(columns(SPEC, rows))[1]), 0, 1)
    assert_allclose(members, q - (q * clone[:, None, :]).sum(axis=2, keepdims=True), atol=2e-5)
    assert_allclose(members.mean(axis=1) - PESSIMISM * members.std(axis=1), advantage, atol=1e-5)
    bare = graph(learner(SPEC), RATES[1:2])
    for node in bare.graph.node:
        node.output[:] = ["other" if name == MEMBERS_NAME else name for name in node.output]
    with pytest.raises(PolicyError, match="ensemble"):
        Scorer(bare, SPEC, (MEMBERS_NAME,))


def test_the_parity_test_can_tell_policies_apart() -> None:
    _, scorer = spellings()
    (pmf, *_) = scorer.run(read_blocks(table([EMPTY, HARD]), SPEC))
    other = in_jax([EMPTY, HARD], RATES[1], seed=1)[0]
    assert np.abs(pmf - other).max() > 0.01
    assert np.abs(pmf[0] - pmf[1]).max() > 0.01
    assert np.abs(pmf - in_jax([EMPTY, HARD], 0.0)[0]).max() > 0.01


def test_the_stacked_graph_is_each_single_graph() -> None:
    learned = learner(SPEC)
    rows = [EMPTY, HARD, EMPTY | {"x": 2.0, "c": "x", "days": 10**15}]
    blocks = read_blocks(table(rows), SPEC)
    (together,) = Scorer(graph(learned, RATES), SPEC).run(blocks)
    assert together.shape == (3, len(RATES), ACTIONS)
    for place, rate in enumerate(RATES):
        (alone,) = Scorer(graph(learned, (rate,)), SPEC).run(blocks)
        assert_array_equal(together[:, place], alone)


PRICES, COSTS = (0.0, 0.03, 0.2), (0.0, 1.0, 2.5)


def test_a_priced_graph_is_the_tilt_by_the_advantage_less_price_times_cost() -> None:
    learned = learner(SPEC)
    rows = [EMPTY, HARD, EMPTY | {"x": 2.0, "c": "x", "days": 10**15}]
    blocks = read_blocks(table(rows), SPEC)
    logits, _ = learned.outputs(columns(SPEC, rows))
    advantage = learned.advantage(columns(SPEC, rows), PESSIMISM)
    (together,) = Scorer(graph(learned, RATES, prices=PRICES, costs=COSTS), SPEC).run(blocks)
    for place, (rate, price) in enumerate(zip(RATES, PRICES, strict=True)):
        net = (advantage - price * jnp.asarray(COSTS)) / SCALE
        assert_allclose(together[:, place], tilt(logits, net, rate, jnp.asarray(MINIMUM)), atol=1e-5)
        (alone,) = Scorer(graph(learned, (rate,), prices=(price,), costs=COSTS), SPEC).run(blocks)
        assert_allclose(together[:, place], alone, atol=1e-6)
    (free,) = Scorer(graph(learned, RATES), SPEC).run(blocks)
    assert_array_equal(together[:, 0], free[:, 0])
    assert np.abs(together[:, 1] - free[:, 1]).max() > 0.01


def test_a_graph_with_preferences_of_its_own_is_what_the_learner_says() -> None:
    base = learner(SPEC)
    *hidden, last = learner(SPEC, seed=1).value["net"]
    group = {
        "tables": init_tables(SPEC, np.random.default_rng(5)),
        "net": [*hidden, {name: array[..., 1:] for name, array in last.items()}],
    }
    learned = Steered(**vars(base), name="own", group=group, unit=0.07, result=FitResult({}))
    rows = [EMPTY, HARD, EMPTY | {"x": 2.0, "c": "x", "g": "v7", "l": ["a", "b"], "days": 10**15}]
    batch = columns(SPEC, rows)
    model = graph(learned, RATES, prices=PRICES, costs=COSTS)
    pmf, advantage, q = Scorer(model, SPEC, ("pmf", "advantage", "q")).run(read_blocks(table(rows), SPEC))
    logits, values = learned.outputs(batch)
    own = learned.advantage(batch, PESSIMISM)
    assert_allclose(advantage, own, atol=1e-5)
    assert_allclose(q, values.mean(axis=0), atol=1e-5)
    for place, (rate, price) in enumerate(zip(RATES, PRICES, strict=True)):
        net = (own - price * jnp.asarray(COSTS)) / SCALE
        assert_allclose(pmf[:, place], tilt(logits, net, rate, jnp.asarray(MINIMUM)), atol=1e-5)
    assert np.abs(own - base.advantage(batch, PESSIMISM)).max() > 0.01


def test_rows_are_scored_alike_alone_and_in_any_batch() -> None:
    _, scorer = spellings()
    rng = np.random.default_rng(0)
    rows = [
        EMPTY | {"x": float(x), "g": f"v{i % 50}", "l": ["a"] * (i % 5)} for i, x in enumerate(rng.normal(size=5_000))
    ]
    everything = scorer.run(read_blocks(table(rows), SPEC))[0]
    for start in (0, 1, 2_047, 2_048, 4_999):
        alone = scorer.run(read_blocks(table(rows[start : start + 1]), SPEC))[0]
        assert_allclose(everything[start], alone[0], atol=1e-6)
    none = scorer.run(read_blocks(table(rows)[:0], SPEC))
    assert none[0].shape == (0, ACTIONS)


def test_the_bytes_of_a_graph_are_a_function_of_its_parameters() -> None:
    one, two = (graph(learner(SPEC), RATES).SerializeToString(deterministic=True) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    "name", ["q", "pmf", "clone", "advantage", "numbers", "codes", "ids:0", "n0", "c0", "n7", "ü b"]
)
def test_a_feature_may_have_any_name(name: str) -> None:
    spec = FeatureSpec(numbers=(number(name), number("other")), categories=(), ids=())
    scorer = Scorer(graph(learner(spec), (1.0,)), spec, ("pmf", "q"))
    pmf, _ = scorer.run(read_blocks(pa.table({name: [0.0, 1.0], "other": [1.0, 2.0]}), spec))
    assert_allclose(pmf.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(numbers=(number("x"),), categories=(), ids=()),
        FeatureSpec(numbers=(), categories=(CategoryColumn(name="c", vocabulary=()),), ids=()),
        FeatureSpec(numbers=(), categories=(), ids=(IdsColumn(name="l", vocabulary=("a",), length=2),)),
    ],
    ids=["number", "category", "ids"],
)
def test_one_feature_is_enough(spec: FeatureSpec) -> None:
    rows = [HARD, EMPTY]
    learned = learner(spec)
    (pmf,) = Scorer(graph(learned, (2.0,)), spec).run(read_blocks(table(rows), spec))
    assert_allclose(pmf, outputs(learned, columns(spec, rows), 2.0)[0], atol=1e-5)


def test_the_word_for_missing_counts_as_missing_everywhere() -> None:
    rows = [EMPTY | {"c": MISSING_TEXT, "g": MISSING_TEXT, "l": [MISSING_TEXT, "a"]}, EMPTY | {"l": ["a"]}]
    session, scorer = spellings()
    fast = scorer.run(read_blocks(table(rows), SPEC))[0]
    raw: Any = session.run(["pmf"], raw_inputs(rows))[0]
    assert_allclose(raw, fast, atol=1e-6)
    assert_allclose(fast[0], fast[1], atol=1e-6)
