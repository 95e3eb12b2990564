"""Channel attention: the squeeze-and-excitation block."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from lcc_utils.nn.checks import whole_number

FORMATS = ("channels_last", "channels_first")


@keras.saving.register_keras_serializable(package="lcc_utils")
class SqueezeExcite(keras.layers.Layer):
    """Scale each channel by a weight computed from its global average.

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
    data_format
        ``channels_last``, or ``channels_first`` for inputs ``(batch, channels, height, width)``.
        The default does not follow ``keras.json``.

    Raises
    ------
    ValueError
        If ``reduction`` is no whole number of 1 or more, the input is no feature map or has fewer
        channels than ``reduction``, or the data format is unknown.

    Notes
    -----
    Input and output: ``(batch, height, width, channels)``, or as ``data_format`` says.
    Source: Hu, Shen and Sun, "Squeeze-and-Excitation Networks" (CVPR 2018), section 3; arXiv
    2601.01026, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> SqueezeExcite(reduction=2)(np.ones((1, 4, 4, 8), "float32")).shape
    TensorShape([1, 4, 4, 8])
    """

    def __init__(
        self, reduction: int = 16, data_format: str = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.reduction = whole_number("reduction", reduction, 1)
        if data_format not in FORMATS:
            raise ValueError(f"data_format must be {' or '.join(FORMATS)}; got {data_format!r}.")
        self.data_format = data_format
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the two dense layers for the number of channels seen."""
        channels = input_shape[self._axis] if len(input_shape) == 4 else None
        if channels is None:
            raise ValueError(
                f"SqueezeExcite takes feature maps of four axes and a known number of channels "
                f"({self.data_format}); got the shape {tuple(input_shape)}."
            )
        if channels < self.reduction:
            raise ValueError(
                f"reduction {self.reduction} leaves no unit of {channels} channels; the input has "
                f"the shape {tuple(input_shape)}, read as {self.data_format}."
            )
        self.squeeze = keras.layers.GlobalAveragePooling2D(
            name="squeeze", data_format=self.data_format, dtype=self.dtype_policy
        )
        self.reduce = keras.layers.Dense(
            channels // self.reduction, activation="relu", name="reduce", dtype=self.dtype_policy
        )
        self.expand = keras.layers.Dense(
            channels, activation="sigmoid", name="expand", dtype=self.dtype_policy
        )
        self.reduce.build((None, channels))
        self.expand.build((None, channels // self.reduction))
        self.built = True

    @property
    def _axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def channel_weights(self, inputs: Any) -> Any:
        """Return the weights ``s`` in 0 to 1, shape ``(batch, channels)``."""
        return self.expand(self.reduce(self.squeeze(inputs)))

    def call(self, inputs: Any) -> Any:
        """Return the input with every channel multiplied by its weight."""
        weights = self.channel_weights(inputs)
        at = 1 if self.data_format == "channels_last" else 2
        return inputs * ops.expand_dims(ops.expand_dims(weights, at), at)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's own shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the layer again."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "data_format": self.data_format,
        }
