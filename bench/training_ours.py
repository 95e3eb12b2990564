"""Our side of the comparison: the project's own loop, and the ceiling above it.

``ours`` is what ``nn.training`` does in an epoch: batches from the pixel cache, augmented by
either engine, through the compiled step. ``ceiling`` is the same compiled step on one batch that
stays where the device reads it: nothing is read, cast or copied.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras
import numpy as np

from bench.rounds import answer
from lcc_utils.nn import training
from lcc_utils.nn.cost import multiply_adds
from lcc_utils.nn.settings import ExperimentSettings

__all__ = ["Ours", "main", "settings_of"]


class Ours:
    """A compiled model and its batches; some of its steps at a time.

    Parameters
    ----------
    settings
        Of the experiment.
    pixels
        uint8 ``(n, size, size, 3)``.
    labels
        Class of each cell.
    """

    def __init__(
        self, settings: ExperimentSettings, pixels: np.ndarray, labels: np.ndarray
    ) -> None:
        self._batch = settings.training.batch
        self._dtype = settings.precision.removeprefix("mixed_")
        cells = training.Cells(np.arange(len(labels)), labels)
        # The benchmark runs the loop of a training itself, not a copy of it that may fall behind.
        self.model, self.batches = training.start(settings, pixels, cells, 0)
        self._whole = len(self.batches)
        (images, flags), targets = self.batches[0]
        self._resident = (
            (keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(flags)),
            keras.ops.convert_to_tensor(targets),
        )
        self._pace: dict[str, float] = {}
        self._epoch = 0

    def work(self, what: str, seconds: float) -> dict[str, Any]:
        """Train about so many seconds; the first time is short and compiles."""
        if what == "matmul":
            return {"flops_per_second": matmul_flops(seconds, self._dtype)}
        steps = max(2, round(seconds / self._pace[what])) if what in self._pace else 2
        steps = min(steps, self._whole)
        self._epoch += 1
        start = time.perf_counter()
        loss = self.epoch(steps) if what == "ours" else self.steps(steps)
        spent = time.perf_counter() - start
        self._pace[what] = spent / steps
        return {"images": steps * self._batch, "seconds": spent, "loss": loss}

    def epoch(self, steps: int) -> float:
        """Train on so many batches of an epoch, as a training does; return the loss."""
        self.batches._limit = steps
        return training.train_epoch(self.model, self.batches, self._epoch, "the benchmark")["loss"]

    def steps(self, steps: int) -> float:
        """Run the compiled step on the batch at hand, and wait for its end; return the loss."""
        trainer = self.model.trainer
        if keras.backend.backend() == "jax":
            # Its step takes and returns the model's state, which train_on_batch carries along.
            for _ in range(steps):
                loss = trainer.train_on_batch(*self._resident)[0]
            return float(loss)
        trainer.make_train_function()
        trainer.reset_metrics()
        for _ in range(steps):
            logs = trainer.train_function([self._resident])
        return float(logs["loss"])


def settings_of(asked: dict[str, Any]) -> ExperimentSettings:
    """Return an experiment's settings from those of the benchmark."""
    return ExperimentSettings.model_validate(
        {
            "pixels": {"size": asked["size"], "crop": asked["crop"]},
            "model": {"backbone": asked["backbone"]},
            "augmentation": {"policy": asked["policy"], "target": "all", "engine": asked["engine"]},
            "training": {"epochs": 1000, "batch": asked["batch"]},
            "precision": asked["precision"],
        }
    )


def matmul_flops(seconds: float, dtype: str) -> float:
    """Return the floating-point rate of a large matrix product here, operations a second."""
    side = 8192 if _on_gpu() else 2048
    matrix = keras.ops.ones((side, side), dtype=dtype)
    float(keras.ops.matmul(matrix, matrix)[0, 0])
    best = np.inf
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        float(keras.ops.matmul(matrix, matrix)[0, 0])
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def _on_gpu() -> bool:
    if keras.backend.backend() == "torch":
        import torch

        return torch.cuda.is_available()
    return any(kind in str(keras.distribution.list_devices()) for kind in ("gpu", "cuda", "GPU"))


def main() -> None:
    """Take part in a comparison."""
    asked = json.loads(sys.argv[1])
    pixels = np.memmap(asked["pixels"], np.uint8, "r", shape=tuple(asked["shape"]))
    settings = settings_of(asked)
    ours = Ours(settings, pixels, np.array(asked["labels"]))
    facts = {
        "parameters": training.parameter_counts(ours.model.classifier)["parameters_trainable"],
        "forward_flops": 2 * multiply_adds(ours.model.logits),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "gpu": _on_gpu(),
    }
    answer(facts, ours.work)


if __name__ == "__main__":
    main()
