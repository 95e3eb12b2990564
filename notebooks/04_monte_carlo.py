# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Random splits, and what leakage is worth
#
# The paper repeats its split many times at random and reports the spread. Done by subject, such a repetition
# says how much a result depends on who happens to be tested. Done by image, cells of one subject fall on both
# sides, and a model may know the person. Both are done here with the same models, and then what leakage is
# worth is measured by itself.

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
results = study.results("monte_carlo", "monte_carlo_trained")
pairs = study.results("leakage", "leakage_trained")
label = study.data_label

# %% [markdown]
# ## The distribution over iterations
#
# Each iteration draws training, validation and test anew. By subject, every part holds subjects of both
# classes; by image, cells are drawn whoever they come from.

# %% tags=["hide-input"]
show_figure(
    study,
    "monte_carlo_distributions",
    figures.monte_carlo_distributions(results, data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "monte_carlo", "AUC and weighted F1 over iterations")

# %% [markdown]
# The percentiles describe single iterations: between them lie nearly all of the results that one split may
# give. They are no confidence interval of the mean, and neither is what a plain t test gives, since iterations
# share most of their cells. The interval of the table is corrected for that, after Nadeau and Bengio, by
# test and training counted in the unit that the table names. Where cells of one subject are on both sides, no
# such interval speaks of new subjects. A t interval knows no bounds: where a model is near the top, its upper end
# may pass one.
#
# ## The mean as iterations go on

# %% tags=["hide-input"]
show_figure(
    study,
    "monte_carlo_running",
    figures.monte_carlo_running(results, data_label=label),
)

# %% [markdown]
# A curve that has settled says that more iterations would not move the mean. It does not say that the mean is
# known: it would settle as well on other subjects, elsewhere.
#
# ## Who is called right
#
# Over many splits, each subject is tested many times, always by models that have not seen it.

# %% tags=["hide-input"]
show_figure(
    study,
    "monte_carlo_subjects",
    figures.monte_carlo_subjects(study.table("monte_carlo_subjects"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "monte_carlo_subjects", "Accuracy of each subject over iterations by subject")

# %% [markdown]
# ## What leakage is worth
#
# Comparing splits by image with splits by subject mixes several things: other test cells, other numbers of
# training subjects. Here only one thing differs. From some subjects, half of the cells are the test. One model
# is trained on other subjects alone. Its twin is tested and validated on the same cells, and trained on the
# same number of cells of each class; but some of its training cells have been exchanged for the other half of
# the test subjects' cells. The difference between the two is what knowing the person is worth, to this model at
# this length of training. Pairs are drawn again and again; the interval is corrected for what they share, and p
# is adjusted for the number of models. With few subjects to divide, that interval is wide. The permutation asks
# a narrower question: for every cell, the scores of all pairs that tested it are averaged, with and without
# leakage, and the two averages are exchanged subject by subject. A difference near zero is a result too.

# %% tags=["hide-input"]
show_figure(
    study,
    "leakage",
    figures.leakage(pairs, study.table("leakage"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "leakage", "AUC and weighted F1 with leakage less without, in points, paired")

# %% [markdown]
# ## Right and wrong, side by side
#
# The same predictions, and two ways to an interval or a p. The usual ways take for independent what is not:
# iterations that share cells, cells that share a subject.

# %% tags=["hide-input"]
show_figure(
    study,
    "right_and_wrong",
    figures.right_and_wrong(study.table("right_and_wrong"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "right_and_wrong", "Intervals and tests of AUC, in two ways")

# %% [markdown]
# How wrong the usual test is can be seen where the truth is known. The next table is a simulation: it takes no
# cell of this run. Two equal models are compared over random splits of simulated subjects, and each test is
# asked at the level of one in twenty. A test that holds its level finds a difference in about one of twenty
# data sets; the rate stands with its standard error and the number of data sets.

# %% tags=["hide-input"]
show_table(study, "false_positives", "Simulation: how often a test finds what is not there")

# %% [markdown]
# ## How much of this has run

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
