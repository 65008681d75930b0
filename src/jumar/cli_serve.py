"""``jumar serve``: words to a service that decides and logs.

In: arguments. Out: a service that runs until it is told to end, and an exit code: 0 ended as told, 2 bad input. Only
``cli`` imports this module.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from jumar.errors import OptionError

ENDED = 0
LOCAL = ("127.0.0.1", "::1", "localhost")
TOKEN = "JUMAR_TOKEN"
_SHORTEST_TOKEN = 16
err = Console(stderr=True, highlight=False)


def serve(
    registry: str,
    *,
    log: Path,
    host: str = "127.0.0.1",
    port: int = 8700,
    workers: int = 1,
    token_file: Path | None = None,
    no_auth: Annotated[bool, Parameter(negative="")] = False,
    default_action: str | None = None,
    explore: str = "policy",
    salt: str = "jumar",
    loss_window: float | None = None,
    poll: float = 1.0,
    rows: int = 1_000,
    body_bytes: int = 1_000_000,
    grace: float = 20.0,
) -> int:
    """Decide by what the registry has in production; every decision is in the log before it is told.

    Parameters
    ----------
    registry
        Folder or address of the registry.
    log
        Folder of the decision log; made if it is not there.
    host
        Where to listen. Beyond this machine only with a token, or with --no-auth.
    port
        Where to listen; 0 takes a free one.
    workers
        Processes that share the port.
    token_file
        A file of bearer tokens, one a line; one of them must be sent to write. The variable JUMAR_TOKEN may hold one.
    no_auth
        Let whoever reaches the service write.
    default_action
        What to fall back to (default: what production is likeliest to do when nothing is known).
    explore
        policy (as certified), floor:0.05, softmax:2, top-two:0.5, thompson or budget:5.
    salt
        Of all draws; keep it secret if callers choose decision ids and must not foresee what they draw.
    loss_window
        Answer before the disk has the rows; at most so many seconds of them are lost to a power cut.
    poll
        Seconds between two looks at the registry.
    rows
        Most decisions or rewards in one request.
    body_bytes
        Most bytes in one request.
    grace
        Seconds that requests under way have to be answered when the service ends.
    """
    from jumar.policy.exploration import parse_exploration
    from jumar.serve.server import Settings, spare_pandas
    from jumar.serve.server import serve as run

    if sys.argv[1:2] == ["serve"]:  # a process of its own, and not a caller of this module
        spare_pandas()
    tokens = _tokens(token_file)
    if not tokens and not no_auth and host not in LOCAL:
        raise OptionError(
            f"Without a token whoever reaches {host} could write",
            remedy=f"Give --token-file or {TOKEN}, or say --no-auth if something in front of it asks for one.",
        )
    for name, value, least in (("--workers", workers, 1), ("--poll", poll, 0.01), ("--rows", rows, 1),
                               ("--body-bytes", body_bytes, 100), ("--grace", grace, 0.0)):  # fmt: skip
        if not value >= least:
            raise OptionError(f"{name} must be at least {least:g}", example=value, remedy="Give a larger number.")
    if not 0 <= port <= 65_535:
        raise OptionError("A port lies between 0 and 65535", example=port, remedy="Choose another one.")
    settings = Settings(
        registry=registry,
        log=str(log),
        host=host,
        port=port,
        workers=workers,
        tokens=tokens,
        exploration=parse_exploration(explore),
        default_action=None if default_action is None else _action(registry, default_action),
        salt=salt,
        durable=loss_window is None,
        loss_window_s=1.0 if loss_window is None else loss_window,
        poll_s=poll,
        most_rows=rows,
        most_body_bytes=body_bytes,
        grace_s=grace,
    )
    return run(settings, lambda told: err.print(told, markup=False))


def _tokens(file: Path | None) -> list[str]:
    """Tokens from the file and the environment.

    Raises:
        OptionError: the file cannot be read or is empty, or a token is short or not of one word.
    """
    found = [os.environ[TOKEN]] if os.environ.get(TOKEN) else []
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"'{file}' cannot be read ({error})", remedy="Name a file of tokens.") from error
        found += [line for line in lines if line]
        if not any(lines):
            raise OptionError(f"There is no token in '{file}'", remedy="Write one on a line of its own.")
    for token in found:
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or len(token.split()) != 1:
            raise OptionError(
                f"A token has at least {_SHORTEST_TOKEN} letters and digits",
                remedy='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
            )
    return found


def _action(registry: str, text: str) -> str | int | bool:
    """The action that a word on the command line means: of the type that production's actions have."""
    from jumar.release import Registry

    for action in Registry(registry).policy("production").actions:
        if str(action).lower() == text.lower():
            return action
    return text
