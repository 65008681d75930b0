"""The same rows into Kafka, for those who outgrow one machine; installed with the extra "kafka".

In: rows of decisions and rewards. Out: messages on two topics, and futures that are done when all in-sync replicas have
them. Each message is a complete Arrow IPC stream with the columns that a segment has, ``__writer`` and ``__sequence``
included; its key is the writer, so that one partition keeps the order of a writer's numbers.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jumar.errors import OptionError
from jumar.serve.journal.groups import Waiting, joined
from jumar.serve.journal.segment import segment_schema
from jumar.serve.journal.sink import Columns, JournalError, Stream, checked_schema

if TYPE_CHECKING:
    from confluent_kafka import Producer

_MOST_BYTES = 900_000  # brokers take a million by default
_POLL_S = 0.05
_SAFE: dict[str, Any] = {"acks": "all", "enable.idempotence": True, "linger.ms": 2}


class KafkaSink:
    """A ``Sink`` whose appends are done when Kafka reports their delivery.

    Args:
        servers: addresses of brokers, "host:port,host:port".
        topics: of each stream; by default jumar-decisions and jumar-rewards.
        settings: more of librdkafka's own; ``acks`` and ``enable.idempotence`` are not among them.
        producer: made from the settings; another object with the methods of ``confluent_kafka.Producer`` in its place.

    Raises:
        OptionError: the settings weaken what an append promises.
        JournalError: confluent-kafka is not installed.
    """

    def __init__(
        self,
        servers: str,
        *,
        topics: Mapping[Stream, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        producer: Producer | None = None,
    ) -> None:
        for name in (settings or {}).keys() & {*_SAFE, "request.required.acks"} - {"linger.ms"}:
            raise OptionError(
                f"'{name}' is not to be set: an append is done when every replica has it, once",
                example=(settings or {})[name],
                remedy="Leave it out.",
            )
        self.topics: Mapping[Stream, str] = topics or {"decisions": "jumar-decisions", "rewards": "jumar-rewards"}
        self.writer = f"k-{secrets.token_hex(6)}"
        self._producer = producer or _producer({**_SAFE, **(settings or {}), "bootstrap.servers": servers})
        self._lock = threading.Lock()
        self._sequence: dict[Stream, int] = {"decisions": 0, "rewards": 0}
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="journal-kafka", daemon=True)
        self._poller.start()

    def append(self, stream: Stream, batch: pa.RecordBatch | Columns, schema: pa.Schema | None = None) -> Future[None]:
        """Hand over rows; see ``Sink.append``.

        Raises:
            JournalError: columns that no log can hold, or the sink is closed. What only shows later is in the future:
                values that do not fit, a queue that is full, a delivery that failed.
        """
        one = Waiting(stream, batch, schema)
        rows, refused = joined(checked_schema(one.schema), [one])
        assert isinstance(one.future, Future)
        if refused:
            one.future.set_exception(refused[0][1])
        elif one.rows:
            self._send(stream, rows, one.future)
        return one.future

    def close(self, timeout_s: float = 30.0) -> None:
        """Wait for what is under way, then stop; what Kafka has not confirmed by then is told to those who wait."""
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
        self._poller.join()
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(1.0)

    def _send(self, stream: Stream, rows: pa.RecordBatch, future: Future[None]) -> None:
        with self._lock:
            if self._stop.is_set():
                raise JournalError("The log is closed", remedy="Open it again.")
            first = self._sequence[stream]
            numbers = pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64))
            columns = [*rows.columns, pa.repeat(self.writer, rows.num_rows), numbers]
            messages = _messages(pa.RecordBatch.from_arrays(columns, schema=segment_schema(rows.schema)))
            delivery = _Delivery(future, len(messages))
            for message, count in messages:
                try:
                    self._producer.produce(
                        self.topics[stream],
                        value=message,
                        key=self.writer.encode(),
                        headers={"stream": stream, "writer": self.writer, "sequence": str(self._sequence[stream])},
                        on_delivery=delivery.report,
                    )
                except Exception as error:  # a full queue (BufferError), a message too large (KafkaException)
                    delivery.fail(error)
                    return
                self._sequence[stream] += count

    def _poll(self) -> None:
        """Delivery reports are served by whoever polls."""
        while not self._stop.is_set():
            self._producer.poll(_POLL_S)


class _Delivery:
    """One append's messages: done when all are delivered, failed with the first that is not."""

    def __init__(self, future: Future[None], messages: int) -> None:
        self._future, self._left = future, messages
        self._lock = threading.Lock()

    def report(self, error: Any, message: object) -> None:
        """Called by the producer once for each message."""
        del message
        if error is not None:
            self.fail(JournalError(f"Kafka did not take the rows ({error})", remedy="Append them again."))
            return
        with self._lock:
            self._left -= 1
            done = self._left == 0 and not self._future.done()
        if done:
            self._future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell whoever waits, once."""
        with self._lock:
            first, self._left = not self._future.done() and self._left > 0, -1
        if first:
            self._future.set_exception(error)


def _messages(batch: pa.RecordBatch) -> list[tuple[bytes, int]]:
    """Each message and its rows; halves of what is too large for one."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue()
    if data.size <= _MOST_BYTES or batch.num_rows == 1:
        return [(data.to_pybytes(), batch.num_rows)]
    half = batch.num_rows // 2
    return [*_messages(batch.slice(0, half)), *_messages(batch.slice(half))]


def _producer(settings: dict[str, Any]) -> Producer:
    try:
        from confluent_kafka import Producer
    except ImportError as error:
        raise JournalError(
            "Kafka needs the package confluent-kafka", remedy="Install it: pip install 'jumar[kafka]'."
        ) from error
    return Producer(settings)
