"""Segments as bytes: whatever is cut off or flipped, whole batches are found and nothing else is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jumar.serve.journal.frames import Encoder, scan
from jumar.serve.journal.segment import segment_schema

from . import SCHEMA, batch


def stamped(first: int, rows: int) -> pa.RecordBatch:
    """A batch as a segment holds it."""
    plain = batch(range(first, first + rows))
    own = [pa.array(["w"] * rows), pa.array(range(first, first + rows), pa.int64())]
    return pa.RecordBatch.from_arrays([*plain.columns, *own], schema=segment_schema(SCHEMA))


@pytest.fixture(scope="module")
def pieces() -> list[bytes]:
    """A header and three batches."""
    encoder = Encoder(segment_schema(SCHEMA))
    return [encoder.header, *(encoder.encoded(stamped(10 * k, 1 + 3 * k)) for k in range(3))]


BATCHES = [stamped(10 * k, 1 + 3 * k) for k in range(3)]


def test_whole(pieces: list[bytes]) -> None:
    found = scan(b"".join(pieces) + bytes(4_096))
    assert found.batches == BATCHES
    assert (found.torn, found.damaged, found.end, found.rows) == (0, 0, len(b"".join(pieces)), 12)


def test_any_arrow_reader_reads_a_segment_with_its_unwritten_room(pieces: list[bytes]) -> None:
    assert pa.ipc.open_stream(b"".join(pieces) + bytes(4_096)).read_all().to_batches() == BATCHES


def test_the_last_batch_torn_at_every_byte(pieces: list[bytes]) -> None:
    before, last = b"".join(pieces[:-1]), pieces[-1]
    for length in range(len(last)):
        for behind in (b"", bytes(64)):
            found = scan(before + last[:length] + behind)
            if last[length:].strip(b"\0") or len(behind) + length < len(last):
                assert found.batches == BATCHES[:-1], length
                assert (found.end, found.damaged) == (len(before), 0)
                assert found.torn == len(last[:length].rstrip(b"\0"))
            else:  # only zeros are missing, and there are zeros
                assert found.batches == BATCHES


def test_the_header_torn_at_every_byte(pieces: list[bytes]) -> None:
    for length in range(len(pieces[0])):
        found = scan(pieces[0][:length])
        assert found.batches == []
        assert found.torn == len(pieces[0][:length].rstrip(b"\0"))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_never_goes_unnoticed(data: st.DataObject, pieces: list[bytes]) -> None:
    """A batch in which a bit was flipped is left out, or is what it was: padding carries nothing."""
    whole = bytearray(b"".join(pieces))
    place = data.draw(st.integers(len(pieces[0]), len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    ends = [len(b"".join(pieces[:k])) for k in range(1, 5)]
    hit = next(k for k in range(3) if ends[k] <= place < ends[k + 1])
    found = scan(bytes(whole))
    others = [one for k, one in enumerate(BATCHES) if k != hit]
    assert found.batches in (BATCHES, others)
    if found.batches == others:
        assert (found.damaged > 0) == (hit < 2)
        assert (found.torn > 0) == (hit == 2)


def test_no_single_bit_of_a_message_costs_another_batch(pieces: list[bytes]) -> None:
    """Every bit of the second batch's metadata: what it says of its length must not swallow the third."""
    start = len(pieces[0]) + len(pieces[1])
    length = int.from_bytes(pieces[2][4:8], "little") + 8
    for place in range(start, start + length):
        for bit in range(8):
            whole = bytearray(b"".join(pieces))
            whole[place] ^= 1 << bit
            assert scan(bytes(whole)).batches in (BATCHES, [BATCHES[0], *BATCHES[2:]])


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=200), place=st.integers(0, 3))
def test_junk_between_batches_is_damage_and_costs_no_row(junk: bytes, place: int, pieces: list[bytes]) -> None:
    junk = junk.rstrip(b"\0")
    junk += b"\1" * (-len(junk) % 8)
    found = scan(b"".join([*pieces[: place + 1], junk, *pieces[place + 1 :]]))
    assert found.batches == BATCHES
    assert found.damaged == (len(junk) if place < 3 else 0)
    assert found.torn == (len(junk) if place == 3 else 0)


def test_no_segment_at_all() -> None:
    assert scan(b"").schema is None
    assert scan(b"PAR1" * 100).schema is None
    assert scan(bytes(100)).torn == 0
