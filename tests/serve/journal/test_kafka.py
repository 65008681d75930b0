"""The Kafka sink: done when delivered, told when not; against a producer that fails, and librdkafka's own brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from jumar.errors import OptionError
from jumar.serve.journal import JournalError
from jumar.serve.journal import kafka as module
from jumar.serve.journal.kafka import KafkaSink

from . import SCHEMA, batch, decisions, rewards

Report = Callable[[Any, Any], None]


class FakeProducer:
    """Keeps the producer's contract: reports are served by poll and flush only, once for each message."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.waiting: list[Report] = []
        self.holding = False
        self.error: str | None = None
        self.refusal: Exception | None = None

    def produce(self, topic: str, *, value: bytes, key: bytes, headers: dict[str, str], on_delivery: Report) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append({"topic": topic, "value": value, "key": key, "headers": headers})
        self.waiting.append(on_delivery)

    def poll(self, timeout: float) -> int:
        time.sleep(min(timeout, 0.005))
        return 0 if self.holding else self._serve(self.error)

    def flush(self, timeout: float) -> int:
        if not self.holding:
            self._serve(self.error)
        return len(self.waiting)

    def purge(self) -> None:
        self.holding, self.error = False, "purged"

    def _serve(self, error: str | None) -> int:
        ready, self.waiting = self.waiting, []
        for report in ready:
            report(error, object())
        return len(ready)


def rows_in(message: bytes) -> pa.Table:
    return pa.ipc.open_stream(message).read_all()


def test_messages_hold_rows_and_numbers() -> None:
    fake: Any = FakeProducer()
    sink = KafkaSink("", producer=fake)
    for future in (
        sink.append("decisions", decisions([0, 1]), SCHEMA),
        sink.append("decisions", batch([2])),
        sink.append("rewards", rewards([1])),
    ):
        assert future.result(10) is None
    sink.close()
    tables = [rows_in(one["value"]) for one in fake.sent]
    assert [one["topic"] for one in fake.sent] == ["jumar-decisions", "jumar-decisions", "jumar-rewards"]
    assert [table["__sequence"].to_pylist() for table in tables] == [[0, 1], [2], [0]]
    assert tables[0].select(SCHEMA.names).to_pylist() == batch([0, 1]).to_pylist()
    assert {one["key"].decode() for one in fake.sent} == {sink.writer} == set(tables[0]["__writer"].to_pylist())
    assert fake.sent[1]["headers"] == {"stream": "decisions", "writer": sink.writer, "sequence": "2"}


def test_a_future_waits_for_the_delivery_report() -> None:
    fake: Any = FakeProducer()
    fake.holding = True
    sink = KafkaSink("", producer=fake)
    future = sink.append("rewards", rewards([1]))
    time.sleep(0.05)
    assert not future.done()
    fake.holding = False
    future.result(10)
    sink.close()


def test_failures_are_told() -> None:
    fake: Any = FakeProducer()
    fake.error = "_MSG_TIMED_OUT"
    sink = KafkaSink("", producer=fake)
    assert "TIMED_OUT" in str(sink.append("rewards", rewards([1])).exception(10))
    fake.error, fake.refusal = None, BufferError("queue full")
    assert isinstance(sink.append("rewards", rewards([2])).exception(10), BufferError)
    fake.refusal = None
    sink.append("rewards", rewards([3])).result(10)
    assert rows_in(fake.sent[-1]["value"])["__sequence"].to_pylist() == [1]  # what never left has no number
    assert isinstance(sink.append("rewards", rewards([4]) | {"value": ["much"]}).exception(10), JournalError)
    sink.close()
    sink.close()
    with pytest.raises(JournalError, match="closed"):
        sink.append("rewards", rewards([5]))


def test_what_was_not_delivered_at_the_end_is_told() -> None:
    fake: Any = FakeProducer()
    fake.holding = True
    sink = KafkaSink("", producer=fake)
    future = sink.append("rewards", rewards([1]))
    sink.close(timeout_s=0.01)
    assert isinstance(future.exception(0), JournalError)


def test_large_appends_are_cut_into_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 20_000)
    fake: Any = FakeProducer()
    fake.holding = True
    sink = KafkaSink("", producer=fake)
    future = sink.append("decisions", batch(range(500)))
    assert len(fake.sent) > 2
    assert all(len(one["value"]) <= 20_000 for one in fake.sent)
    fake.waiting.pop()(None, object())
    assert not future.done()  # not before the last of them
    fake.holding = False
    future.result(10)
    sink.close()
    found = pa.concat_tables([rows_in(one["value"]) for one in fake.sent])
    assert found["decision_id"].to_pylist() == [f"d{i}" for i in range(500)]
    assert found["__sequence"].to_pylist() == list(range(500))


@pytest.mark.parametrize("name", ["acks", "enable.idempotence", "request.required.acks"])
def test_promises_are_not_for_sale(name: str) -> None:
    with pytest.raises(OptionError):
        KafkaSink("", settings={name: 0})


def test_through_librdkafkas_own_brokers() -> None:
    confluent = pytest.importorskip("confluent_kafka")
    quiet = {"test.mock.num.brokers": 3, "log_level": 0}
    sink = KafkaSink("replaced:1", settings=quiet)
    futures = [sink.append("decisions", decisions([i]), SCHEMA) for i in range(20)]
    assert [future.result(60) for future in futures] == [None] * 20
    sink.close()
    lost = KafkaSink("127.0.0.1:1", settings={"message.timeout.ms": 300, "log_level": 0})
    assert isinstance(lost.append("rewards", rewards([0])).exception(60), JournalError)
    lost.close()
    assert confluent.Producer is not None
