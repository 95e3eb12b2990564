"""Keras's global settings, the same on every machine while a network is built or run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import keras

__all__ = ["keras_settings"]

EPSILON = 1e-7
# The settings belong to the whole process: one thread at a time may change them.
_ONE_AT_A_TIME = RLock()


@contextmanager
def keras_settings(precision: str = "float32") -> Iterator[None]:
    """Set data format, float type, epsilon and dtype policy; put the user's back at the end.

    ``~/.keras/keras.json`` can change the first three for every program of a machine, and the
    layers of ``keras.applications`` follow it. Also usable as a decorator. Two threads never hold
    the settings at once, so trainings of one process follow each other.

    Parameters
    ----------
    precision
        A Keras dtype policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
    """
    config = keras.config
    with _ONE_AT_A_TIME:
        # Read the policy first: Keras derives it from the float type when it is first asked for.
        policy, kind = config.dtype_policy(), config.floatx()
        layout, epsilon = config.image_data_format(), config.epsilon()
        try:
            config.set_floatx("float32")
            config.set_image_data_format("channels_last")
            config.set_epsilon(EPSILON)
            config.set_dtype_policy(precision)
            yield
        finally:
            config.set_floatx(kind)
            config.set_image_data_format(layout)
            config.set_epsilon(epsilon)
            config.set_dtype_policy(policy)
