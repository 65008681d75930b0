"""A kill, played: the n-th call that changes the disk fails, and all later ones: a dead process cleans nothing up.

Writing a file is such a call, too, and leaves half of it. Tests of whatever must survive a kill import this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CALLS = ("replace", "rename", "link", "fsync", "unlink", "remove", "mkdir", "rmdir", "chmod")


class KilledError(BaseException):
    """No process is left that could handle this."""


class Executioner:
    """Counts the calls that change the disk and fails the n-th of them and all that follow."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.at, self.calls = at, 0
        for name in CALLS:
            patch.setattr(os, name, self._watched(getattr(os, name)))
        patch.setattr(Path, "write_bytes", self._halved(Path.write_bytes))

    def _dies(self) -> bool:
        self.calls += 1
        return self.calls >= self.at

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            if self._dies():
                raise KilledError
            return call(*given, **named)

        return watched

    def _halved(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def halved(path: Path, data: bytes) -> Any:
            if self._dies():
                if self.calls == self.at:
                    call(path, data[: len(data) // 2])
                raise KilledError
            return call(path, data)

        return halved
