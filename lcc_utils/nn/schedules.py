"""The one-cycle learning rate, by step."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="lcc_utils")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Rise to a peak by half a cosine, then fall far below the start by another.

    The rate starts at ``peak / 25``, reaches ``peak`` after 30 % of the steps and ends at
    ``peak / 25 / 10^4``: the common default of one-cycle training.

    Parameters
    ----------
    peak
        The highest learning rate.
    total_steps
        Optimizer steps of the whole training; 2 or more.

    Notes
    -----
    A step is one batch. (Stepping such a schedule once an epoch leaves the rate near its
    start for the whole training.) Both parameters are Keras variables, so :meth:`assign`
    changes them without tracing the training step again (TensorFlow backend).
    Source: Smith and Topin, "Super-Convergence" (2019); arXiv 2601.01026, section 2.
    """

    START, END, RISE = 25.0, 1e4, 0.3

    def __init__(self, peak: float, total_steps: int) -> None:
        super().__init__()
        self.peak = keras.Variable(0.0, trainable=False, dtype="float32", name="peak")
        self.total_steps = keras.Variable(1.0, trainable=False, dtype="float32", name="steps")
        self.assign(peak, total_steps)

    def assign(self, peak: float, total_steps: int) -> None:
        """Set the peak and the number of steps, leaving compiled code as it is."""
        self.peak.assign(peak)
        self.total_steps.assign(float(max(2, total_steps)))

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step, counted from 0."""
        place = ops.cast(step, "float32") / (self.total_steps - 1.0)
        start = self.peak / self.START
        rising = _cosine(start, self.peak, place / self.RISE)
        falling = _cosine(self.peak, start / self.END, (place - self.RISE) / (1 - self.RISE))
        return ops.where(place < self.RISE, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the schedule again."""
        return {
            "peak": float(self.peak.numpy()),
            "total_steps": int(self.total_steps.numpy()),
        }


@keras.saving.register_keras_serializable(package="lcc_utils")
class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """The same learning rate at every step; ``assign`` as in :class:`OneCycle`."""

    def __init__(self, peak: float) -> None:
        super().__init__()
        self.peak = keras.Variable(peak, trainable=False, dtype="float32", name="rate")

    def assign(self, peak: float, total_steps: int) -> None:  # noqa: ARG002
        """Set the rate; the number of steps changes nothing."""
        self.peak.assign(peak)

    def __call__(self, step: Any) -> Any:  # noqa: ARG002
        """Return the rate."""
        return ops.convert_to_tensor(self.peak)

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the schedule again."""
        return {"peak": float(self.peak.numpy())}


def _cosine(start: Any, end: Any, share: Any) -> Any:
    return end + (start - end) * (1 + ops.cos(math.pi * ops.clip(share, 0.0, 1.0))) / 2
