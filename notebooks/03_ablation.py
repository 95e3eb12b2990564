# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What each part is worth
#
# The paper credits attention, augmentation and focal loss with several points of F1 each. Here all eight
# combinations of the three parts are trained, everything else staying as it was, in each split and with more
# than one seed: a difference smaller than the spread between seeds is not a difference.
#
# Sampling is the same in all of them. *Without augmentation* still repeats the smaller class to the size of
# the larger one, only unchanged; *without focal loss* is plain cross-entropy; *without attention* leaves out
# the squeeze-and-excitation block.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_figure, show_table
from lcc_utils.report import figures
from lcc_utils.report.claims import load_claims, stated_deltas

study = open_run(profile, data, run, overrides)
study.compute("recipe")
results = study.results("ablation")
label = study.data_label

# %% [markdown]
# ## Effects of the three parts
#
# A main effect is the mean of all runs with a part less the mean of all runs without it, over every
# combination of the other two. An interaction of two parts is half of the difference between what one adds
# with the other there and what it adds without. Both are computed within a block, which is one split and one
# seed in which all eight combinations were trained and tested on the same subjects. Seeds are nested in splits:
# those of one split share their subjects, so they are averaged first, and mean, interval and p are over splits.
# Two splits decide little, however many seeds they have. The standard deviation between seeds stands beside.
# Since several effects are looked at, p is also given adjusted by Holm's method.

# %% tags=["hide-input"]
show_figure(
    study,
    "factorial_effects",
    figures.factorial_effects(study.table("factorial"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "factorial", "Main effects and interactions in points, intervals over splits")

# %% [markdown]
# The diamonds are what the paper states that each part adds, from its own four rows: there, a part is taken
# out of the full model alone.
#
# ## The paper's four rows
#
# The full model, and each part taken out alone, beside the changes that the paper states.

# %% tags=["hide-input"]
show_figure(
    study,
    "ablation",
    figures.ablation(results, stated=stated_deltas(load_claims()), data_label=label),
)

# %% [markdown]
# Each dot compares two trainings that differ in one part alone: same split, same seed.

# %% tags=["hide-input"]
show_table(study, "ablation", "Each variant over its runs, and its mean change in points")

# %% [markdown]
# ## Every run

# %% tags=["hide-input"]
show_table(study, "ablation_runs", "Every training of the ablation")

# %% [markdown]
# ## The recipe that was stated, and the one that ran
#
# The paper augments the minority class alone, on the fly, and raises and lowers the learning rate in one
# cycle. The code of the authors' repository augments all training images, and steps its schedule in a way that
# leaves the rate constant. Each variant changes one of these, compared with the first by split and seed.

# %% tags=["hide-input"]
show_table(study, "recipe", "Variants of the recipe")

# %% [markdown]
# ## How much of this has run

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
