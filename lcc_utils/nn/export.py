"""A network as an ONNX file, in float32 and in half precision."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.keras_settings import keras_settings

__all__ = ["INPUT", "export_half", "export_onnx", "settle"]

# Name of the network's input in the file.
INPUT = "image"
# tf2onnx copies all weights many times over. Kernels of more numbers than this are handed in like
# images, and written into the file in the end.
_HELD = 2**19


def export_onnx(model: keras.Model, path: str | Path) -> Path:
    """Write a network as an ONNX file in float32, for batches of any size.

    Parameters
    ----------
    model
        One input ``(batch, height, width, 3)``, pixels 0 to 255, and one output; float32.
    path
        The file; it appears whole or not at all.

    Returns
    -------
    pathlib.Path
        The file's path. Its input is called :data:`INPUT`.

    Raises
    ------
    RequestError
        If Keras does not run on TensorFlow, from whose graphs tf2onnx converts.
    DataError
        If the conversion fails, or the file cannot be written.

    Notes
    -----
    Keras's own ``model.export(format="onnx")`` takes the same way, but turns each constant of a
    preprocessing layer into one more input, which nobody can then give. Here such constants are
    written into the file.
    """
    if keras.backend.backend() != "tensorflow":
        raise RequestError(
            f"ONNX files are converted from TensorFlow's graphs, and Keras runs on "
            f"{keras.backend.backend()}; set KERAS_BACKEND to tensorflow."
        )
    try:
        with keras_settings():
            content = _converted(model).SerializeToString()
    except Exception as error:  # tf2onnx raises whatever its rewriters meet
        raise DataError(
            f"{model.name} could not be converted to ONNX ({type(error).__name__}: "
            f"{_first_line(error)}). Its layers may need another version of tf2onnx."
        ) from error
    return write_atomic(path, content)


def export_half(path: str | Path, half: str | Path) -> Path:
    """Write an ONNX file again with weights and arithmetic in float16.

    Parameters
    ----------
    path
        A file of :func:`export_onnx`.
    half
        The file that is written. Its input and output stay float32.

    Raises
    ------
    DataError
        If the file cannot be read or converted.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        with warnings.catch_warnings():
            # Weights below the least number of float16 are set to it, and each is warned of.
            warnings.simplefilter("ignore")
            converted = convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)
        content = converted.SerializeToString()
    except Exception as error:  # the converter raises whatever it meets
        raise DataError(
            f"{path} could not be converted to float16 ({type(error).__name__}: "
            f"{_first_line(error)})."
        ) from error
    return write_atomic(half, content)


def settle(model: keras.Model, images: np.ndarray) -> None:
    """Set every batch normalisation to the mean and variance that it meets on some images.

    The signal of a randomly initialised network fades from layer to layer, until every image has
    the same score and no difference between two engines shows. After this it reaches the end.

    Parameters
    ----------
    model
        A network with random weights; its moving averages are replaced.
    images
        Pixels 0 to 255, ``(n, height, width, 3)``.
    """
    layers = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum


def _converted(model: keras.Model) -> Any:
    """Return the network as an ONNX graph."""
    import tensorflow as tf
    import tf2onnx

    held = [one for one in model.weights if math.prod(one.shape) > _HELD]
    names = [f"held_{number}" for number in range(len(held))]

    def call(image: Any, *values: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(held, values, strict=True))):
            return model(image, training=False)

    shapes = [(None, *model.inputs[0].shape[1:]), *(one.shape for one in held)]
    signature = [
        tf.TensorSpec(shape, tf.float32, name=name)
        for shape, name in zip(shapes, (INPUT, *names), strict=True)
    ]
    function = tf.function(call, input_signature=signature, autograph=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature)
    captured = {
        inner.name: outer
        for outer, inner in function.get_concrete_function().graph.captures
        if outer.dtype != tf.resource
    }
    _fill(proto.graph, captured | dict(zip(names, held, strict=True)))
    return proto


def _fill(graph: Any, values: dict[str, Any]) -> None:
    """Write the values of inputs into the graph, so that the image alone is left to give.

    Kernels of convolutions are turned to the order of their axes that ONNX has.
    """
    import onnx

    found = {name: np.asarray(value) for name, value in values.items()}
    for own in [one for one in graph.input if one.name in found]:
        graph.input.remove(own)
    for node in [one for one in graph.node if one.op_type == "Transpose"]:
        if node.input[0] in found:
            axes = onnx.helper.get_node_attr_value(node, "perm")
            found[node.output[0]] = found[node.input[0]].transpose(axes)
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in found.items()
        if name in used
    )
    if [one.name for one in graph.input] != [INPUT]:
        raise ValueError(f"the graph has the inputs {[one.name for one in graph.input]}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "no message"
