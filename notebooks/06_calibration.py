# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a score means
#
# An AUC says whether cells are put in the right order. To use a score one needs more: what share of the cells
# with a given score is leukaemic, which threshold gives a wanted sensitivity, which cells are better left to a
# person, and what follows for the person whose cells they are.
#
# Everything here is computed from saved predictions of the primary analysis: five parts by subject, each tested
# by a model that has not seen its subjects, pooled. What is fitted or chosen is fitted on the validation
# subjects of the same part, then measured on its test subjects. Models of which a part is missing are left out;
# the chapter on training counts the parts.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_figure, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
study.compute("primary")
results = study.gather("primary")
label = study.data_label

# %% [markdown]
# ## Does a score mean what it says?
#
# Cells are put into bins by their score. If a score is a probability, a bin's share of ALL cells equals its
# mean score, and its dot lies on the diagonal. Dots above it are cells that are more often leukaemic than their
# score says.

# %% tags=["hide-input"]
show_figure(
    study,
    "reliability",
    figures.reliability_diagram(results, data_label=label),
)

# %% [markdown]
# Batches with as many cells of one class as of the other, class weights and the focal loss all move scores away
# from the shares in the data. A score that was trained with them is not meant to be a probability before it is
# scaled.
#
# ## Scaling on validation subjects
#
# *Temperature* divides the logit of the score by one number. It stretches or shrinks scores about one half, and
# cannot move them to one side. *Platt* scaling also adds a number to the logit, so it can. Both keep the order
# of cells within a part while the slope is above zero.
#
# The *calibration error* is the mean distance from the diagonal, weighted by cells. The *Brier score* is the
# mean squared distance between score and label. Of both, less is better. The calibration error is above zero
# even for perfect scores. Errors within
# the parts stand beside the pooled one: parts that err in opposite directions cancel when they are pooled.

# %% tags=["hide-input", "full-width"]
show_table(study, "calibration", "Calibration error and Brier score before and after scaling")

# %% [markdown]
# A part has few validation subjects, above all healthy ones: the last columns say how few. So the fitted numbers
# differ between parts, and scaling can make scores worse for other people than it was fitted on. The change in
# the Brier score shows where it did. The intervals leave out test subjects and take each part's scaling as it is,
# so they do not hold this uncertainty.
#
# Whether Platt scaling is used is therefore chosen for each model, on validation subjects alone: the map of each
# part is tried on the validation subjects of the other parts, and used if the Brier score falls. The column
# *chosen on validation* says which. The raw scores stand beside it in the tables that follow.
#
# Where a model was trained again with its validation subjects, the model that is tested is not the one whose
# validation scores were used, only one trained in the same way on fewer subjects. Scaling and thresholds carry
# over from the one to the other as far as the two score alike.
#
# Figures from here on use the scores that were chosen on validation, and name them.
#
# ## Thresholds for a stated sensitivity
#
# To miss few leukaemic cells, one states a sensitivity and takes the largest threshold that has it on
# validation. What it has on test is another matter. The columns by part give the least and the most of the
# parts.

# %% tags=["hide-input", "full-width"]
show_table(study, "operating_points", "Sensitivity stated, and reached on test subjects")

# %% [markdown]
# ## Judging only some cells
#
# A cell whose probability is near one half can be left to a person. *Coverage* is the share of cells
# that are judged, *risk* the share of these that are called wrong, at one half. A useful score has a curve that
# falls to the left: the cells that it is sure of are more often right.

# %% tags=["hide-input"]
show_figure(
    study,
    "coverage_risk",
    figures.coverage_risk_curves(results, data_label=label),
)

# %% [markdown]
# In the table the distance from one half is chosen on validation subjects, so that the risk there is at most
# the stated one. A part in which no distance is enough judges no cell. The area is the mean height of the curve.

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "selective",
    "Coverage and risk when only some cells are judged, by raw and by Platt-scaled scores",
)

# %% [markdown]
# ## From cells to a person
#
# No one is diagnosed by a cell. Two simple rules turn all cells of a subject into one number: the mean of their
# probabilities, and the share of cells called ALL. From one half on, the subject is called ALL. No
# threshold was chosen for subjects, since there are too few to choose one.

# %% tags=["hide-input"]
show_figure(
    study,
    "subject_scores",
    figures.subject_scores(results, data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(study, "subject_decisions", "Decisions about subjects, each counted once")

# %% [markdown]
# Sensitivity and specificity count each subject once; their intervals are exact (Clopper and Pearson). With so few
# people an AUC over subjects moves by whole steps; its interval is DeLong's on the logit scale, with subjects as the
# observations. Below five subjects of a class it has no interval.
#
# ## Whom it fails
#
# The subjects of the first model of whose cells the smallest share is called right, at the threshold of their
# part. Where the mean probability lies on the wrong side of one half, more cells of the same person do not help:
# the error is the person's, not the cells'.

# %% tags=["hide-input"]
show_table(study, "worst_subjects", "Subjects with the smallest share of cells called right")
