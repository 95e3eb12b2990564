"""Networks that have lost what they learned: from the head down, as a test of maps."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from lcc_utils.nn.classifier import HEAD

__all__ = ["cascade", "stages"]

# So many parts of the backbone; a deep one has hundreds of layers.
PARTS = 4


def stages(classifier: keras.Model) -> list[tuple[str, list[str]]]:
    """Return what is re-initialised step by step: a name, and the names of the layers.

    The head comes first, then squeeze-and-excitation, then the backbone in :data:`PARTS` parts
    of about as many layers with weights, the last part first.
    """
    weighted = [layer.name for layer in classifier.layers if layer.weights]
    head = [name for name in weighted if name in HEAD and name != "attention"]
    block = [name for name in weighted if name == "attention"]
    below = [name for name in weighted if name not in HEAD]
    found = [("head", head)] + ([("channel weights", block)] if block else [])
    for number in range(PARTS, 0, -1):
        low, high = (len(below) * n // PARTS for n in (number - 1, number))
        if part := below[low:high]:
            found.append((f"part {number} of {PARTS}", part))
    return found


def cascade(classifier: keras.Model, fresh: keras.Model) -> Iterator[str]:
    """Give a classifier a fresh one's weights, stage by stage, and name each stage done.

    The classifier is changed in place; after the last stage nothing is left of its training.

    Parameters
    ----------
    classifier
        As ``classifier.build_classifier`` makes it.
    fresh
        The same architecture, as initialised from another seed.

    Notes
    -----
    Source: Adebayo et al., "Sanity Checks for Saliency Maps", arXiv 1810.03292, section 3.1.
    """
    for name, layers in stages(classifier):
        for layer in layers:
            classifier.get_layer(layer).set_weights(fresh.get_layer(layer).get_weights())
        yield name
