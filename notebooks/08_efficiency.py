# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a model costs
#
# The paper counts its network's parameters against those of VGG16 and calls it fit for places with little
# hardware. Parameters are one cost of several. Here stand beside them the work of one image, the size of the
# file, the memory, and the time from an image to its score, for every model of the baselines, and then what
# each cost buys.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.pipeline.efficiency import measure
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_interactive, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
study.compute("baselines")
measure(study)
label = study.data_label

# %% [markdown]
# ## How it is measured
#
# - **Parameters and multiply-adds** are counted from the layers. A multiply-add is one multiplication with one
#   addition; where a source counts floating-point operations, they are twice as many. Counted are convolutions
#   and dense layers, as is usual; batch normalisation, activations and pooling are not.
# - **Time and memory** are measured, each engine and precision in a process of its own. Latency is the time
#   from one image in memory to its score, after calls to warm up: the median of the repeats and their
#   quartiles. Memory is the process's peak above what it held before the network was built; on a GPU, the
#   peak on the device. Weights are random, since cost does not depend on what was learned.
# - **Models on measured features** start from a decoded cell in full resolution, and their time is nearly all
#   that of measuring; it covers all features, also where a model uses one. Their work is not counted.
#
# Times and memory belong to the machine that the captions name, and to what else it did in that hour. They are
# kept as they were measured: `lcc verify` builds these tables again from them, and measures nothing again.

# %% tags=["hide-input", "full-width"]
show_table(study, "efficiency", "Cost of each model, in float32 at batch 1")

# %% [markdown]
# ## What a cost buys
#
# The bars go from the lower to the higher of the two directions. The axis of costs is logarithmic: each step
# to the right is a multiple. A model that has another to its upper left is worse and dearer.

# %% tags=["hide-input"]
show_interactive(
    study,
    "score_against_cost",
    *figures.score_against_cost(study.table("efficiency"), data_label=label),
)

# %% [markdown]
# ## Fewer parameters than VGG16
#
# Most of VGG16's parameters lie in its dense layers, which whoever puts a head of their own on it takes away.
# Under the head of the paper's network VGG16 has about as many parameters as that network; what it has more of
# is work, since its convolutions are plain and wide. So the claim depends on which VGG16 is meant, and the
# saving on which cost. VGG16 as published takes one image side, at which the paper's network is set beside it
# where it was measured there too. A minus is a cost that is higher.

# %% tags=["hide-input", "full-width"]
show_table(study, "efficiency_saving", "What the paper's network saves against VGG16, per cent")

# %% [markdown]
# ## Engines and half precision
#
# The same networks under ONNX Runtime, from files that were converted from Keras, and in half precision: ONNX
# with weights and arithmetic in float16, Keras with arithmetic in bfloat16 on a processor and float16 on a GPU
# and weights in float32. An engine that has no arithmetic in half precision converts back and forth, which can
# cost more than it saves. The largest difference in score to Keras in float32 is over images of patches of
# colour, with random weights whose signal was set to reach the end of the network.

# %% tags=["hide-input", "full-width"]
show_table(study, "efficiency_engines", "Engines and precisions")
