# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From an honest score to a reported one
#
# The authors' code takes several steps that can raise a score without a better model. The
# [ledger](09_claims.ipynb) names the file for each. Here these steps are rebuilt on our own predictions and compared
# with the *honest* result, which takes none of them. Each is measured alone, and together with those before it.
# Outside this chapter, splits by image serve only to measure leakage, in the chapter on
# [random splits](04_monte_carlo.ipynb). The chapter on the [ablation](03_ablation.ipynb) also compares changes of
# training.
#
# This shows how much such steps change the scores of our models on these cells. It cannot show how much they changed
# the paper's scores: which weights were tested there is not determined.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_figure, show_interactive, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
study.compute("training", "primary", "recipe", "steps")
label = study.data_label

# %% [markdown]
# ## The steps
#
# - **Split.** Three splits replace the split by subject. By patient id, two ids that share cells can stand on both
#   sides. By image, cells of one subject train and test. By image in a pool with augmented copies, an image can train
#   and its copy test. A copy has the features of its image here: mirroring does not change what these models
#   measure.
# - **Training.** The learning rate stays constant where the stated schedule would raise and lower it. The weights of
#   the last epoch replace those of the best.
# - **Rules for named subjects.** The authors' evaluation reshapes the probabilities of two patients by a rule for
#   each. The same formulas are applied to the two HEM subjects with the most errors. The terms that count votes of
#   several views are left out, since a cell has one score here.
# - **Thresholds.** First one threshold that is best on the test cells themselves; then one for each group of cells,
#   where each named subject is a group. A group of one class can always be called without an error. (The
#   authors' evaluation divides the other images further, by a score of image quality. Here they are one group.)
# - **Counting.** Every image is counted twice.
#
# A step can also lower a score: a constant rate, the last epoch, or a rule that was made for other scores.
#
# For the models on measured features, the predictions are the pooled out-of-fold predictions of every subject. For
# the network, they are those of the two official folds together. Changes are against the honest result on the same
# subjects, with jackknife intervals that leave a subject out of both at once. Thresholds that are chosen on test
# cells are chosen once, with all subjects. The intervals do not include the uncertainty of that choice.

# %% tags=["hide-input"]
show_figure(
    study,
    "steps",
    figures.steps(study.table("steps_together"), data_label=label),
)

# %% [markdown]
# ## Each step alone

# %% tags=["hide-input", "full-width"]
show_table(study, "steps_alone", "What each step changes by itself")

# %% [markdown]
# A threshold moves F1 and leaves the AUC where it is, since the AUC knows no threshold. Counting twice
# changes neither, nor any interval over subjects. Only an interval that takes cells for independent gets
# narrower: the column *width over cells* shows it.
#
# ## All together

# %% tags=["hide-input", "full-width"]
show_table(study, "steps_together", "What the steps change one after another")

# %% [markdown]
# ## A point that no curve contains
#
# An ROC curve never falls. If it passes through a point, its area is therefore at least
# $\mathrm{TPR} \times (1 - \mathrm{FPR})$ of that point. The paper's confusion table is such a point, and needs a
# larger area than the stated one. So no single threshold on a score with the stated area gives that table. Several
# thresholds for several groups can. Move the area to see from which value on the curve can reach the point.

# %% tags=["hide-input"]
show_interactive(
    study,
    "stated_point",
    *figures.stated_point(study.results("training"), data_label=label),
)

# %% [markdown]
# ## Counts that are all even
#
# Every count of the test set is even. Halved, the ALL images of the paper's split add up to the stated total,
# as the ledger shows. The authors' evaluation reads four folders whose names differ in case alone; where the
# file system ignores case, each image is read twice. The images that it prints for two patients are twice
# those that the data set has.

# %% tags=["hide-input"]
show_table(study, "even_counts", "Test counts, their halves, and official counts")
