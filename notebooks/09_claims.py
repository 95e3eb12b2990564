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
# Each row is one statement of the paper, in our words. A function computes its verdict from files that are kept
# here, so the verdict changes when they do.
#
# - **holds**: the value that was computed or read agrees with the statement.
# - **differs**: the same quantity, measured again or read at its source, has another value.
# - **contradicted**: the paper's own numbers, the official counts of the data set, or code that prints the
#   paper's numbers rule it out.
# - **not determined**: what is public cannot settle it.
# - **not yet run**: a verdict takes an experiment that this edition does not hold. The nearest result on real cells
#   stands beside the claim where there is one. It is no verdict: for that, network, initial weights, resolution,
#   data and protocol have to be the paper's. Numbers from synthetic cells never stand beside a claim.
#
# A claim's kind is the evidence that can test it. *Arithmetic* uses the paper's other numbers, *data set* the
# official list of files, and *code* the authors' repository at one commit. *Experiment* uses our runs and, for the
# figures of other works, the reports of these works. Committed code shows what a file does. It does not show that
# the published numbers came from that file. Only where the saved output of the code prints the published numbers is
# a claim called contradicted by it; otherwise it differs.

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
# Several contradictions may go back to one cause. Each cause has a weight. *Result-bearing*: it touches a figure on
# which the abstract or the conclusions rest. *Method*: the code or the numbers show another method than the stated
# one. *Clerical*: nothing else rests on it. The causes are our reading of the evidence; the verdicts do not depend
# on them.

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
