# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training and testing
#
# A network of the paper's family under its recipe, in the size of this run's profile (the last table names
# it), tested on subjects that took no part in training. On official folds, every subject that also occurs
# in the test fold is dropped from training. Subjects set apart for validation choose the epoch and the
# threshold.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_figure, show_table
from lcc_utils.report import figures
from lcc_utils.report.claims import paper_history

study = open_run(profile, data, run, overrides)
results = study.results("training")
label = study.data_label

# %% [markdown]
# ## What came out
#
# ALL is the positive class. Weighted F1, sensitivity and specificity are at the threshold that was best on
# validation subjects; weighted F1 at one half stands beside it, since the two can differ much.

# %% tags=["hide-input"]
show_table(study, "training", "Results on test subjects")

# %% tags=["hide-input"]
show_figure(study, "roc", figures.roc(results, data_label=label))

# %% [markdown]
# ## Subject by subject
#
# A mean over cells hides whom it fails. Each dot is one test subject, its size the number of cells. With
# few subjects in a class, read the dots rather than the mean; no interval is given for so few.

# %% tags=["hide-input"]
show_figure(study, "subject_accuracy", figures.subject_accuracy(results, data_label=label))

# %% tags=["hide-input"]
show_table(study, "training_subjects", "Accuracy over test subjects")

# %% [markdown]
# ## Scores and errors
#
# The first split of the table, cell by cell.

# %% tags=["hide-input"]
show_figure(study, "scores", figures.score_histogram(results[0], data_label=label))

# %% tags=["hide-input"]
show_figure(study, "confusion", figures.confusion(results[0], data_label=label))

# %% [markdown]
# ## How training went
#
# Training F1 is over batches as the network saw them, augmented and balanced, at one half. Validation F1 is
# over the validation subjects as they are, at its best threshold: class weights in the loss on top of balanced
# batches move scores away from one half. The grey curves are the history that the authors' notebook prints.

# %% tags=["hide-input"]
show_figure(
    study,
    "learning_curves",
    figures.learning_curves(results, printed=paper_history(), data_label=label),
)

# %% tags=["hide-input"]
show_figure(study, "learning_rate", figures.learning_rate(results, data_label=label))

# %% [markdown]
# The rate is that at the end of each epoch. It follows one cycle because the schedule is stepped with every
# batch, as it is defined.
#
# ## The models
#
# Every model that this run has trained, with its parameters.

# %% tags=["hide-input"]
show_table(study, "model", "Models and their parameters")
