"""Arms: the same bits for one unit and for many, shares as they should be, growing shares that keep whom they have."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from jumar.release.arms import arm, pilots, place, places

MANY = pa.array([str(i) for i in range(100_000)])


def test_by_hand():
    digest = hashlib.md5(b"arm:s:u1").digest()
    number = int.from_bytes(digest, "little") >> 75
    assert place("u1", "s") == number / 2**53
    assert pilots(np.array([place("u1", "s")]))[0] == (number % 10 == 0)


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=60), st.text("ab:0")
)
@settings(max_examples=12, deadline=None)
def test_one_and_many_give_the_same_bits(units: list[str | None], salt: str):
    assert_array_equal(places(pa.array(units, pa.string()), salt), np.array([place(one, salt) for one in units]))


def test_shares_nest_and_salts_do_not():
    first, second = places(MANY, "a"), places(MANY, "b")
    for share in (0.01, 0.25, 0.95):
        assert abs((first < share).mean() - share) < 5 * math.sqrt(share * (1 - share) / len(MANY))
    assert all(arm(f"{i}", "a", 0.25) for i in range(300) if arm(f"{i}", "a", 0.05))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(pilots(first).mean() - 0.1) < 0.005
    assert abs(pilots(first)[first < 0.05].mean() - 0.1) < 0.02


def test_without_a_unit_production_serves_until_the_end():
    assert not arm(None, "a", 0.99)
    assert arm(None, "a", 1.0)
    assert arm("u", "a", 1.0)
    assert not arm("u", "a", 0.0)
    assert np.isnan(places(pa.chunked_array([pa.array([None, "u"])]), "a")).tolist() == [True, False]
