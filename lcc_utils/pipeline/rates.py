"""How fast a machine compiles, trains and applies the networks of some settings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline import provenance

__all__ = ["compile_all", "network_rates", "rates"]

_IMAGES = 512
# Steps of a network that is only to be compiled: enough for a first idea of its rate.
_STEPS = 4
_SIDE = 8192


def compile_all(networks: list[ExperimentSettings], jobs: int) -> list[dict[str, Any]]:
    """Compile training step and prediction of networks, several at a time; return their times.

    Where JAX keeps what it compiles (``JAX_COMPILATION_CACHE_DIR``), later processes find it.
    """
    from joblib import Parallel, delayed

    return Parallel(jobs)(delayed(network_rates)(settings, _STEPS) for settings in networks)


def rates(networks: list[ExperimentSettings], steps: int) -> dict[str, Any]:
    """Measure networks one after the other, and the largest matrix product beside them.

    Returns
    -------
    dict
        ``networks``: rows of :func:`network_rates`, on JAX with ``share_of_matrix_rate``, the
        rate of floating-point operations in training (six a multiply-add: forward and twice as
        many backward) as a share of ``matrix_tflops``, that of a bfloat16 product of two square
        matrices of side 8,192; and device, versions and time.
    """
    peak = _matrix_tflops()
    rows = [network_rates(settings, steps) for settings in networks]
    for row in rows:
        done = 6 * row["multiply_adds"] * row["training_images_per_s"] / 1e12
        row["training_tflops"] = round(done, 3)
        row["share_of_matrix_rate"] = round(done / peak, 4) if peak else None
    return {
        "matrix_tflops": peak and round(peak, 1),
        "networks": rows,
        "steps": steps,
        "backend": provenance.backend(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "finished": provenance.now(),
    }


def network_rates(settings: ExperimentSettings, steps: int) -> dict[str, Any]:
    """Train for some steps twice, and predict twice, on random pixels; the second is timed.

    Batches are made and moved as in a real training.
    """
    from lcc_utils.nn.batches import TrainingBatches
    from lcc_utils.nn.compiled import prepare
    from lcc_utils.nn.cost import multiply_adds
    from lcc_utils.nn.prediction import predict

    size, batch = settings.pixels.size, settings.training.batch
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, size, size, 3), np.uint8)
    rows = np.arange(steps * batch) % _IMAGES
    batches = TrainingBatches(
        pixels, rows, rows % 2, batch=batch, sampling="natural",
        augmentation=settings.augmentation, seed=0,
    )  # fmt: skip
    model = prepare(settings, 0)
    model.schedule.assign(settings.training.learning_rate, 2 * steps)

    def train(epoch: int) -> None:
        batches.start_epoch(epoch)
        model.trainer.fit(batches.feed(), steps_per_epoch=len(batches), epochs=epoch + 1,
                          initial_epoch=epoch, shuffle=False, verbose=0)  # fmt: skip

    first, again = _timed(lambda: train(0)), _timed(lambda: train(1))
    seen = np.arange(min(_IMAGES, 128 * steps))
    forward, forward_again = (_timed(lambda: predict(model.logits, pixels, seen)) for _ in "ab")
    return {
        "backbone": settings.model.backbone,
        "size": size,
        "batch": batch,
        "precision": settings.precision,
        "multiply_adds": multiply_adds(model.classifier),
        "first_training_s": round(first, 2),
        "first_prediction_s": round(forward, 2),
        "training_images_per_s": round(steps * batch / again, 2),
        "prediction_images_per_s": round(len(seen) / forward_again, 2),
    }


def _matrix_tflops() -> float | None:
    """Return the rate of a large bfloat16 matrix product, TFLOP/s; None without a GPU of JAX."""
    if provenance.backend() != "jax":
        return None
    import jax

    if jax.default_backend() == "cpu":
        return None
    a, b = jax.random.normal(jax.random.key(0), (2, _SIDE, _SIDE), "bfloat16")
    product = jax.jit(lambda a, b: a @ b)
    for _ in range(3):
        product(a, b).block_until_ready()
    times = [_timed(lambda: product(a, b).block_until_ready()) for _ in range(15)]
    return 2 * _SIDE**3 / float(np.median(times)) / 1e12


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
