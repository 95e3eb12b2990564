"""Focal loss on a softmax, with a weight for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import keras
import numpy as np
from keras import ops

from lcc_utils.nn.checks import number

Alpha = Sequence[float] | Mapping[int, float]
# Fixed, since keras.json can change Keras's own.
_EPSILON = 1e-7
# Far above any use; what float32 cannot hold would become infinite without a word.
_MOST = 1e6


@keras.saving.register_keras_serializable(package="lcc_utils")
class FocalLoss(keras.losses.Loss):
    """Focal loss in its softmax form: confident, correct cells count for less.

    For one-hot ``y`` and class probabilities ``p`` the loss of one cell is

        ``L = - sum_c alpha_c y_c (1 - p_c)^gamma log(p_c)``

    With ``gamma = 0`` this is cross-entropy weighted by ``alpha``; with ``alpha = (1, 1)``
    as well, it is plain cross-entropy. Smoothed labels follow the same sum.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more. The paper uses 2.
    alpha
        One weight a class, in the order of the classes (HEM, ALL), or a mapping from class index
        to weight. The paper uses (.75, .25). Weights are used as they are, not normalised over
        the batch.
    from_logits
        Whether predictions are logits (numerically the better choice) or probabilities.

    Raises
    ------
    ValueError
        If ``gamma`` or a weight is negative, above a million or not finite, all weights are 0, a
        mapping does not name the classes 0, 1, ... or, when called, if the shapes of labels,
        predictions, sample weights and class weights do not match.

    Notes
    -----
    ``y_true`` and ``y_pred``: ``(batch, classes)``; one value a cell before reduction.
    Everything is computed in float32 whatever precision the predictions come in. The
    exponent and the weights are Keras variables: :meth:`assign` changes them without
    tracing the training step again (TensorFlow backend).
    Source: Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017), equation 5;
    arXiv 2601.01026, section 2.

    Examples
    --------
    With ``p = .8`` for the true class ALL, the paper's loss is
    ``.25 * (1 - .8)^2 * -log(.8) = .25 * .04 * .22314 = .0022314``:

    >>> float(FocalLoss()([[0.0, 1.0]], [[0.2, 0.8]]))  # doctest: +ELLIPSIS
    0.002231...
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Alpha = (0.75, 0.25),
        from_logits: bool = False,
        name: str = "focal_loss",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)
        if not isinstance(from_logits, bool | np.bool_):
            raise ValueError(f"from_logits must be True or False; got {from_logits!r}.")
        self.from_logits = bool(from_logits)
        weights = _class_weights(alpha)
        self.gamma = keras.Variable(0.0, trainable=False, dtype="float32", name="gamma")
        self.alpha = keras.Variable([0.0] * len(weights), trainable=False, dtype="float32")
        self.assign(gamma, weights)

    def assign(self, gamma: float, alpha: Alpha) -> None:
        """Set the exponent and the class weights, leaving compiled code as it is.

        Raises
        ------
        ValueError
            As the constructor does, and if the number of classes changes.
        """
        gamma = _not_negative("gamma", gamma)
        weights = _class_weights(alpha)
        if len(weights) != self.alpha.shape[0]:
            raise ValueError(
                f"alpha has {len(weights)} weights and the loss {self.alpha.shape[0]} classes; "
                "give one weight a class, or make a new FocalLoss."
            )
        self.gamma.assign(gamma)
        self.alpha.assign(weights)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss; ``sample_weight`` is one weight a cell, ``(batch,)``."""
        if sample_weight is not None:
            _check_sample_weight(_shape(sample_weight), _shape(y_pred))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each cell, shape ``(batch,)``."""
        y_true = ops.cast(y_true, "float32")
        y_pred = ops.cast(y_pred, "float32")
        _check_shapes(y_true, y_pred, self.alpha.shape[0])
        if self.from_logits:
            log_p = ops.log_softmax(y_pred, axis=-1)
        else:
            log_p = ops.log(ops.clip(y_pred, _EPSILON, 1.0))
        # expm1 keeps 1 - p exact near p = 1; the floor keeps the power's gradient finite there.
        miss = ops.maximum(-ops.expm1(log_p), _EPSILON)
        return -ops.sum(y_true * self.alpha * ops.power(miss, self.gamma) * log_p, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the loss again."""
        return {
            **super().get_config(),
            "gamma": float(ops.convert_to_numpy(self.gamma)),
            "alpha": [float(a) for a in ops.convert_to_numpy(self.alpha)],
            "from_logits": self.from_logits,
        }


def _class_weights(alpha: Alpha) -> list[float]:
    """Return the weights in the order of the classes, or refuse them in words."""
    if isinstance(alpha, Mapping):
        keys = list(alpha)
        if not all(isinstance(key, Integral) for key in keys) or sorted(keys) != [
            *range(len(keys))
        ]:
            raise ValueError(
                f"alpha as a mapping must name the classes 0, 1, ... (0 HEM, 1 ALL); got {alpha!r}."
            )
        alpha = [alpha[key] for key in range(len(keys))]
    elif not isinstance(alpha, list | tuple | np.ndarray) or np.ndim(alpha) != 1:
        raise ValueError(
            "alpha must be one weight a class, such as (0.75, 0.25) for HEM and ALL; got "
            f"{alpha!r}."
        )
    weights = [_not_negative("each weight of alpha", own) for own in alpha]
    if len(weights) < 2 or not any(weights):
        raise ValueError(
            f"alpha must have a weight for each of two or more classes, one of them above 0; got "
            f"{alpha!r}."
        )
    return weights


def _not_negative(name: str, value: Any) -> float:
    rule = f"must not be negative nor above {_MOST:g}"
    return number(name, value, rule, lambda v: 0 <= v <= _MOST)


def _shape(values: Any) -> tuple[int | None, ...] | None:
    """Return what is known of a shape before the graph runs; None if not even its rank is."""
    if not hasattr(values, "shape"):
        return np.shape(values)
    if getattr(values.shape, "rank", 0) is None:
        return None
    return tuple(values.shape)


def _check_shapes(y_true: Any, y_pred: Any, classes: int) -> None:
    """Refuse labels that would be broadcast over the predictions, or the other way round."""
    true, predicted = _shape(y_true), _shape(y_pred)
    known = [shape for shape in (true, predicted) if shape is not None]
    fits = all(len(shape) == 2 and shape[1] in (None, classes) for shape in known)
    advice = (
        f"Make integer labels one-hot, keras.ops.one_hot(labels, {classes}) or "
        f"keras.utils.to_categorical(labels, {classes}), end the model in {classes} outputs, and "
        "give alpha one weight a class."
    )
    if not fits or (len(known) == 2 and not _same_length(true[0], predicted[0])):
        raise ValueError(
            f"FocalLoss takes labels and predictions of shape (batch, {classes}), one column a "
            f"class, but labels have the shape {true} and predictions {predicted}. {advice}"
        )
    if len(known) < 2 or None in true or None in predicted:
        # Only a graph of TensorFlow learns its sizes when it runs.
        import tensorflow as tf

        words = f"FocalLoss takes labels and predictions of shape (batch, {classes}). {advice}"
        tf.debugging.assert_equal(tf.rank(y_pred), 2, words)
        tf.debugging.assert_equal(tf.shape(y_pred)[-1], classes, words)
        tf.debugging.assert_equal(tf.shape(y_true), tf.shape(y_pred), words)


def _check_sample_weight(
    weight: tuple[int | None, ...] | None, predicted: tuple[int | None, ...] | None
) -> None:
    """Refuse sample weights that are not one number a cell."""
    if weight is None or predicted is None or weight == ():
        return
    one_a_cell = len(weight) == 1 or (len(weight) == 2 and weight[1] == 1)
    if not one_a_cell or not _same_length(weight[0], predicted[0] if predicted else None):
        raise ValueError(
            "sample_weight must be one weight a cell, shape (batch,), but it has the shape "
            f"{weight} and predictions {predicted}. Class weights belong into alpha."
        )


def _same_length(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other
