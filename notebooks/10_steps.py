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
# The evaluation that prints the paper's figures takes several steps that raise a score without a better model.
# The ledger names the file for each. Here these steps are rebuilt on our own predictions, where the honest
# score is known, and each is measured: alone, and together with those before it. No other result of this book
# uses them.
#
# What this can show is what such steps are worth on these cells with our models. It cannot show what they
# were worth in the paper: the weights that were tested there are not determined.

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
# - **Split.** By patient id, which may share cells with another; by image, so that cells of one subject train
#   and test; by image in a pool that holds augmented copies, so that an image and its copy do. A copy stands
#   for its image unchanged: the features that these models measure do not change when it is mirrored.
# - **Training.** A learning rate that stays constant where the stated schedule would raise and lower it; the
#   weights of the last epoch for those of the best. These can lower a score as well.
# - **Rules for named subjects.** The authors' evaluation reshapes the probabilities of two patients by rules of
#   their own. The same formulas are applied to the two HEM subjects with the most errors; what they take from
#   votes of several views is left out, since a cell has one score here.
# - **Thresholds.** One that is best on the test cells themselves; then one for each group of cells, the named
#   subjects being groups of their own. A group of one class can always be called without an error. (The
#   authors' evaluation divides the other images further, by a score of image quality; here they are one group.)
# - **Counting.** Every image twice.
#
# Pooled out-of-fold predictions of every subject stand for the models on measured features, the two official
# folds together for the network. Changes are against the honest result on the same subjects, with jackknife
# intervals that leave a subject out of both at once. A threshold that was chosen on test is chosen once, with all
# subjects.

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
# changes neither, nor any interval over subjects; only an interval that takes cells for independent gets
# narrower, in the last columns.
#
# ## All together

# %% tags=["hide-input", "full-width"]
show_table(study, "steps_together", "What the steps change one after another")

# %% [markdown]
# ## A point that no curve contains
#
# An ROC curve never falls. Through a point with a given true-positive and false-positive rate, its area is at
# least the one times what the other leaves. The paper's confusion table is such a point, and needs a larger
# area than the one that is stated; so no single threshold on a score with that area gives that table. Several
# thresholds for several groups can. Move the area, and see from where on the point can be reached.

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
