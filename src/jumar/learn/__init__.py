"""Learners: each turns training rows into a clone of production, action values around it, and what tilts the clone.

In: chunks of training rows. Out: parameters. A learner is one file; ``loop`` fits them all, and ``LEARNERS`` names
those of sequences.
"""

from jumar.learn.direct import DirectConfig, fit_direct
from jumar.learn.learners import CONFIGS, LEARNERS
from jumar.learn.loop import FitConfig, FitResult, Target, fit
from jumar.learn.one_step import OneStep, OneStepConfig, fit_one_step
from jumar.learn.steered import Steered

__all__ = [
    "CONFIGS",
    "LEARNERS",
    "DirectConfig",
    "FitConfig",
    "FitResult",
    "OneStep",
    "OneStepConfig",
    "Steered",
    "Target",
    "fit",
    "fit_direct",
    "fit_one_step",
]
