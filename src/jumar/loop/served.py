"""What a policy would have decided with the exploration that the service added on the day.

In: a policy, and logged decisions. Out: its probabilities. A watch compares two policies as they are served: with less
exploration for one of them, that one looks better than it will be. Only ``rollout`` imports this module.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jumar.errors import OptionError, PolicyError
from jumar.loop.work import pc
from jumar.policy import Policy
from jumar.policy.exploration import Exploration, parse_exploration
from jumar.serve.decider import Decider


def served_pmf(policy: Policy, table: pa.Table) -> NDArray[np.float64]:
    """[rows, actions] of a policy under each row's logged ``exploration``.

    Its own probabilities where the log names no mode of ours, or one that it cannot be served in, or ``budget``, whose
    draws hang on what the unit had before.
    """
    pmf = policy.pmf(table)
    modes = pc.fill_null(table["exploration"].cast(pa.string()), "")
    for told in pc.unique(modes).to_pylist():
        exploration = _known(told)
        if exploration is None:
            continue
        rows = np.flatnonzero(pc.equal(modes, told).to_numpy())
        try:
            pmf[rows] = _explored(policy, exploration, table.take(rows))
        except (OptionError, PolicyError):
            continue
    return pmf


def _known(told: str) -> Exploration | None:
    """A mode that changes probabilities by what is known of the row alone."""
    try:
        found = parse_exploration(told)
    except OptionError:
        return None
    return None if found.mode in ("policy", "budget") else found


def _explored(policy: Policy, exploration: Exploration, rows: pa.Table) -> NDArray[np.float64]:
    decider = Decider(policy, exploration)
    (batch,) = rows.combine_chunks().to_batches()
    return exploration.pmf(decider.scores(decider.reader.of_log(batch), rows.num_rows))
