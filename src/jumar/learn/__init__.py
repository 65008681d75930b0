"""Learners: each turns training rows into a clone of production and action values around it.

In: chunks of training rows. Out: parameters. A learner is one file; ``loop`` fits them all.
"""

from jumar.learn.direct import Direct, DirectConfig, fit_direct
from jumar.learn.loop import FitConfig, FitResult, fit
from jumar.learn.one_step import OneStep, OneStepConfig, fit_one_step

__all__ = [
    "Direct",
    "DirectConfig",
    "FitConfig",
    "FitResult",
    "OneStep",
    "OneStepConfig",
    "fit",
    "fit_direct",
    "fit_one_step",
]
