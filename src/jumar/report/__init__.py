"""What a person looks at: the page, and the same verdict in a terminal.

In: a :class:`~jumar.evaluate.certificate.RunSummary`. Out: one self-contained HTML page, rich renderables.
``improve``, the board and the command line may import this floor; it computes no statistics of its own. Its names are
imported when they are first used: words need none of what pictures need.
"""

from typing import TYPE_CHECKING

from jumar.lazy import lazily

if TYPE_CHECKING:
    from jumar.report.claims import several
    from jumar.report.page import render, write
    from jumar.report.terminal import claims_table, evaluation_table, findings_table, verdict_panel, walk_table

__getattr__, __dir__ = lazily(
    __name__,
    {
        "claims": ("several",),
        "page": ("render", "write"),
        "terminal": ("claims_table", "evaluation_table", "findings_table", "verdict_panel", "walk_table"),
    },
)

__all__ = [
    "claims_table",
    "evaluation_table",
    "findings_table",
    "render",
    "several",
    "verdict_panel",
    "walk_table",
    "write",
]
