"""Documents for programs, as all commands with ``--json`` print them.

In: records, or plain lists and dictionaries of them. Out: indented JSON on standard output. Only the modules of the
command line import this one.
"""

from __future__ import annotations

import sys


def print_json(document: object) -> None:
    """One document, its fields in the order in which the docs name them."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
