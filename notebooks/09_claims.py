# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Every claim, tested
#
# Point at a number of the paper and see what became of it. Each row is one statement, in our words; the
# verdict is computed by a function, from files that are kept here, and changes when they do.
#
# - **holds**: what was computed agrees with the statement.
# - **differs**: the same quantity, measured again or read at its source, is another.
# - **contradicted**: the paper's own numbers, the official counts of the data set, or code that prints the
#   paper's numbers rule it out.
# - **not determined**: what is public cannot settle it.
# - **not yet run**: it takes an experiment that this edition does not hold. The nearest result on real cells
#   stands beside it, and is no verdict: network, initial weights, resolution, data and protocol have to be the
#   same. Numbers from synthetic cells never stand beside a claim.
#
# What can test a claim is its kind: *arithmetic*, from the paper's other numbers; *data set*, from the
# official list of files; *code*, from the authors' repository at one commit; *experiment*, from our runs and,
# for the figures of other works, from what these report themselves. Committed code shows what a file does,
# not that the published numbers came from it; only where its saved output prints them do we say that it
# contradicts, else that it differs.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_table

study = open_run(profile, data, run, overrides)
study.compute("training", "primary", "ablation", "monte_carlo", "monte_carlo_trained")

# %% [markdown]
# ## How many, with which verdict

# %% tags=["hide-input"]
show_table(
    study,
    "claim_counts",
    "Claims by kind and verdict, and the causes of those that differ or are contradicted",
)

# %% [markdown]
# ## The causes
#
# Several contradictions may go back to one cause. Each cause has a weight: *result-bearing*, where a figure that
# the abstract or the conclusions rest on is touched; *method*, where what was done is not what is stated;
# *clerical*, where nothing else rests on it.

# %% tags=["hide-input"]
show_table(study, "claim_causes", "What the claims that differ or are contradicted go back to")

# %% [markdown]
# ## The ledger
#
# The column of evidence leads to a chapter of this book or to a file of the authors' repository at the
# commit that was read. The name in the first column can be used as an address on this page, and is what to
# give when a statement is to be corrected: see [how to correct a statement](../corrections.md).

# %% tags=["hide-input", "full-width"]
show_table(
    study,
    "claims",
    "Claims of the paper and their verdicts; the last column names the evidence of each",
)
