"""Features: statistics worked by hand, readings of raw columns, vectors."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import ibis
import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.features import FeatureSpec, fit_features, read_blocks
from jumar.features.raw import TIME_PARTS, category_codes, id_codes, stack_blocks, time_parts
from jumar.features.spec import CategoryColumn, IdsColumn, NumberColumn
from jumar.features.vectors import embedding_width, init_tables, vector_width, vectors
from jumar.logs.schema import Feature

DAY = 86_400
NAN = float("nan")


def feature(name: str, kind: str) -> Feature:
    return msgspec.convert({"name": name, "kind": kind, "arrow_type": ""}, Feature)


def fit(kind: str, values: pa.Array) -> FeatureSpec:
    return fit_features(ibis.memtable(pa.table({"x": values})), [feature("x", kind)])


def number(name: str = "x", **changes: object) -> NumberColumn:
    plain = {"name": name, "part": "", "centre": 0.0, "width": 1.0, "mean": 0.0, "scale": 1.0}
    return msgspec.convert(plain | {"missing": False, "levels": ()} | changes, NumberColumn)


def spec_of(*columns: NumberColumn | CategoryColumn | IdsColumn) -> FeatureSpec:
    return FeatureSpec(
        numbers=tuple(c for c in columns if isinstance(c, NumberColumn)),
        categories=tuple(c for c in columns if isinstance(c, CategoryColumn)),
        ids=tuple(c for c in columns if isinstance(c, IdsColumn)),
    )


def test_a_number_is_centred_on_its_median_and_spread_by_its_quartiles() -> None:
    (column,) = fit("number", pa.array([float(x) for x in range(101)])).numbers
    assert column.centre == 50.0
    assert column.width == pytest.approx(50 / 1.349, rel=1e-5)
    assert column.mean == pytest.approx(0.0, abs=1e-12)
    squashed = np.arcsinh((np.arange(101) - 50) / (50 / 1.349))
    assert column.scale == pytest.approx(squashed.std(), rel=1e-5)
    assert not column.missing
    assert column.levels == ()


def test_small_whole_numbers_get_indicators_and_missing_values_a_flag() -> None:
    (column,) = fit("number", pa.array([0.0, 1.0, 1.0, 3.0, None] * 40)).numbers
    assert column.levels == (0.0, 1.0, 3.0)
    assert column.missing
    (halves,) = fit("number", pa.array([0.0, 0.5, 1.0, 3.0] * 40)).numbers
    assert halves.levels == ()
    (two,) = fit("boolean", pa.array([True, False] * 40)).numbers
    assert (two.levels, two.centre) == ((), 0.5)
    (many,) = fit("number", pa.array([float(x % 13) for x in range(400)])).numbers
    assert many.levels == ()


@pytest.mark.parametrize("values", [[7.0] * 20, [None] * 20, [0.0] * 99 + [5.0]])
def test_columns_without_spread_stay_finite(values: list[float | None]) -> None:
    (column,) = fit("number", pa.array(values, pa.float64())).numbers
    assert column.width > 0
    assert column.scale > 0
    for constant in (column.centre, column.width, column.mean, column.scale):
        assert math.isfinite(constant)


@pytest.mark.parametrize("size", [1e300, -1e300, 1e-300])
def test_values_beyond_single_precision_leave_finite_statistics_that_json_can_hold(size: float) -> None:
    spec = fit("number", pa.array([0.0] * 95 + [size] * 5))
    assert msgspec.json.decode(msgspec.json.encode(spec), type=FeatureSpec) == spec
    blocks = read_blocks(pa.table({"x": [0.0, size, 1.0, None]}), spec)
    assert np.isfinite(np.asarray(vectors(spec, [], jnp.asarray(blocks.numbers), jnp.zeros((4, 0)), []))).all()


def test_a_vocabulary_holds_frequent_values_by_frequency_then_name() -> None:
    counts = {"b": 30, "c": 12, "a": 12, "rare": 9}
    values = [value for value, n in counts.items() for _ in range(n)] + [None] * 50
    (column,) = fit("category", pa.array(values)).categories
    assert column.vocabulary == ("b", "a", "c")
    assert column.size == 5


def test_the_word_for_missing_is_no_value() -> None:
    (column,) = fit("category", pa.array(["<missing>"] * 30 + ["a"] * 20)).categories
    assert column.vocabulary == ("a",)
    assert_array_equal(category_codes(pa.array(["<missing>", "a", None]), column), [0, 2, 0])


def test_lists_are_read_up_to_the_length_that_holds_99_percent() -> None:
    lists = [["a", "b"]] * 90 + [["a"] * 3] * 9 + [["z"] * 400]
    (column,) = fit("ids", pa.array(lists, pa.list_(pa.string()))).ids
    assert column.length in (3, 4, 5, 6, 7)
    assert column.vocabulary == ("z", "a", "b")
    (empty,) = fit("ids", pa.array([[], None] * 20, pa.list_(pa.string()))).ids
    assert (empty.length, empty.vocabulary) == (1, ())


def test_a_timestamp_becomes_five_numbers() -> None:
    spec = fit("time", pa.array([dt.datetime(2024, 1, 1) + dt.timedelta(hours=h) for h in range(500)]))
    assert tuple(column.part for column in spec.numbers) == TIME_PARTS
    assert spec.columns == ("x",)
    assert spec.numbers[0].centre == pytest.approx(19723 + 250 / 24, rel=1e-5)


def test_the_sample_restricts_quantiles_but_not_the_search_for_missing_values() -> None:
    table = ibis.memtable(pa.table({"x": [1.0, 2.0, 3.0, None, 1e6], "chosen": [True, True, True, False, False]}))
    chosen: Any = table["chosen"]
    (column,) = fit_features(table, [feature("x", "number")], chosen).numbers
    assert (column.centre, column.missing) == (2.0, True)


def test_the_specification_is_the_same_whatever_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    n = 30_000
    table = pa.table(
        {
            "x": rng.normal(size=n) * 1e3,
            "c": rng.choice(["a", "b", "c"], n),
            "l": [[f"i{k}"] for k in rng.integers(0, 90, n)],
            "t": pa.array(rng.integers(0, 10**15, n), pa.timestamp("us")),
        }
    )
    kinds = [feature("x", "number"), feature("c", "category"), feature("l", "ids"), feature("t", "time")]
    shuffled = table.take(pa.array(rng.permutation(n)))
    bytes_of = [msgspec.json.encode(fit_features(ibis.memtable(t), kinds)) for t in (table, shuffled, table)]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_time_parts_by_hand() -> None:
    moments = [0, 6 * 3600, -1, -6 * 3600, 7 * DAY + 43_200]
    values = pa.array([*(1_000_000 * s for s in moments), None], pa.int64()).cast(pa.timestamp("us"))
    parts = time_parts(values)
    assert_allclose(parts["days"], [0, 0.25, -1 / DAY, -0.25, 7.5, NAN], atol=1e-12)
    assert_allclose(parts["day_sin"], [0, 1, -2 * np.pi / DAY, -1, 0, NAN], atol=1e-8)
    assert_allclose(parts["day_cos"], [1, 0, 1, 0, -1, NAN], atol=1e-8)
    assert_allclose(parts["week_sin"][1], np.sin(2 * np.pi / 28))
    assert_allclose(parts["week_cos"][4], np.cos(2 * np.pi / 14))


def test_a_fraction_of_a_second_before_1970_belongs_to_the_second_before() -> None:
    (days,) = time_parts(pa.array([-1], pa.timestamp("us")))["days"]
    assert days == -1 / DAY


def test_codes_of_categories_and_lists_by_hand() -> None:
    column = CategoryColumn(name="c", vocabulary=("x", "y"))
    values = pa.array(["y", None, "new", "x", ""])
    assert_array_equal(category_codes(values, column), [3, 0, 1, 2, 1])
    assert_array_equal(category_codes(values.dictionary_encode(), column), [3, 0, 1, 2, 1])
    assert_array_equal(category_codes(values.slice(1, 3), column), [0, 1, 2])
    ids = IdsColumn(name="l", vocabulary=("x", "y"), length=2)
    lists = pa.array([["y", "new", "x"], [], None, [None, "x"]], pa.list_(pa.string()))
    assert_array_equal(id_codes(lists, ids), [[3, 1], [0, 0], [0, 0], [1, 2]])
    assert_array_equal(id_codes(lists.slice(2), ids), [[0, 0], [1, 2]])


def test_blocks_of_a_table_equal_those_of_its_pieces() -> None:
    spec = spec_of(
        number(), CategoryColumn(name="c", vocabulary=("a",)), IdsColumn(name="l", vocabulary=("a",), length=3)
    )
    table = pa.table({"x": [1.0, None, 3.0], "c": ["a", "b", None], "l": [["a"], [], ["b", "a"]]})
    whole = read_blocks(table, spec)
    pieces = stack_blocks([read_blocks(table.slice(i, 1), spec) for i in range(3)])
    assert_array_equal(whole.numbers, pieces.numbers)
    assert_array_equal(whole.codes, pieces.codes)
    assert_array_equal(whole.ids[0], pieces.ids[0])
    assert len(read_blocks(table.slice(0, 0), spec)) == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_vectors_by_hand(compiled: bool) -> None:
    spec = spec_of(
        number("x", centre=1.0, width=2.0, mean=0.5, scale=2.0, missing=True),
        number("k", levels=(0.0, 2.0)),
        CategoryColumn(name="c", vocabulary=("a",)),
        IdsColumn(name="l", vocabulary=("a", "b"), length=3),
    )
    width = embedding_width(4)
    assert width == 3
    table = jnp.arange(4 * width, dtype=jnp.float32).reshape(4, width)
    numbers = jnp.array([[3.0, 2.0], [NAN, 0.0], [1e30, -1e30]], jnp.float32)
    codes = jnp.array([[2], [0], [1]])
    ids = [jnp.array([[2, 3, 0], [0, 0, 0], [1, 1, 1]])]

    def read(numbers: jax.Array) -> jax.Array:
        return vectors(spec, [table], numbers, codes, ids)

    found = (jax.jit(read) if compiled else read)(numbers)
    one = (math.asinh(1.0) - 0.5) / 2
    expected = [
        [one, math.asinh(2.0), 0, 0, 1, 0, 0, 1, 7.5, 8.5, 9.5, math.log(3)],
        [0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0],
        [4, -4, 0, 0, 0, 0, 1, 0, 3, 4, 5, math.log(4)],
    ]
    assert found.shape == (3, vector_width(spec))
    assert_allclose(found, expected, atol=1e-6)


def test_large_categories_are_embedded_and_small_ones_are_not() -> None:
    small = CategoryColumn(name="s", vocabulary=tuple("abcdefghij"))
    large = CategoryColumn(name="g", vocabulary=tuple("abcdefghijk"))
    assert vector_width(spec_of(small)) == 12
    assert vector_width(spec_of(large)) == embedding_width(13) == 5
    assert [table.shape for table in init_tables(spec_of(small, large), np.random.default_rng(0))] == [(13, 5)]
    assert embedding_width(10**6) == 12
