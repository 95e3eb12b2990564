"""What is computed from each network's maps: one part of the work, a few tables of numbers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.evaluation import attention as measured
from lcc_utils.nn import attention, channel_weights
from lcc_utils.nn.classifier import logits_model
from lcc_utils.nn.prediction import scores_of
from lcc_utils.nn.randomised import cascade, stages
from lcc_utils.pipeline.attention import Chosen
from lcc_utils.pipeline.attention_curves import averages, faithful
from lcc_utils.pipeline.networks import trained, untrained

TRAINED, SEED = "trained", "seed {}"
WITHOUT, LABELS, PARAMETERS = "without channel weights", "labels shuffled", "parameters randomised"
CAM, CAM_PP, GRADIENT, SCORE = "Grad-CAM", "Grad-CAM++", "SmoothGrad", "Score-CAM"
COARSE, FINE, EVEN = "random, coarse", "random, fine", "even"
_BATCH = 32

Tables = dict[str, pd.DataFrame]


def parts(chosen: Chosen) -> list[tuple[str, Callable[[], Tables]]]:
    """Return the parts of the work: a name for its files, and what computes it."""
    work = _Work(chosen)
    found: list[tuple[str, Callable[[], Tables]]] = [("trained", work.trained)]
    first = chosen.experiments[0]
    for number, experiment in enumerate(chosen.experiments[1:], start=1):
        if experiment.settings == first.settings:
            name = SEED.format(experiment.seed)
            found.append((f"seed-{experiment.seed}", partial(work.other, name, number)))
        elif experiment.seed == first.seed and not experiment.settings.model.attention:
            found.append(("without", partial(work.other, WITHOUT, number)))
    found.append(("labels", partial(work.other, LABELS, 0, True)))
    found.append(("parameters", work.randomised))
    if first.settings.model.attention:
        found.append(("channels", work.channels))
    return found


class _Work:
    """The computations, which share the trained network's maps."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen, self.maps = chosen, chosen.settings
        self.images = chosen.images.astype(np.float32)
        self.regions = chosen.parts
        self.cells = np.stack([part.cell for part in self.regions])
        self.threshold = float(chosen.results[0].metrics["threshold"])

    @cached_property
    def classifier(self) -> Any:
        """The trained network."""
        return self.network(0)

    @cached_property
    def own(self) -> dict[str, np.ndarray]:
        """The trained network's maps by method; those of Score-CAM are fewer."""
        return self.drawn(self.classifier)

    def drawn(
        self, classifier: Any, seed: int = 0, score_cam: bool = True
    ) -> dict[str, np.ndarray]:
        """Return a network's maps by method; the seed is that of SmoothGrad's noise."""
        model, images, targets = logits_model(classifier), self.images, self.chosen.targets
        found = {
            CAM: attention.grad_cam(model, images, targets),
            CAM_PP: attention.grad_cam_plus_plus(model, images, targets),
            GRADIENT: attention.saliency(
                model, images, targets, self.maps.smooth_samples, seed=seed
            ),
        }
        few = slice(0, self.maps.score_cam_cells)
        if score_cam:
            most = self.maps.max_channels
            found[SCORE] = attention.score_cam(model, images[few], targets[few], most)
        return found

    def trained(self) -> Tables:
        """Return the trained network's maps in numbers, with those that know no network."""
        scores = self.scores(self.classifier)
        rows = self.rows(TRAINED, self.own, scores, self.threshold)
        contrasts = self.contrasts()
        rows = pd.concat(
            [rows, self.rows(TRAINED, contrasts, scores, self.threshold)], ignore_index=True
        )
        compared = {name: maps for name, maps in contrasts.items() if name != EVEN}
        areas, curves = faithful(self.chosen, self.classifier, {**self.own, **compared})
        rows = rows.merge(areas, on=["cell_id", "method"], how="left")
        covered = {"cell": self.cells.astype(np.float32)}
        average = averages(self.chosen.table, {**self.own, **covered})
        tables = {"maps": rows, "curves": curves, "average": average}
        return tables | {"agreement": self.agreement()}

    def other(self, name: str, number: int, shuffled: bool = False) -> Tables:
        """Return another network's maps in numbers, compared with the trained one's."""
        classifier = self.network(number, shuffled)
        cut = 0.5 if shuffled else float(self.chosen.results[number].metrics["threshold"])
        # Noise that networks share would make their maps alike.
        maps = self.drawn(classifier, seed=1 + zlib.crc32(name.encode()))
        rows = self.rows(name, maps, self.scores(classifier), cut)
        return {"maps": rows}

    def randomised(self) -> Tables:
        """Return the trained network's maps while it loses what it learned."""
        classifier = self.network(0)
        tables, last = [], len(stages(classifier))
        for step, stage in enumerate(cascade(classifier, untrained(self.chosen.experiments[0])), 1):
            maps = self.drawn(classifier, step, score_cam=step == last)
            rows = self.rows(PARAMETERS, maps, self.scores(classifier), 0.5)
            tables.append(rows.assign(step=step, stage=stage))
        names = [
            "cell_id",
            "subject",
            "label",
            "method",
            "step",
            "stage",
            "rank_cell",
            "rank_frame",
        ]
        whole = tables[-1].drop(columns=["step", "stage"])
        return {"maps": whole, "cascade": pd.concat(tables, ignore_index=True)[names]}

    def channels(self) -> Tables:
        """Return channel weights by subject, and scores with these weights held at their mean."""
        model = logits_model(self.classifier)
        weights = attention.se_weights(self.classifier, self.images)
        table = self.chosen.table
        rows = []
        for (label, subject), own in table.groupby(["label", "subject"]):
            some = weights[own.index]
            rows.append(
                pd.DataFrame(
                    {"subject": subject, "label": label, "cells": len(own)}
                    | {"channel": np.arange(1, weights.shape[1] + 1)}
                    | {"weight": some.mean(axis=0), "sd": some.std(axis=0)}
                )
            )
        fixed = channel_weights.fixed_gate_logits(model, self.images, weights.mean(axis=0))
        gates = table[["cell_id", "subject", "label"]].assign(
            score=self.scores(self.classifier), score_fixed=scores_of(fixed)
        )
        return {"channels": pd.concat(rows, ignore_index=True), "gates": gates}

    def network(self, number: int, shuffled: bool = False) -> Any:
        """Return a network of the study with weights of its own, trained."""
        chosen = self.chosen
        return trained(chosen.run, chosen.experiments[number], chosen.pixels, shuffled)

    def scores(self, classifier: Any) -> np.ndarray:
        """Return P(ALL) of each cell as it is, in one view."""
        return scores_of(_logits(logits_model(classifier), self.images))

    def contrasts(self) -> dict[str, np.ndarray]:
        """Return maps of the cell's outline and chance, and the even one."""
        model = logits_model(self.classifier)
        from lcc_utils.nn.explained import feature_layer

        grain = int(model.get_layer(feature_layer(model)).output.shape[1])
        rng = np.random.default_rng(0)
        return {
            COARSE: measured.random_maps(self.cells, grain, rng),
            FINE: measured.random_maps(self.cells, self.images.shape[1], rng),
            EVEN: np.ones(self.cells.shape, np.float32),
        }

    def rows(
        self, name: str, maps: dict[str, np.ndarray], scores: np.ndarray, threshold: float
    ) -> pd.DataFrame:
        """Return one row a cell and method: where the map lies, and its rank correlation."""
        rows = []
        for method, drawn in maps.items():
            compared = self.own.get(method) if name != TRAINED else None
            for number, one in enumerate(drawn):
                ring = self.rings[number]
                row = dict(self.facts[number]) | {
                    "score": scores[number],
                    "right": int((scores[number] >= threshold) == self.labels[number]),
                    "model": name,
                    "method": method,
                    **measured.shares(one, self.regions[number]),
                }
                profile = measured.radial_profile(one, ring)
                row |= {f"ring_{n}": value for n, value in enumerate(profile, 1)}
                if compared is not None:
                    pair, cell = (one, compared[number]), self.cells[number]
                    row["rank_cell"] = measured.rank_agreement(*pair, cell)
                    row["rank_frame"] = measured.rank_agreement(*pair)
                rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def rings(self) -> list[np.ndarray]:
        """Each cell's rings."""
        return [measured.rings(cell) for cell in self.cells]

    @cached_property
    def facts(self) -> list[dict[str, Any]]:
        """Cell, subject, class and explained class."""
        return self.chosen.table.to_dict("records")

    @cached_property
    def labels(self) -> np.ndarray:
        """The true class of each cell."""
        return self.chosen.table["label"].to_numpy(bool)

    def agreement(self) -> pd.DataFrame:
        """Return the rank correlation of every two methods' maps, cell by cell."""
        names, rows = list(self.own), []
        for first, second in [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]:
            both = zip(self.own[first], self.own[second], strict=False)
            for number, pair in enumerate(both):
                rank = measured.rank_agreement(*pair, self.cells[number])
                facts = {k: self.facts[number][k] for k in ("cell_id", "subject", "label")}
                rows.append({**facts, "method": first, "other": second, "rank_cell": rank})
        return pd.DataFrame(rows)


def _logits(model: Any, images: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [np.asarray(model(images[at : at + _BATCH])) for at in range(0, len(images), _BATCH)]
    )
