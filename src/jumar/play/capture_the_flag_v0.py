"""PettingZoo's face of the game: ``env``, ``raw_env`` and ``parallel_env``.

In: see ``aec.raw_env`` for the arguments. Out: the environment as it is, with PettingZoo's checks of order, or with all
eight acting at once. This is the one module that needs PettingZoo: ``pip install 'jumar[play]'``.
"""

from __future__ import annotations

from typing import Any

from jumar.play.errors import PlayError

try:
    from pettingzoo.utils import OrderEnforcingWrapper
    from pettingzoo.utils.conversions import parallel_wrapper_fn
except ImportError:
    raise PlayError("The environment needs PettingZoo, which is not installed",
                    remedy="Run: pip install 'jumar[play]'.") from None  # fmt: skip

from jumar.play.aec import raw_env

__all__ = ["env", "parallel_env", "raw_env"]


def env(**options: Any) -> OrderEnforcingWrapper[Any, Any, Any]:
    """The environment, which complains if it is used in the wrong order; arguments as in ``raw_env``."""
    return OrderEnforcingWrapper(raw_env(**options))


parallel_env = parallel_wrapper_fn(env)
