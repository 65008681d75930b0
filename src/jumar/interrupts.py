"""Ctrl-C and SIGTERM: one way to end a command, and never lost on the way.

In: signals. Out: ``KeyboardInterrupt`` in the main thread. Only the command line imports this module.
"""

from __future__ import annotations

import signal
import sys
import threading

_seen: list[int] = []


def raise_again() -> None:
    """Raise once more what may have been lost inside a callback of a library."""
    if _seen:
        raise KeyboardInterrupt


def listen() -> None:
    """Let Ctrl-C and SIGTERM end a command in the same way, and be remembered until it has ended."""
    _seen.clear()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        sys.unraisablehook = _quiet


def _interrupt(number: int, frame: object) -> None:
    del frame
    _seen.append(number)
    raise KeyboardInterrupt


def _quiet(lost: sys.UnraisableHookArgs) -> None:
    """An interrupt that hit a library's callback is remembered, and needs no traceback."""
    if not (_seen and issubclass(lost.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(lost)


def settle() -> None:
    """Wait for computations under way: an interpreter that is torn down beneath them crashes."""
    if (jax := sys.modules.get("jax")) is not None:
        jax.block_until_ready(jax.live_arrays())
