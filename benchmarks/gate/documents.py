"""Figures that documents quote: stored once by the command that measured them, and put between markers of a document.

In: tables and targets. Out: ``benchmarks/figures.json``, and documents whose markers hold what is stored there:
``<!-- figures:NAME -->`` … ``<!-- end of figures:NAME -->``. A test holds documents against the stored figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gate.tables import Table
from table import Row

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "benchmarks" / "figures.json"
DOCUMENTS = (ROOT / "docs" / "figures.md", ROOT / "docs" / "statistics.md")
MARKED = re.compile(r"(<!-- figures:([\w-]+) -->\n).*?(<!-- end of figures:\2 -->)", re.DOTALL)


def stored(path: Path = FIGURES) -> dict[str, Any]:
    """All figures by the name of their table."""
    return json.loads(path.read_text()) if path.exists() else {}


def store(name: str, table: Table | None, targets: Sequence[Row], command: str, path: Path = FIGURES) -> None:
    """Keep a table and its targets; others stay as they are."""
    figures = stored(path)
    figures[name] = {
        "command": command,
        "table": asdict(table) if table else None,
        "targets": [asdict(row) for row in targets],
    }
    text = json.dumps(dict(sorted(figures.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n")


def markdown(name: str, figures: dict[str, Any]) -> str:
    """What stands between the markers of a name."""
    kept = figures[name]
    parts = [Table(**kept["table"]).markdown()] if kept["table"] else []
    rows = [Row(**row) for row in kept["targets"]]
    marks = {True: "met", False: "**missed**", None: ""}
    lines = [f"| {row.what} | {row.figure} | {row.target} | {marks[row.met]} |" for row in rows]
    parts.append("\n".join(["| figure | measured | target | |", "| --- | --- | --- | --- |", *lines]))
    parts.append(f"From `{kept['command']}`.")
    return "\n\n".join(parts)


def renewed(text: str, figures: dict[str, Any]) -> str:
    """A document with what is stored between its markers."""

    def fill(found: re.Match[str]) -> str:
        if found[2] not in figures:
            return found[0]
        return f"{found[1]}\n{markdown(found[2], figures)}\n\n{found[3]}"

    return MARKED.sub(fill, text)


def stale(documents: Sequence[Path] = DOCUMENTS, path: Path = FIGURES) -> list[Path]:
    """Documents that differ from the stored figures."""
    figures = stored(path)
    return [one for one in documents if one.exists() and renewed(one.read_text(), figures) != one.read_text()]


def write(documents: Sequence[Path] = DOCUMENTS, path: Path = FIGURES) -> list[Path]:
    """Put the stored figures into documents; returns those that changed."""
    changed = stale(documents, path)
    for one in changed:
        one.write_text(renewed(one.read_text(), stored(path)))
    return changed
