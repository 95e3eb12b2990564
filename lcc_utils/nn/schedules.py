"""Learning rates: by step, and by part of the network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from lcc_utils.nn.checks import number, whole_number


@keras.saving.register_keras_serializable(package="lcc_utils")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Rise to a peak by half a cosine, then fall far below the start by another.

    The rate starts at ``peak / 25``, reaches ``peak`` after 30 % of the steps and ends at
    ``peak / 25 / 10^4``: the common default of one-cycle training.

    Parameters
    ----------
    peak
        The highest learning rate, above 0.
    total_steps
        Optimizer steps of the whole training, 1 or more; a training of one step has the rate of
        the start.

    Raises
    ------
    ValueError
        If ``peak`` or ``total_steps`` is anything else.

    Notes
    -----
    A step is one batch. (Stepping such a schedule once an epoch leaves the rate near its
    start for the whole training.) Both parameters are Keras variables, so :meth:`assign`
    changes them without tracing the training step again.
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
        peak, steps = _rate(peak), whole_number("total_steps", total_steps, 1)
        self.peak.assign(peak)
        self.total_steps.assign(float(max(2, steps)))

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
            "peak": float(ops.convert_to_numpy(self.peak)),
            "total_steps": int(ops.convert_to_numpy(self.total_steps)),
        }


@keras.saving.register_keras_serializable(package="lcc_utils")
class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """Keep one learning rate, above 0, at every step; ``assign`` as in :class:`OneCycle`."""

    def __init__(self, peak: float) -> None:
        super().__init__()
        self.peak = keras.Variable(_rate(peak), trainable=False, dtype="float32", name="rate")

    def assign(self, peak: float, total_steps: int) -> None:  # noqa: ARG002
        """Set the rate; the number of steps changes nothing."""
        self.peak.assign(_rate(peak))

    def __call__(self, step: Any) -> Any:  # noqa: ARG002
        """Return the rate."""
        return ops.convert_to_tensor(self.peak)

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the schedule again."""
        return {"peak": float(ops.convert_to_numpy(self.peak))}


@keras.saving.register_keras_serializable(package="lcc_utils")
class LayerwiseAdamW(keras.optimizers.Adam):
    """AdamW in which some variables learn at a share of the rate.

    The weight decay of a variable follows its rate, as it does in AdamW: with rate r, share
    s and decay d, a step first takes away ``s r d`` of it, then moves it as Adam does with
    rate ``s r``.

    Parameters
    ----------
    learning_rate
        A rate above 0, or a schedule.
    weight_decay
        As in AdamW, 0 or more.
    share
        Share of the rate, above 0 and up to 1.
    slow
        Paths of the variables that it holds for; the others learn at the whole rate.
    **kwargs
        Passed on to ``keras.optimizers.Adam``.

    Raises
    ------
    ValueError
        If a number is out of its range, ``slow`` is one string, or, when the variables are known,
        none of them has a path in ``slow``.

    Notes
    -----
    With a share of 1 it is ``keras.optimizers.AdamW`` up to rounding. That one works out the
    schedule anew for each variable, and on TensorFlow moves a variable by a dozen operations:
    thousands a step, most of the time that the first step takes to trace. Here the rate is worked
    out once, and TensorFlow's own kernel for Adam moves the variable.
    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm
    2; for rates by layer, Howard and Ruder, "Universal Language Model Fine-tuning for Text
    Classification" (2018), section 3.2.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float = 0.0,
        share: float = 1.0,
        slow: Iterable[str] = (),
        name: str = "layerwise_adamw",
        **kwargs: Any,
    ) -> None:
        if isinstance(learning_rate, int | float):
            learning_rate = _rate(learning_rate)
        if isinstance(slow, str):
            raise ValueError(f"slow must be a list of variable paths; write [{slow!r}].")
        super().__init__(learning_rate, name=name, **kwargs)
        self.share = number("share", share, "must be above 0 and up to 1", lambda v: 0 < v <= 1)
        self.slow = frozenset(slow)
        self.decay = number("weight_decay", weight_decay, "must not be negative", lambda v: v >= 0)

    def build(self, variables: Any) -> None:
        """Learn which variables there are; their order decides which share is whose."""
        paths = [v.path for v in variables]
        if self.share < 1 and self.slow and self.slow.isdisjoint(paths):
            raise ValueError(
                f"None of the {len(paths)} variables has a path in slow, such as "
                f"{min(self.slow)!r}; the first variable is {paths[0] if paths else 'missing'!r}."
            )
        super().build(variables)
        # JAX bakes what no state holds into the compiled step: the schedule's values belong to it.
        for value in vars(self._learning_rate).values():
            if isinstance(value, keras.Variable) and not any(value is v for v in self.variables):
                self._track_variable(value)
        self._shares = tuple(self.share if v.path in self.slow else 1.0 for v in variables)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Move all variables; what is the same for all of them is worked out once."""
        if keras.backend.backend() == "tensorflow":
            step = ops.cast(self.iterations + 1, "float32")
            self._powers = ops.power(self.beta_1, step), ops.power(self.beta_2, step)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by its own rate."""
        rate = learning_rate * self._shares[self._get_variable_index(variable)]
        if self._use_weight_decay(variable):
            self.assign_sub(variable, variable * ops.cast(rate * self.decay, variable.dtype))
        if keras.backend.backend() == "tensorflow" and not self.amsgrad:
            self._move(gradient, variable, rate)
        else:
            super().update_step(gradient, variable, rate)

    def _move(self, gradient: Any, variable: Any, rate: Any) -> None:
        """Do what Adam's update does, as one kernel of TensorFlow."""
        from tensorflow.raw_ops import ResourceApplyAdam

        place = self._get_variable_index(variable)
        numbers = {
            "beta1_power": self._powers[0], "beta2_power": self._powers[1], "lr": rate,
            "beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon, "grad": gradient,
        }  # fmt: skip
        ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            **{name: ops.cast(value, variable.dtype) for name, value in numbers.items()},
        )

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the optimizer again."""
        return {
            **super().get_config(),
            "share": self.share,
            "slow": sorted(self.slow),
            "weight_decay": self.decay,
        }


def _rate(value: Any) -> float:
    return number("the learning rate", value, "must be above 0", lambda v: v > 0)


def _cosine(start: Any, end: Any, share: Any) -> Any:
    return end + (start - end) * (1 + ops.cos(math.pi * ops.clip(share, 0.0, 1.0))) / 2
