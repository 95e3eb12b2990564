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
# This chapter measures how well models tell ALL cells from HEM cells of subjects that took no part in training.
# The models are the paper's network in the size that this run allows, other networks, and models on measured
# size, shape, colour and texture. The table of models names what was trained. The last table says how much of
# the plan has run.

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
study.compute("primary", "repeats", "transport", "shared", "baselines", "search")
results = study.results("training")
first = results[0] if results else None
label = study.data_label

# %% [markdown]
# ## The primary analysis
#
# The plan, as it was first written:
#
# > Pooled out-of-fold predictions of `StratifiedGroupKFold(5)` by subject, bootstrap over subjects
# > stratified by class, no interval below six subjects in a class.
#
# The repository shows that this plan is older than the results of the two networks. It cannot show it for
# logistic regression, gradient boosting and cell area: their results entered in the same commit. The intervals
# have changed since then in two ways. [A simulation](04_monte_carlo.ipynb) found the bootstrap intervals too
# short, so they now come from a jackknife that leaves out one subject at a time, on the logit scale. An interval
# is given from five subjects of a class on, and is called exploratory at five.
#
# Every subject is tested once, by a model that was trained and whose threshold was chosen on other subjects.
# The predictions of all parts are measured together, each part at its own threshold. The scores of models
# trained on different parts are pooled as they are.
#
# Two estimands stand side by side. *By cells* pools all cells, so a subject weighs as much as it has cells.
# *Subjects equal* gives each subject the same weight, shared by its cells. The two differ where a few subjects
# hold many cells. The effective number of subjects is then smaller than their count.

# %% tags=["hide-input"]
show_figure(
    study,
    "primary_forest",
    figures.primary_forest(study.table("primary"), data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "primary",
    "Pooled out-of-fold results by model, by cells and with subjects equal. Weighted F1 is at the threshold "
    "chosen on validation, and at .5 beside it",
)

# %% [markdown]
# *Cell area* is a model of one number. What a model gains over it, beyond chance, comes from more than cell size.
#
# ### Subjects that carry a result
#
# Each subject is left out of the evaluation in turn. The table gives the least and the largest AUC that remains,
# and names the subject that was left out.

# %% tags=["hide-input"]
show_table(
    study,
    "primary_influence",
    "AUC of each model without one subject: least, largest, and without whom",
)

# %% [markdown]
# ### Each model against the first
#
# Differences are on the same cells, with jackknife intervals that leave a subject out of both models at once.
# An interval that holds zero does not show that two models are equal. *Equivalent within* is the least margin
# for which the data would show equivalence at $\alpha = 0.05$ (two one-sided tests). The permutation test
# exchanges the two models' scores subject by subject, in 20,000 draws: at $p = 0.05$ the standard error of p is
# $0.0015$. Each p is adjusted by Holm's method for the number of comparisons. DeLong's test takes every cell
# for independent. It stands here only to show what that assumption does.

# %% tags=["hide-input", "full-width"]
show_table(study, "primary_comparisons", "Difference in AUC to the first model, in points")

# %% [markdown]
# ### Other parts and other seeds
#
# Where the run holds the study `repeats`, the table repeats the analysis on other partitions of the subjects, and
# with other training seeds on the same parts. One standard deviation is between partitions, the other between
# training seeds. Neither covers the choice of subjects. The intervals above do.

# %% tags=["hide-input"]
show_table(
    study,
    "repeats",
    "Pooled results over partitions and training seeds: mean, spread, least and most",
)

# %% [markdown]
# ### Subjects that came later
#
# Where the run holds the study `transport`, models are trained on the official folds 0 and 1 and tested on the
# subjects that fold 2 adds. Settings, epochs and thresholds are chosen without these subjects.

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "transport",
    "Results on subjects of fold 2 that took no part in training or in any choice",
)

# %% [markdown]
# ## Official folds, in both directions
#
# The data set's own folds, one to train and another to test. Every subject that also occurs in the test fold
# is dropped from training. Epoch and threshold are chosen on cells of the training fold alone.
#
# ALL is the positive class. Weighted F1, sensitivity and specificity are at the chosen threshold. Weighted F1 at
# $0.5$ stands beside it, since the two can differ much. This table gives no intervals. The primary analysis above
# does.

