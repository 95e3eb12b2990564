# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Random splits, leakage, and intervals that hold the truth
#
# The paper repeats its split many times at random and reports the spread. Done by subject, such a repetition
# says how much a result depends on who happens to be tested. Done by image, cells of one subject fall on both
# sides, and a model may have learned from the tested person. Both are done here with the same models. Then the
# gain by leakage is measured in pairs of trainings on the same test cells, and against a control where the run has
# one. At the end, a simulation shows how often intervals hold the truth.

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
# Each iteration draws the test cells anew and leaves the rest to train and to choose the threshold. By subject,
# whole subjects of both classes are drawn. By image, cells are drawn regardless of subject.

# %% tags=["hide-input"]
show_figure(
    study,
    "monte_carlo_distributions",
    figures.monte_carlo_distributions(results, data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "monte_carlo", "AUC and weighted F1 over iterations")

# %% [markdown]
# The percentiles describe single iterations: nearly all of these iterations lie between them. They are no
# confidence interval of the mean. Neither is the interval of a plain t test, since iterations share most of their
# cells. The interval of the table is corrected for that, after Nadeau and Bengio, by the sizes of test and
# training, counted in the unit that the table names. Where the final model is trained on the validation subjects
# too, they count as training subjects. The interval is computed on the logit scale, so it stays within 0 and 1.
# Where cells of one subject are on both sides, the interval says nothing about new subjects.
#
# ## The mean as iterations go on

# %% tags=["hide-input"]
show_figure(
    study,
    "monte_carlo_running",
    figures.monte_carlo_running(results, data_label=label),
)

# %% [markdown]
# A curve that has settled says that more iterations would hardly move the mean. It does not say that the mean is
# known: with other subjects, it would settle at another value.
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
# ## The gain by leakage
#
# Splits by image and by subject differ in several ways: other test cells, other numbers of training subjects.
# Here the trainings are paired, on the same test cells and with the same number of training cells of each class.
# Half of the cells of each test subject are tested.
#
# - The *clean* training set holds no cell of a test subject.
# - In the *leaky* training set, cells from the other half of the test subjects replace as many clean cells.
# - In the *control*, where the run has it, cells of as many further subjects replace the same clean cells.
#
# Leaky training has both cells of the test subjects and more subjects than clean training, so the contrast *leaky
# less clean* mixes the two. Leaky and control training have the same number of cells and of subjects in each class.
# The contrast *leaky less control* therefore estimates the gain from training on the tested subjects. Each contrast is
# one number a pair, the difference of logit(AUC). Mean, interval and p are those of the corrected resampled t test
# of Nadeau and Bengio on these differences, with training and test counted in subjects. Each p is adjusted by
# Holm's method for the number of models. The change in points stands beside it to show the size. An interval that
# holds zero does not show that there is no gain, above all with few pairs.

# %% tags=["hide-input"]
show_figure(
    study,
    "leakage",
    figures.leakage(pairs, study.table("leakage"), data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "leakage",
    "Gain in AUC by leakage, paired, by the corrected resampled t test on differences of logit(AUC)",
)

# %% [markdown]
# ## Intervals and tests that ignore what observations share
#
# Each row computes an interval or a p twice from the same predictions: once as if iterations or cells were
# independent, and once accounting for the cells that iterations share, or the subject that cells share.

# %% tags=["hide-input"]
show_figure(
    study,
    "right_and_wrong",
    figures.right_and_wrong(study.table("right_and_wrong"), data_label=label),
)

# %% tags=["hide-input"]
show_table(
    study,
    "right_and_wrong",
    "Intervals and tests of AUC, ignoring what observations share and accounting for it",
)

# %% [markdown]
# The next table is a simulation, in which the truth is known: it takes no cell of this run. Two equal models are
# compared over random splits of simulated subjects, and each test is made at $\alpha = 0.05$. A test that holds
# its level finds a difference in about one of twenty data sets. The plain t test finds one far more often. The
# corrected test comes near its level. The rate stands with its standard error and the number of data sets.

# %% tags=["hide-input"]
show_table(
    study,
    "false_positives",
    "Simulation: share of data sets in which a test finds a difference between equal models",
)

# %% [markdown]
# ## How often intervals hold the truth
#
# An interval at the nominal level should hold the true value in 95 of 100 studies. With ten subjects in a class
# this has to be tested. Cells are simulated with an effect of each subject, with as many subjects and cells as C-NMC
# has and in other settings. Three intervals over subjects are computed from each data set. The percentile
# bootstrap holds the truth too seldom in every setting, and BCa in nearly every one. Both miss mostly on one side:
# the interval lies too high. The jackknife is taken on the logit scale. The degrees of freedom of its t quantile are
# the subjects of the smaller class less one. It comes nearer to its level than the bootstraps in nearly every
# setting, and the book uses it for intervals of metrics over subjects. In several settings it still falls short of
# the level. This concerns above all specificity by cells, where few HEM subjects hold most cells.

# %% tags=["hide-input"]
show_figure(study, "coverage", figures.coverage(study.table("coverage")))

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "coverage",
    "Simulation: share of 95 % intervals over subjects that hold the truth, and that lie wholly above or below it",
)

# %% [markdown]
# ## How much of this has run

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
