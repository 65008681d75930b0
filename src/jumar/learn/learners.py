"""The learners of sequences by name. Every one is a function with the same arguments, and nothing more.

In: a name. Out: the function, and the class of its config.

Their arguments: ``spec``, the fitted features; ``actions``, their number; ``chunks`` and ``held_out``, rows with their
next state as ``learn.steps`` describes them, of which ``direct`` takes whole timelines instead; ``base``, a clone and
production's values, from the same rows; ``config``, of the class that ``CONFIGS`` names; ``progress``, told the share
done. They return ``Steered``.
"""

from __future__ import annotations

from collections.abc import Callable

from jumar.learn.bcq import BCQConfig, fit_bcq
from jumar.learn.cloning import CloningConfig, fit_cloning
from jumar.learn.cql import CQLConfig, fit_cql
from jumar.learn.crr import CRRConfig, fit_crr
from jumar.learn.direct_ahead import DirectAheadConfig, fit_direct_ahead
from jumar.learn.double_dqn import DoubleDQNConfig, fit_double_dqn
from jumar.learn.iql import IQLConfig, fit_iql
from jumar.learn.qr_dqn import QRDQNConfig, fit_qr_dqn
from jumar.learn.sac_n import SACNConfig, fit_sac_n
from jumar.learn.steered import Steered
from jumar.learn.steps import StepsConfig

LEARNERS: dict[str, Callable[..., Steered]] = {
    "cloning": fit_cloning,
    "direct": fit_direct_ahead,
    "double-dqn": fit_double_dqn,
    "qr-dqn": fit_qr_dqn,
    "cql": fit_cql,
    "iql": fit_iql,
    "bcq": fit_bcq,
    "crr": fit_crr,
    "sac-n": fit_sac_n,
}
CONFIGS: dict[str, type[StepsConfig]] = {
    "cloning": CloningConfig,
    "direct": DirectAheadConfig,
    "double-dqn": DoubleDQNConfig,
    "qr-dqn": QRDQNConfig,
    "cql": CQLConfig,
    "iql": IQLConfig,
    "bcq": BCQConfig,
    "crr": CRRConfig,
    "sac-n": SACNConfig,
}