# %% tags=["hide-input"]
show_table(study, "training", "Results on test subjects")

# %% tags=["hide-input"]
show_figure(study, "roc", figures.roc(results, data_label=label))

# %% [markdown]
# ## Subjects that are in both folds
#
# Some subjects occur both in the fold that trains and in the fold that tests. Here they are kept in training, once,
# to see what that changes on the same test cells. Training then also has more cells and more subjects, so the
# difference is not due to the shared subjects alone. The chapter on
# [random splits](04_monte_carlo.ipynb) compares trainings with the same number of cells.

# %% tags=["hide-input"]
show_table(study, "shared", "Training without and with the subjects of the test fold")

# %% [markdown]
# ## Subject by subject
#
# A mean over cells hides the subjects on which a model fails. Each dot is one test subject, its size the number of
# cells. With few subjects in a class, read the dots rather than the mean. No interval is given here.

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
# Training F1 is over batches as the network saw them, augmented and balanced, at threshold $0.5$. Validation F1 is
# over the cells that choose the epoch, as they are and each scored by a network that was not trained on its
# subject. It is taken at the threshold that is best for these cells, since balanced batches and class weights in
# the loss move scores away from $0.5$. The grey curves are the history that the authors' notebook prints.

# %% tags=["hide-input"]
show_figure(
    study,
    "learning_curves",
    figures.learning_curves(results, printed=paper_history(), data_label=label),
)

# %% tags=["hide-input"]
show_figure(study, "learning_rate", figures.learning_rate(results, data_label=label))

# %% [markdown]
# The figure shows the rate at the end of each epoch. The one-cycle schedule is defined by batches, and it is
# stepped with every batch here.
#
# ## Other models
#
# Other networks under one recipe, and classical models on measured features of each cell, on the same folds in
# both directions. The best mean AUC comes first. Models that are planned and have not run are listed with
# dashes. A model without a result in both directions has no rank and stands last. Models may be trained on
# different numbers of cells and subjects, which the table gives. No test compares these models, and two
# directions do not settle an order.

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
# ### Published entries with intervals
#
# Figures of others are stated without an uncertainty. One entry published how many cells of each subject it
# calls right, which is enough for an interval over subjects. Its counts give the same weighted F1 as its authors'
# results file.

# %% tags=["hide-input"]
show_figure(
    study,
    "published_entries",
    figures.published_entries(study.table("published_entries"), study.table("literature")),
)

# %% tags=["hide-input"]
show_table(
    study,
    "published_entries",
    "Weighted F1 of a published entry with its interval over subjects: the shaded range of the figure",
)

# %% [markdown]
# Two entries published their calls of the final phase, whose labels are not public. The table therefore gives only
# how often they agree.

# %% tags=["hide-input"]
show_table(
    study,
    "published_agreement",
    "Agreement of two published entries on the cells of the final phase",
)

# %% [markdown]
# ## What helped, and what did not
#
# Each variant is compared with the same base by part and seed. A variant changes one setting of the base or puts a
# classical model in its place. The median orders the variants, because one part on which the base fails can move
# a mean far. All of this is done inside the training fold: its subjects are divided again, and no subject of the
# official test fold takes part. Variants that did not help are listed with the others. With this many variants
# some look better by chance, so the best change is optimistic.
#
# The features and penalties of the classical models were chosen on the same subjects. On real cells, these are
# the subjects of fold 0 that fold 1 does not share. Results on fold 1 after training on these subjects are free
# of this choice. The other direction and the pooled predictions are not, since they test these subjects too.

# %% tags=["hide-input"]
show_figure(
    study,
    "search",
    figures.search(study.table("search"), study.table("search_parts"), data_label=label),
)

# %% tags=["hide-input"]
show_table(
    study, "search", "Variants of the search inside the training fold, by their median change"
)

# %% tags=["hide-input"]
show_table(
    study,
    "search_parts",
    "Every run of the search by part, with the subjects that validated and tested",
)

# %% [markdown]
# ## The models
#
# Every model that this run has trained, with its parameters.

# %% tags=["hide-input"]
show_table(study, "model", "Models and their parameters")

# %% [markdown]
# ## How much of this has run
#
# The table counts the experiments of each study that are planned, done, not yet run and failed. A study that has
# run in part is shown with the results that exist.

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
