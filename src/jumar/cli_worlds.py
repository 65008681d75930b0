"""The commands ``world`` and ``collect``: words to functions that write logs whose propensities are exact.

In: arguments. Out: a Parquet file, whole or not at all, and an exit code: 0 written, 2 bad input. Only ``cli`` imports
this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from jumar.errors import OptionError, PolicyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jumar.worlds.gym_logs import Behaviour, Spaces

WRITTEN = 0
screen = Console(highlight=False, soft_wrap=False)


def world(
    name: Literal["notifications", "reengagement"],
    *,
    out: Path,
    rows: int = 100_000,
    seed: int = 0,
    exploration: float | None = None,
    variant: Literal["founding", "optimal", "indifferent"] = "founding",
    metrics: Annotated[bool, Parameter(negative="")] = False,
    persistent: Annotated[bool, Parameter(negative="")] = False,
    week: int = 0,
) -> int:
    """Write the log of a synthetic world whose truth is known.

    Parameters
    ----------
    name
        notifications decides about many pages once or twice; reengagement about the same people day after day.
    out
        The Parquet file to write.
    rows
        How many decisions.
    seed
        Of everything random.
    exploration
        Share of decisions that production takes at random (default: 0.1 in notifications, 0.2 in reengagement).
    variant
        founding: there is much to gain; optimal: production is already best; indifferent: actions do not matter.
    metrics
        Also log who tapped and who complained; reengagement always says who opted out.
    persistent
        Each page keeps the arm that was drawn for it once; in notifications only.
    week
        How many weeks later it happens; choose another seed as well.
    """
    from jumar.worlds import Notifications, Reengagement

    if name == "notifications":
        epsilon = 0.1 if exploration is None else exploration
        made = Notifications(exploration=epsilon, variant=variant, persistent=persistent, week=week)
        made.write(rows, seed, out, metrics=metrics)
    elif persistent:
        raise OptionError(
            "Only the pages of notifications can keep their arm", example=name, remedy="Leave out --persistent."
        )
    else:
        epsilon = 0.2 if exploration is None else exploration
        Reengagement(exploration=epsilon, variant=variant, week=week).write(rows, seed, out)
    screen.print(f"{rows:,} decisions → {out}", markup=False)
    return WRITTEN


def collect(
    environment: str,
    out: Path,
    *,
    steps: int = 100_000,
    epsilon: float = 0.3,
    policy: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    seed: int = 0,
) -> int:
    """Play a Gymnasium environment with discrete actions and log every step with its exact propensity.

    Parameters
    ----------
    environment
        Its name, such as CartPole-v1.
    out
        The Parquet file to write.
    steps
        How many; the last episode is cut there.
    epsilon
        Share of steps that take a random action.
    policy
        The folder of a policy that plays, or random. Repeatable: each episode is played by one of them, drawn alike.
    seed
        Of everything random.
    """
    from jumar.worlds import gym_logs

    named = policy or ("random",)
    spaces = gym_logs.spaces_of(environment)
    players = [(1.0, None if name == "random" else _behaviour(name, spaces)) for name in named]
    gym_logs.write(environment, steps, out, players, epsilon=epsilon, seed=seed)
    screen.print(f"{steps:,} steps → {out}", markup=False)
    return WRITTEN


def _behaviour(folder: str, spaces: Spaces) -> Behaviour:
    """A saved policy as a function of observations, [n, numbers] to [n, actions]; actions it does not know have 0.

    Raises:
        PolicyError: no such policy, or it takes actions that the environment does not.
    """
    import numpy as np
    import pyarrow as pa

    import jumar
    from jumar.features.raw import read_blocks

    loaded = jumar.load_policy(folder)
    numbered = range(spaces.first, spaces.first + spaces.actions)
    if not all(isinstance(action, int) and action in numbered for action in loaded.actions):
        raise PolicyError(
            "The policy takes actions that the environment does not have",
            example=loaded.actions,
            remedy=f"Choose a policy whose actions are whole numbers from {numbered[0]} to {numbered[-1]}.",
        )
    names = [f"obs_{i}" for i in range(spaces.numbers)]
    loaded.pmf(pa.table({name: np.zeros(1, spaces.dtype) for name in names}))  # says in words what does not fit
    kinds = {feature.name: feature.kind for feature in loaded.card.log_schema.features}
    types = [pa.string() if kinds.get(name) == "category" else pa.float64() for name in names]
    places = [int(action) - spaces.first for action in loaded.actions]
    scorer = loaded.scorer("pmf")

    def play(shown: NDArray[Any]) -> NDArray[Any]:
        # As Policy.pmf, without opening a log at every step.
        columns = [pa.array(np.ascontiguousarray(part)).cast(kind) for part, kind in zip(shown.T, types, strict=True)]
        pmf = np.zeros((len(shown), spaces.actions))
        (pmf[:, places],) = scorer.run(read_blocks(pa.table(columns, names), loaded.card.features))
        return pmf

    return play
