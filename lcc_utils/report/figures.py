"""Every figure of the book, each drawn in a room of its own, exported here under one name.

Each function returns a matplotlib ``Figure`` with an ``alt`` attribute, a sentence computed from
what is drawn. ``data_label`` names what the numbers were computed on and stands in the corner. What
a run does not hold gives a figure that says so.
"""

from __future__ import annotations

from lcc_utils.report.attention_figures import (
    attention_cascade,
    attention_curves,
    attention_rings,
    attention_sanity,
)
from lcc_utils.report.attention_map_figures import (
    attention_average,
    attention_gallery,
    channel_weights,
)
from lcc_utils.report.calibration_figures import (
    coverage_risk_curves,
    reliability_diagram,
    subject_scores,
)
from lcc_utils.report.cell_figures import (
    cell_gallery,
    cells_per_subject,
    class_counts,
    duplicate_histogram,
)
from lcc_utils.report.coverage_figures import coverage, published_entries
from lcc_utils.report.data_figures import subject_groups
from lcc_utils.report.efficiency_interactive import score_against_cost
from lcc_utils.report.foreign_figures import novelty_curves, out_of_distribution
from lcc_utils.report.history_figures import learning_curves, learning_rate
from lcc_utils.report.monte_carlo_figures import (
    leakage,
    monte_carlo_distributions,
    monte_carlo_running,
    monte_carlo_subjects,
    right_and_wrong,
)
from lcc_utils.report.robustness_figures import label_noise, robustness_curves, shift_gallery
from lcc_utils.report.score_figures import confusion, roc, score_histogram, subject_accuracy
from lcc_utils.report.steps_figures import stated_point, steps
from lcc_utils.report.study_figures import (
    ablation,
    baselines_dots,
    factorial_effects,
    primary_forest,
    search,
)
from lcc_utils.report.style import alt_text, figure_html, to_svg

__all__ = [
    "ablation",
    "alt_text",
    "attention_average",
    "attention_cascade",
    "attention_curves",
    "attention_gallery",
    "attention_rings",
    "attention_sanity",
    "baselines_dots",
    "cell_gallery",
    "cells_per_subject",
    "channel_weights",
    "class_counts",
    "confusion",
    "coverage",
    "coverage_risk_curves",
    "duplicate_histogram",
    "factorial_effects",
    "figure_html",
    "label_noise",
    "leakage",
    "learning_curves",
    "learning_rate",
    "monte_carlo_distributions",
    "monte_carlo_running",
    "monte_carlo_subjects",
    "novelty_curves",
    "out_of_distribution",
    "primary_forest",
    "published_entries",
    "reliability_diagram",
    "right_and_wrong",
    "robustness_curves",
    "roc",
    "score_against_cost",
    "score_histogram",
    "search",
    "shift_gallery",
    "stated_point",
    "steps",
    "subject_accuracy",
    "subject_groups",
    "subject_scores",
    "to_svg",
]
