"""Claims as rows of text: what was asked, what production does, what the policy changes, and how it came out.

In: ``ClaimResult`` records. Out: plain strings. Only ``report`` imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from jumar.evaluate.certificate import ClaimResult
from jumar.report import words


class ClaimText(TypedDict):
    """One claim as it is read."""

    claim: str
    production: str
    change: str
    estimate: str
    least: str
    verdict: str


def claim_rows(claims: Sequence[ClaimResult]) -> list[ClaimText]:
    """The claims that a release needs, in the order in which they were asked."""
    return [
        ClaimText(
            claim=words.clean(one.claim, 200),
            production=words.amount(one.production),
            change=words.Scale(one.production).show(one.change),
            estimate=words.amount(one.estimate, signed=True),
            least=words.amount(one.lower_bound, signed=True, down=True),
            verdict=one.verdict,
        )
        for one in claims
        if one.required
    ]


def several(claims: Sequence[ClaimResult]) -> bool:
    """Whether more was asked than not to be worse."""
    required = [one for one in claims if one.required]
    return len(required) > 1 or any(one.margin or one.kind != "value" for one in required)
