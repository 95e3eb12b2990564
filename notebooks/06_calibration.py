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
# An AUC says whether cells are put in the right order. To use a score one needs more: the share of leukaemic cells
# among those with a given score, a threshold for a wanted sensitivity, a rule for the cells that are left to a
# person, and a rule from cells to a subject.
#
# Everything here is computed from saved predictions of the primary analysis: five parts by subject, each tested
# by a model that has not seen its subjects, pooled. The *validation* cells of a part are those on which its
# threshold was chosen. They belong to none of the part's test subjects, and the model that scored them was not
# trained on their subjects. Scaling and thresholds are fitted on the validation cells of a part, then measured on
# its test cells. Models of which a part is missing are left out. The chapter on training counts the parts.

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
# Balanced batches, class weights and the focal loss all move scores away from the shares in the data. A score that
# was trained with them is not meant to be a probability before it is scaled.
#
# ## Scaling on validation subjects
#
# *Temperature* divides the logit of the score by one number. It stretches or shrinks scores about one half, and
# cannot move them to one side. *Platt* scaling also adds a number to the logit, so it can. Both keep the order
# of cells within a part while the slope is above zero.
#
# The *calibration error* is the mean distance from the diagonal, weighted by cells. The *Brier score* is the
# mean squared distance between score and label. Of both, less is better. In a finite sample the calibration error
# is above zero even for true probabilities. Errors within the parts stand beside the pooled one, since parts that
# err in opposite directions can cancel when they are pooled.

# %% tags=["hide-input", "full-width"]
show_table(study, "calibration", "Calibration error and Brier score before and after scaling")

# %% [markdown]
# The validation cells of a part come from few healthy subjects; the table gives their least and largest number. So
# the fitted numbers differ between parts, and scaling can make the scores of other people worse. The change in the
# Brier score shows where it did. The intervals leave out test subjects and take each part's scaling as it is, so
# they do not hold this uncertainty.
#
# Whether Platt scaling is used is therefore chosen for each model. The map of each part is tried on validation
# subjects of the other parts that it was not fitted on, and used if the Brier score falls. The column *chosen on
# validation* says which. Subjects that validate in one part are tested in another, so this one choice is not
# independent of the pooled test cells. Raw scores stand beside the scaled ones in the tables of the judged cells and
# of the subjects.
#
# Where the final model was trained on the validation subjects too, it is not the model that scored the validation
# cells. That model was trained in the same way on fewer subjects. Scaling and thresholds carry over as far as the
# two models score alike.
#
# Figures from here on use the chosen scores, and name them.
#
# ## Thresholds for a stated sensitivity
#
# To miss few leukaemic cells, one states a sensitivity and takes the largest threshold that reaches it on
# validation cells. On test cells the sensitivity can be another. The columns by part give the least and the most of
# the parts.

# %% tags=["hide-input", "full-width"]
show_table(study, "operating_points", "Sensitivity stated, and reached on test subjects")

# %% [markdown]
# ## Judging only some cells
#
# A cell whose probability is near one half can be left to a person. *Coverage* is the share of cells that are
# judged. *Risk* is the share of judged cells that are called wrong, at one half. The curve of a useful score falls
# to the left: cells far from one half are more often called right.

# %% tags=["hide-input"]
show_figure(
    study,
    "coverage_risk",
    figures.coverage_risk_curves(results, data_label=label),
)

# %% [markdown]
# In the table the distance from one half is chosen on validation cells, so that the risk there is at most the
# stated one. On test cells the risk can be higher. A part in which no distance is enough judges no cell. The area
# is the mean height of the curve.

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "selective",
    "Coverage and risk when only some cells are judged, by raw and by Platt-scaled scores",
)

# %% [markdown]
# ## From cells to a person
#
# No one is diagnosed by a single cell. Two simple rules turn all cells of a subject into one number: the mean of
# their probabilities, and the share of cells called ALL. From one half on, the subject is called ALL. No threshold
# was chosen for subjects, since there are too few to choose one.

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
# The table lists the subjects on which the first model is worst: those with the smallest share of cells called
# right at the threshold of their part. Where the mean probability lies on the wrong side of one half, the rule of
# the mean calls the subject wrong, and more cells like these would not change that.

# %% tags=["hide-input"]
show_table(study, "worst_subjects", "Subjects with the smallest share of cells called right")
