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
# The paper credits attention, augmentation and focal loss with several points of F1 each. Here each part is
# taken out alone, everything else staying as it was, and each variant is trained with more than one seed: a
# difference smaller than the spread between seeds is not a difference.
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
results = study.results("ablation")
label = study.data_label

# %% [markdown]
# ## Change against the full model

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
show_table(study, "ablation_runs", "Every training of the ablation, on the same test subjects")
