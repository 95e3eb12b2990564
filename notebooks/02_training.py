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
# How well cells of leukaemia and healthy cells are told apart on subjects that took no part in training: by
# the network of the paper in the size of this run, by other networks, and by models that see no more than
# size, shape, colour and texture. The table of models names what was trained, the last table how much of the
# plan has run.

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
study.compute("primary", "shared", "baselines", "search")
results = study.results("training")
first = results[0] if results else None
label = study.data_label

# %% [markdown]
# ## The primary analysis
#
# It was fixed beforehand, in these words, before any of its results was there:
#
# > Pooled out-of-fold predictions of `StratifiedGroupKFold(5)` by subject, bootstrap over subjects
# > stratified by class, no interval below six subjects in a class.
#
# Every subject is tested once, by a model that was trained and whose threshold was chosen on others; the
# predictions of all parts are measured together. The bootstrap draws subjects, not cells, because the cells
# of one subject are alike and are not independent evidence. With as few as ten subjects in a class its intervals
# are themselves somewhat too narrow. Each part calls cells at its own threshold. The
# scores of models trained on different parts are pooled as they are.

# %% tags=["hide-input"]
show_figure(
    study,
    "primary_forest",
    figures.primary_forest(study.table("primary"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "primary", "Pooled out-of-fold results by model, intervals over subjects")

# %% [markdown]
# *Cell area* is a model of one number. What another model has over it is what that model learned beyond size.
#
# Each model against the first, on the same cells. The permutation test exchanges the two models' scores
# subject by subject; its p is adjusted by Holm's method for the number of comparisons. DeLong's test takes
# every cell for independent and stands beside it only to show what that assumption does.

# %% tags=["hide-input"]
show_table(study, "primary_comparisons", "Difference in AUC to the first model")

# %% [markdown]
# ## Official folds, in both directions
#
# The data set's own folds, one to train and another to test. Every subject that also occurs in the test fold
# is dropped from training. Subjects set apart for validation choose the epoch and the threshold.
#
# ALL is the positive class. Weighted F1, sensitivity and specificity are at the threshold that was best on
# validation subjects; weighted F1 at one half stands beside it, since the two can differ much.

# %% tags=["hide-input"]
show_table(study, "training", "Results on test subjects")

# %% tags=["hide-input"]
show_figure(study, "roc", figures.roc(results, data_label=label))

# %% [markdown]
# ## Subjects that are in both folds
#
# Some subjects occur in the folds that train and in the fold that tests. Here they are kept in training, once,
# to see what that changes on the same test cells. Training also has more cells then, so this difference holds
# both effects; the chapter on Monte Carlo separates them.

# %% tags=["hide-input"]
show_table(study, "shared", "Training without and with the subjects of the test fold")

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
show_figure(study, "scores", figures.score_histogram(first, data_label=label))

# %% tags=["hide-input"]
show_figure(study, "confusion", figures.confusion(first, data_label=label))

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
# ## Other models
#
# Other networks under one recipe, and classical models on measured features of each cell, on the same folds in
# both directions. The best mean AUC comes first. Models that are planned and have not run are listed with
# dashes.

# %% tags=["hide-input"]
show_figure(
    study,
    "baselines",
    figures.baselines_dots(study.table("baselines"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "baselines", "AUC and weighted F1 by model and direction")

# %% [markdown]
# What others report on the same data set stands below, each figure with the phase it was measured on, the
# protocol and the source. The figures are not all comparable: phases differ, and where the source names no
# protocol, none is assumed. The last rows are the comparison that the paper prints, as it lists it; some of
# its figures are not those that the works themselves report.

# %% tags=["hide-input"]
show_table(study, "literature", "What others report on C-NMC")

# %% [markdown]
# ## What helped, and what did not
#
# Variants that change one thing each, compared with the same base by split and seed. All of this was done
# inside the training fold: its subjects were divided again, and no subject of the official test fold took
# part. Variants that did not help are listed with the others. With this many variants some look better by
# chance: the best change is an optimistic one.
#
# The features and penalties of the classical models were chosen on the same subjects. On real cells, that is
# fold 0 without the subjects that fold 1 shares. Only results of training there and testing on fold 1 are
# therefore blind to every choice; the other direction and the pooled predictions are not quite.

# %% tags=["hide-input"]
show_figure(study, "search", figures.search(study.table("search"), data_label=label))

# %% tags=["hide-input"]
show_table(study, "search", "Variants of the search, inside the training fold")

# %% [markdown]
# ## The models
#
# Every model that this run has trained, with its parameters.

# %% tags=["hide-input"]
show_table(study, "model", "Models and their parameters")

# %% [markdown]
# ## How much of this has run
#
# Experiments by study: planned, done, not yet run, failed. A study that is partly run is shown with what is
# there.

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
