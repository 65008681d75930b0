"""What both pages are put together from: one stylesheet, scripts, a template, and data that cannot break out of it.

In: the names of a template and of scripts beside this module, and data. Out: one HTML document that loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

# What could end a script's text or begin a comment in it is written as an escape; JSON reads it as the same text.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@cache
def text_of(name: str) -> str:
    """A file beside this module."""
    return resources.files("jumar.play.web").joinpath(name).read_text(encoding="utf-8")


def bits(cells: np.ndarray) -> str:
    """Booleans [..., cells] as base64: eight to a byte, the first in the lowest bit, every row filled up to bytes."""
    return base64.b64encode(np.packbits(cells, axis=-1, bitorder="little").tobytes()).decode()


def rows_to_cells(rows: Any, width: int) -> np.ndarray:
    """Rows of bits [..., height] as booleans [..., cells]."""
    table = (np.asarray(rows)[..., None] >> np.arange(width, dtype=np.uint32) & 1).astype(bool)
    return table.reshape(*table.shape[:-2], -1)


def assembled(template: str, scripts: Sequence[str], data: Any, *, title: str, connects: bool = False) -> str:
    """A page.

    Args:
        template: the name of the HTML file, in which %words% stand for its parts, %head% for the one of all pages.
        scripts: names, in the order in which they run.
        data: what the scripts read, of JSON's kinds.
        title: of the document, any text.
        connects: whether the page may ask its own server; else it may ask nobody.
    """
    style, script = text_of("style.css"), "\n".join(map(text_of, scripts))
    rules = {
        "default-src": "'none'", "script-src": _sha(script), "style-src": _sha(style), "img-src": "data:",
        "connect-src": "'self'" if connects else "'none'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    parts = {
        "%title%": html.escape(title),
        "%policy%": html.escape("; ".join(f"{about} {rule}" for about, rule in rules.items())),
        "%style%": style,
        "%data%": json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_ESCAPES),
        "%script%": script,
    }
    # The head first, as it holds words itself; all others at once, so that none is looked for within another.
    text = text_of(template).replace("%head%", text_of("head.html").rstrip())
    return re.sub("|".join(parts), lambda found: parts[found[0]], text)


def _sha(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
