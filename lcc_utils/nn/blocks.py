"""Channel attention: the squeeze-and-excitation block."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="lcc_utils")
class SqueezeExcite(keras.layers.Layer):
    """Squeeze-and-excitation: weigh each channel by what the whole feature map holds.

    With feature maps ``x`` of C channels, the channel weights are

        ``s = sigmoid(W2 relu(W1 mean(x) + b1) + b2)``

    where the mean runs over height and width, ``W1`` maps C to C / ``reduction`` and
    ``W2`` maps back, and the output is ``x * s``. The block gives one number a channel
    and no spatial map: it says which features matter, not where.

    Parameters
    ----------
    reduction
        How many times narrower the bottleneck is than the input, 1 or more. The
        paper uses 16.

    Raises
    ------
    ValueError
        If ``reduction`` is below 1, or the input has fewer channels than ``reduction``.

    Notes
    -----
    Input and output: ``(batch, height, width, channels)``. Source: Hu, Shen and Sun,
    "Squeeze-and-Excitation Networks" (CVPR 2018), section 3; arXiv 2601.01026, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> SqueezeExcite(reduction=2)(np.ones((1, 4, 4, 8), "float32")).shape
    TensorShape([1, 4, 4, 8])
    """

    def __init__(self, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"reduction must be 1 or more, got {reduction}")
        self.reduction = reduction

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the two dense layers for the number of channels seen."""
        channels = input_shape[-1]
        if channels < self.reduction:
            raise ValueError(f"reduction {self.reduction} leaves no unit of {channels} channels")
        self.squeeze = keras.layers.GlobalAveragePooling2D(name="squeeze", dtype=self.dtype_policy)
        self.reduce = keras.layers.Dense(
            channels // self.reduction, activation="relu", name="reduce", dtype=self.dtype_policy
        )
        self.expand = keras.layers.Dense(
            channels, activation="sigmoid", name="expand", dtype=self.dtype_policy
        )
        self.reduce.build((None, channels))
        self.expand.build((None, channels // self.reduction))
        self.built = True

    def channel_weights(self, inputs: Any) -> Any:
        """Return the weights ``s`` in 0 to 1, shape ``(batch, channels)``."""
        return self.expand(self.reduce(self.squeeze(inputs)))

    def call(self, inputs: Any) -> Any:
        """Return the input with every channel multiplied by its weight."""
        return inputs * ops.expand_dims(ops.expand_dims(self.channel_weights(inputs), 1), 1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's own shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the layer again."""
        return {**super().get_config(), "reduction": self.reduction}
