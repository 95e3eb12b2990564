"""Focal loss on a softmax, with a weight for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="lcc_utils")
class FocalLoss(keras.losses.Loss):
    """Focal loss in its softmax form: confident, correct cells count for less.

    For one-hot ``y`` and class probabilities ``p`` the loss of one cell is

        ``L = - sum_c alpha_c y_c (1 - p_c)^gamma log(p_c)``

    With ``gamma = 0`` this is cross-entropy weighted by ``alpha``; with ``alpha = (1, 1)``
    as well, it is plain cross-entropy.

    Parameters
    ----------
    gamma
        Focusing exponent, 0 or more. The paper uses 2.
    alpha
        One weight a class, in the order of the classes (HEM, ALL). The paper uses
        (.75, .25). Weights are used as they are, not normalised over the batch.
    from_logits
        Whether predictions are logits (numerically the better choice) or probabilities.

    Raises
    ------
    ValueError
        If ``gamma`` or a weight is negative.

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
        alpha: Sequence[float] = (0.75, 0.25),
        from_logits: bool = False,
        name: str = "focal_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits
        self.gamma = keras.Variable(0.0, trainable=False, dtype="float32", name="gamma")
        self.alpha = keras.Variable([0.0] * len(alpha), trainable=False, dtype="float32")
        self.assign(gamma, alpha)

    def assign(self, gamma: float, alpha: Sequence[float]) -> None:
        """Set the exponent and the class weights, leaving compiled code as it is."""
        if gamma < 0 or min(alpha) < 0:
            raise ValueError(f"gamma {gamma} and alpha {tuple(alpha)} must not be negative")
        self.gamma.assign(gamma)
        self.alpha.assign(list(alpha))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each cell, shape ``(batch,)``."""
        y_true = ops.cast(y_true, "float32")
        y_pred = ops.cast(y_pred, "float32")
        if self.from_logits:
            log_p = ops.log_softmax(y_pred, axis=-1)
        else:
            log_p = ops.log(ops.clip(y_pred, keras.config.epsilon(), 1.0))
        log_p = ops.sum(y_true * log_p, axis=-1)
        weight = ops.sum(y_true * self.alpha, axis=-1)
        # expm1 keeps 1 - p exact near p = 1; the floor keeps the power's gradient finite there.
        miss = ops.maximum(-ops.expm1(log_p), keras.config.epsilon())
        return -weight * ops.power(miss, self.gamma) * log_p

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the loss again."""
        return {
            **super().get_config(),
            "gamma": float(self.gamma.numpy()),
            "alpha": [float(a) for a in self.alpha.numpy()],
            "from_logits": self.from_logits,
        }
