# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where a network looks
#
# The paper shows attention maps and ascribes them to its squeeze-and-excitation block. That block
# {cite:p}`hu2018squeeze` gives one weight a channel, the same for every place of an image, and no map. Maps
# come from other methods, which work with the block and without it. They are drawn here, and asked what
# decides whether a map may be believed: does it change when the network forgets, do the pixels that it marks
# matter, and do methods and networks agree?
#
# All numbers are over test cells, spread evenly over classes and subjects. Every map explains the class that
# the trained network calls. Means are over subjects, each counting alike; intervals leave out subjects
# in turn, and there is none below five subjects in a class.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from dataclasses import asdict

from lcc_utils.pipeline.attention import explain
from lcc_utils.pipeline.attention_gallery import gallery
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import show_figure, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
study.compute("attention")
explain(study)
attention = study.gather("attention").measured["attention"]
label = study.data_label

# %% [markdown]
# ## Methods and networks
#
# - **Grad-CAM** {cite:p}`selvaraju2017grad` and **Grad-CAM++** {cite:p}`chattopadhay2018gradcampp` weigh the
#   last feature map by gradients of the class.
# - **Score-CAM** {cite:p}`wang2020scorecam` weighs it by the probability that is left when the image is seen
#   through each channel. It is slow, so it has fewer cells.
# - **SmoothGrad** {cite:p}`smilkov2017smoothgrad` is the gradient at each pixel, averaged over noisy copies.
#
# Tests compare all four with those of tf-keras-vis, an independent implementation: Grad-CAM and the gradient
# are the same, and the other two put places in nearly the same order.
#
# The first three are no finer than the last feature map, whose few places are spread over the whole image. The
# trained network is compared with the same from another seed, with one without the block, with one that was
# trained on shuffled labels, and with itself after its parameters are replaced by random ones.

# %% tags=["hide-input"]
show_table(study, "attention_networks", "Networks whose maps are drawn")

# %% [markdown]
# *Largest difference in score* says how far the network whose maps are drawn is from the one that was tested:
# its weights are those that the run kept, or it is trained again from its seed where they are gone.
#
# ## Does the map change when the network forgets?
#
# A map that shows what was learned differs once the parameters are random or the labels were shuffled
# {cite:p}`adebayo2018sanity`. A map that stays the same shows the image or the architecture. The measure is the
# rank correlation of two maps over the pixels of the cell. Over the whole image it is higher in many cases,
# since maps agree as soon as they part the cell from the background; the table has both. With another seed the
# correlation should be high: two networks that are equally good then look at the same places.

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_sanity",
    figures.attention_sanity(study.table("attention_sanity"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "attention_sanity", "Other networks' maps against the trained network's")

# %% [markdown]
# The same test step by step: parameters are replaced from the head down, and each step keeps those before it.
# Where a correlation stays above zero to the end, strided convolutions and the cell itself are left to explain
# it. In a few epochs a network does not learn shuffled labels by heart; it is one that has learned nothing
# about the classes.

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_cascade",
    figures.attention_cascade(study.table("attention_cascade"), data_label=label),
)

# %% tags=["hide-input"]
show_table(study, "attention_cascade", "Maps while the network loses what it learned")

# %% [markdown]
# ## Do the marked pixels matter?
#
# Pixels turn black, those of most attention first, and the probability of the called class is watched
# (deletion); or a blurred image gets its pixels back in the same order (insertion) {cite:p}`petsiuk2018rise`.
# The contrast is a map of chance that knows the outline of the cell and nothing of the network: a map that
# does no better found the cell, not what the network uses. An area is small for a good map under deletion and
# large under insertion; the gains count in the map's favour and are paired by cell.

# %% tags=["hide-input"]
show_figure(study, "attention_curves", figures.attention_curves(attention, data_label=label))

# %% tags=["hide-input", "full-width"]
show_table(study, "attention_faithfulness", "Areas under deletion and insertion, beside chance")

# %% [markdown]
# ## Where does attention lie?
#
# Background is black; the nucleus is what is darker in green than Otsu's threshold over the cell; the rest of
# the cell counts as cytoplasm. The rows called *even* are attention spread over the whole image, so that
# their shares are those of the areas. Cells are parted by class and by whether the network calls them right.

# %% tags=["hide-input", "full-width"]
show_table(study, "attention_regions", "Shares of attention by class and outcome")

# %% [markdown]
# Within the cell, from its outline to its middle, in rings of the same area:

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_rings",
    figures.attention_rings(study.table("attention_rings"), data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(study, "attention_rings", "Attention within the cell by ring")

# %% [markdown]
# Mean maps over many cells, and in the last column the share of cells that cover each place:

# %% tags=["hide-input"]
show_figure(study, "attention_average", figures.attention_average(attention, data_label=label))

# %% [markdown]
# ## Do the methods agree?

# %% tags=["hide-input"]
show_table(study, "attention_agreement", "Rank correlation of two methods' maps, one network")

# %% [markdown]
# ## What the block gives
#
# One weight a channel and cell. Channels may differ in their weights, and so may classes and subjects; what
# this is worth shows when every weight is held at its mean over all cells. The block can then tell no cell
# from another, and is a constant that the next layer could hold as well.

# %% tags=["hide-input"]
show_table(study, "channel_weights", "Channel weights, and the score without their attention")

# %% tags=["hide-input"]
show_figure(study, "channel_weights", figures.channel_weights(attention, data_label=label))

# %% [markdown]
# ## Cells to look at
#
# Grad-CAM over cells of the trained network, classes in turn, one cell a subject. A few cells chosen to be
# looked at prove nothing; what may be believed of them stands above. Real cells are not shown in a published
# edition.

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_surest",
    figures.attention_gallery(**asdict(gallery(study, "surest")), data_label=label),
    pixels=True,
)

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_least_sure",
    figures.attention_gallery(**asdict(gallery(study, "least sure")), data_label=label),
    pixels=True,
)

# %% tags=["hide-input"]
show_figure(
    study,
    "attention_wrong",
    figures.attention_gallery(**asdict(gallery(study, "wrong")), data_label=label),
    pixels=True,
)
