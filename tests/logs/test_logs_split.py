"""The split is by unit, fixed for ever, and the parts are a partition."""

from __future__ import annotations

import hashlib

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jumar.logs import Log, read_log
from jumar.logs.split import PARTS, hex_bound, in_parts, uniform, unit_hash


def column(log: Log, name: str, *parts: str) -> list[object]:
    batches = list(log.batches(*parts, columns=[name]))  # type: ignore[arg-type]
    return pa.Table.from_batches(batches)[name].to_pylist() if batches else []


def test_known_hash_and_part() -> None:
    frame = pd.DataFrame({"unit": ["alice", "bob"], "action": [0, 1], "reward": [0, 1], "x": [1.0, 2.0]})
    log = read_log(frame)
    assert column(log, "__hash") == [
        hashlib.md5(b"jumar-split:alice").hexdigest(),
        hashlib.md5(b"jumar-split:bob").hexdigest(),
    ]
    assert column(log, "__hash")[0] == "2efb6140abbdb103e1b9f7099ef458d9"


def test_parts_partition_the_rows_and_no_unit_is_in_two(frame_of: object) -> None:
    frame = frame_of(20_000)  # type: ignore[operator]
    log = read_log(frame)
    ids = {part: column(log, "__id", part) for part in PARTS}
    together = [i for part in ids.values() for i in part]
    assert sorted(together) == sorted(frame.decision_id)  # type: ignore[type-var]
    units = [set(column(log, "__unit", part)) for part in PARTS]
    assert sum(len(u) for u in units) == len(set().union(*units)) == log.units
    assert {part: len(rows) for part, rows in ids.items()} == {part: log.rows_in(part) for part in PARTS}
    assert log.rows_in("fit", "stop") == log.rows_in("fit") + log.rows_in("stop")
    assert log.rows_in() == 20_000
    for part, (low, high) in PARTS.items():
        assert abs(log.rows_in(part) / 20_000 - (high - low)) < 0.03


def test_bounds_as_strings_are_bounds_as_fractions() -> None:
    assert [hex_bound(f) for f in (0.0, 0.5)] == ["00000000", "80000000"]
    lows, highs = zip(*PARTS.values(), strict=True)
    assert lows[1:] == highs[:-1]
    assert (lows[0], highs[-1]) == (0.0, 1.0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.text(max_size=30).filter(lambda t: "\x00" not in t), min_size=1, max_size=50),
    st.text("ab:'é", max_size=5),
)
def test_hash_and_uniform_equal_hashlib(texts: list[str], salt: str) -> None:
    table = ibis.memtable(pa.table({"t": pa.array(texts, pa.string())}))
    got = table.select(h=unit_hash(table.t), u=uniform(salt, table.t)).to_pyarrow()  # type: ignore[arg-type]
    assert got["h"].to_pylist() == [hashlib.md5(f"jumar-split:{t}".encode()).hexdigest() for t in texts]
    words = [hashlib.md5(f"{salt}:{t}".encode()).digest() for t in texts]
    assert got["u"].to_pylist() == [(int.from_bytes(w, "little") >> 75) / 2**53 for w in words]


def test_uniform_is_uniform() -> None:
    table = ibis.memtable(pa.table({"t": pa.array([str(i) for i in range(20_000)])}))
    u = table.select(u=uniform("salt", table.t)).to_pyarrow()["u"].to_numpy()  # type: ignore[arg-type]
    assert 0 <= u.min() < u.max() < 1
    assert np.abs(np.histogram(u, 10, (0, 1))[0] / 2_000 - 1).max() < 0.1


@settings(max_examples=30, deadline=None)
@given(st.sets(st.sampled_from(sorted(PARTS)), min_size=1))
def test_every_hash_is_in_exactly_the_parts_that_cover_it(parts: set[str]) -> None:
    fractions = np.linspace(0, 1, 401)[:-1] + 1e-4
    hashes = [f"{int(f * 2**32):08x}" + "f" * 24 for f in fractions]
    table = ibis.memtable(pa.table({"h": hashes}))
    inside = table.select(i=in_parts(table.h, tuple(parts))).to_pyarrow()["i"].to_pylist()  # type: ignore[arg-type]
    wanted = [any(PARTS[p][0] <= f < PARTS[p][1] for p in parts) for f in fractions]  # type: ignore[index]
    assert inside == wanted
