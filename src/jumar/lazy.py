"""Names of a package that are imported when they are first used.

In: where each name lives. Out: the package's ``__getattr__`` and ``__dir__``. A service that decides must be back
within a second, without the compilers and engines that learning needs. Every floor may import this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The two functions that PEP 562 asks of a module.

    Args:
        package: its ``__name__``.
        homes: names by the module of the package that they live in; no name may be that of a module.

    Returns:
        ``__getattr__`` and ``__dir__``.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(home)
