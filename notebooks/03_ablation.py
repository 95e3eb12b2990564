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
# The paper credits attention, augmentation and focal loss with points of weighted F1 each. Here all eight
# combinations of the three parts are trained under otherwise equal settings, in each split and with more than one
# seed. Each run chooses its epoch and its threshold by itself. A difference smaller than the spread between seeds
# is no evidence that a part helps or harms.
#
# Sampling is the same in all of them. *Without augmentation* still repeats the smaller class to the size of
# the larger one, with unchanged images. *Without focal loss* is plain cross-entropy. *Without attention* leaves
# out the squeeze-and-excitation block.

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
# A main effect is the mean of all runs with a part minus the mean of all runs without it, over every
# combination of the other two. For an interaction of two parts, the effect of one is taken with the other and
# without it; the interaction is half of the difference. Both are computed within a block: one split and one
# seed, in which all eight combinations were trained and tested on the same subjects. Seeds of one split share
# their subjects, so they are averaged first. Mean, interval and p are then over splits, and the standard deviation
# between seeds stands beside. Two splits decide little, however many seeds they have: their intervals are wide, or
# narrow by chance. Since several effects are tested, p is also given adjusted by Holm's method.

# %% tags=["hide-input"]
show_figure(
    study,
    "factorial_effects",
    figures.factorial_effects(study.table("factorial"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "factorial", "Main effects and interactions in points, intervals over splits")

# %% [markdown]
# The diamonds are the gains that the paper states for each part. The paper takes one part at a time out of its full
# model, so its gains are not main effects.
#
# ## The paper's four rows
#
# The figure and the table compare the full model with three variants that each lack one part, beside the changes
# that the paper states.

# %% tags=["hide-input"]
show_figure(
    study,
    "ablation",
    figures.ablation(results, stated=stated_deltas(load_claims()), data_label=label),
)

# %% [markdown]
# Each dot is one variant minus the full model, on the same split and with the same seed.

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
# leaves the rate constant. The variants change the policy of augmentation, the classes that it changes, the
# learning rate, or the epoch whose weights are kept; some change two of these. *Constant rate* also uses another
# rate. Each variant is compared with the first by split and seed.

# %% tags=["hide-input"]
show_table(study, "recipe", "Variants of the recipe")

# %% [markdown]
# ## How much of this has run

# %% tags=["hide-input"]
show_table(study, "progress", "Experiments of this run by study")
