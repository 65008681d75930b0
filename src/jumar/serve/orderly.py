"""A server that ends in order when it is told to.

In: what uvicorn's own server takes. Out: ``OrderlyServer``. The decision service and the page of the board run on it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class OrderlyServer(uvicorn.Server):
    """A server that a signal ends in order, and whose signal is then done with."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals for as long as the loop runs, so that one that comes late tears nothing down."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
