"""What is worth telling about a step: who was jailed, who was freed, what became of a flag.

In: who was free and whose flag was carried before and after a step, which both sides know. Out: ``Event``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jumar.play.maps import PLAYERS
from jumar.play.render import NAMES, SIDES

TAG, FREED, TAKEN, BACK = "tag", "freed", "taken", "back"


class Event(NamedTuple):
    """One of them.

    Attributes:
        kind: ``TAG``, ``FREED``, ``TAKEN`` or ``BACK``.
        side: 0 for red, 1 for blue: whose player or whose flag it is about.
        text: the same in words.
    """

    kind: str
    side: int
    text: str


def between(free_before: Any, free_after: Any, carried_before: Any, carried_after: Any) -> list[Event]:
    """The events of one step.

    Args:
        free_before: [2, 4] who is out of jail, red's players first.
        free_after: the same after the step.
        carried_before: [2] whether red's and blue's flag is carried.
        carried_after: the same after the step.
    """
    found = []
    for side, name in enumerate(SIDES):
        jailed = [i for i in range(PLAYERS) if free_before[side][i] and not free_after[side][i]]
        freed = [i for i in range(PLAYERS) if free_after[side][i] and not free_before[side][i]]
        found += [Event(TAG, side, f"{name} {NAMES[side][i]} is jailed") for i in jailed]
        if freed:
            found.append(Event(FREED, side, f"{name} {', '.join(NAMES[side][i] for i in freed)} freed"))
        if carried_after[side] and not carried_before[side]:
            found.append(Event(TAKEN, side, f"{name}’s flag is taken"))
        if carried_before[side] and not carried_after[side]:
            found.append(Event(BACK, side, f"{name}’s flag is back"))
    return found
