# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a model withstands
#
# A model is tested on cells from one laboratory, one microscope and one way to cut cells out, with labels that
# count as true. Here each of these is taken away. Images of test cells are changed, and labels of training cells
# are turned over; the test labels stay, and so do the subjects who are tested.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from dataclasses import asdict

from lcc_utils.pipeline.foreign import compare
from lcc_utils.pipeline.robustness import score_shifted
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.shift_gallery import shift_gallery
from lcc_utils.pipeline.show import show_figure, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
study.compute("robustness", "label_noise", "label_noise_trained")
score_shifted(study)
results = study.gather("robustness")
label = study.data_label

# %% [markdown]
# ## Images that change
#
# Every change acts on the cell in full resolution, before it is made smaller for a network or measured, at five
# severities. Models stay as they are: networks as they were trained, and models on measured features, which are
# measured again on each changed image. The same cell is changed in the same way for every model.

# %% tags=["hide-input", "full-width"]
show_table(study, "shifts", "Changes of an image and their severities")

# %% [markdown]
# The first seven are changes of light and stain; the two stains are the colours of haematoxylin and
# eosin, which stand for any stain of blue and red. Compression is that of the file on black, so it draws a rim
# around the cell; what is nearly black after it counts as black. A cell that grows loses what leaves the frame.
# The last three are errors of the segmentation. A mask that is too large cannot be made, since there is nothing
# but black around the cell; a scrap of a cell alike that looks out from behind it takes its place. A rotation
# should cost nothing. The turn by a quarter is exact; the others interpolate pixels, which smooths the texture a
# little, as would any image that was turned or resized before.

# %% tags=["hide-input"]
show_figure(
    study,
    "shift_gallery",
    figures.shift_gallery(**asdict(shift_gallery(study)), data_label=label),
    pixels=True,
)

# %% [markdown]
# ### Are cells still put in the right order?

# %% tags=["hide-input"]
show_figure(
    study,
    "robustness_auc",
    figures.robustness_curves(results, "auc", data_label=label),
)

# %% [markdown]
# ### Is the threshold still the right one?
#
# All scores may move to one side and keep their order. The AUC then stays, while the threshold that was chosen on
# unchanged validation cells calls too many or too few cells leukaemic.

# %% tags=["hide-input"]
show_figure(
    study,
    "robustness_f1",
    figures.robustness_curves(results, "f1_weighted", data_label=label),
)

# %% [markdown]
# The mean change over all shifts and severities makes one number of a model. It depends on which changes are
# looked at and how far they go, so it compares models and means little by itself. Cells are spread evenly over
# classes and subjects; where a model has fewer of them, its numbers are not on the same cells as the others'.
# Intervals leave a subject out with and without a change at once, and there is none below five subjects in a class. Far
# from what it has learned, a model may give so many cells a score of one that their order is lost: cells whose
# scores cannot be told apart count as equal.

# %% tags=["hide-input", "full-width"]
show_table(study, "robustness_summary", "Mean change over all shifts and severities")

# %% tags=["hide-input", "full-width"]
show_table(study, "robustness", "Each shift at its greatest severity, and the same cells unchanged")

# %% [markdown]
# The changes of the augmentation policies are part of those here (brightness, contrast, hue or stain, noise, size),
# which is what they are for: a model that saw them in training has met part of this test before. Compression and
# errors of the segmentation are in none of them.
#
# ## Labels that are wrong
#
# The labels of C-NMC come from experts, and experts differ. How much is not known here: no cell has more than one
# label. What can be measured is what becomes of a model when some labels in training are wrong. A share of them,
# drawn at random from the seed, is turned over. Labels of validation and test cells stay, so epoch and threshold
# are chosen on true labels, which favours the models. A label that is wrong at a small share is wrong at each
# larger one too.

# %% tags=["hide-input"]
show_figure(
    study,
    "label_noise",
    figures.label_noise(study.table("label_noise"), data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(study, "label_noise", "Training on wrong labels, tested on labels that stay")

# %% [markdown]
# Each split is measured by itself and the mean is taken: an AUC over pooled splits would compare scores of models
# that were trained apart. A change above zero is possible, since wrong labels keep a model from being too sure, as
# a penalty would.
#
# This is the mild form of disagreement. Labels that are turned over at random pull a model to no side, and a model
# with few parameters averages them out. People do not err at random: they disagree on the cells that are hardest,
# on all cells of a subject at once, or in one direction. A model learns such errors like anything else, and test
# labels that share them hide it. A small loss here is no proof that labels are good enough.

# %% [markdown]
# ## Cells from elsewhere
#
# A network gives a class to anything: to a red cell, to a disc that somebody drew, to a cell of another laboratory.
# Does anything about its answer say that it should not have been asked? Four numbers are compared, each larger for
# what is less familiar:
#
# - **softmax**, one less the larger of the two probabilities, the usual baseline {cite:p}`hendrycks2017baseline`;
# - **energy** of the two outputs {cite:p}`liu2020energy`;
# - **distance** of the features before the head from those of the training cells, measured in their own spread
#   {cite:p}`lee2018simple`; this and the energy are what `lcc predict` goes by;
# - **nearest neighbours**, the distance from the fiftieth nearest training cell {cite:p}`sun2022knn`.
#
# Familiar are the test cells as they are, of subjects that the network has not seen. A run on synthetic cells has
# for comparison the phases that it does not use and some drawn shapes; other sets come with `lcc external`, which
# [the page on other data sets](../your_own_data.md) explains. A crop of a photograph comes in two forms: as it is,
# with its ground, and cut out on black by a simple threshold on saturation.

# %% tags=["hide-input"]
compare(study)
measured = study.gather("robustness").measured["robustness"]
show_table(study, "foreign_sets", "Sets from elsewhere, and the digest of the files scored")

# %% [markdown]
# ### What are they called?

# %% tags=["hide-input", "full-width"]
show_table(study, "foreign_calls", "Classes given to test cells and to cells from elsewhere")

# %% [markdown]
# ### Are they noticed?
#
# AUROC is the share of pairs of a test cell and a foreign one in which the foreign one has the larger number; below
# one half, foreign cells look more familiar than the network's own. A limit that accepts nineteen in twenty test
# cells is what a user could set; the table has the share of foreign cells that it accepts as well. Intervals draw
# subjects of the test cells, and subjects or images of the others.

# %% tags=["hide-input"]
show_figure(study, "novelty_curves", figures.novelty_curves(measured, data_label=label))

# %% tags=["hide-input"]
show_figure(
    study,
    "out_of_distribution",
    figures.out_of_distribution(study.table("out_of_distribution"), data_label=label),
)

# %% tags=["hide-input", "full-width"]
show_table(study, "out_of_distribution", "Telling cells from elsewhere from test cells")

# %% [markdown]
# These are cells that nobody would take for lymphocytes cut out on black, or drawings. That they are noticed does
# not say that a cell of the right kind from another laboratory would be: the closer a foreign cell comes to the
# training cells, the less any of these numbers can tell.
#
# ### Where the class is known: another data set as a test
#
# Cells from elsewhere with a class are an external validation: the same network, the threshold of the run, nothing
# fitted. The run's test cells stand above them. Subjects that the run holds are left out.

# %% tags=["hide-input", "full-width"]
show_table(study, "external_validation", "Networks of the run on labelled cells from elsewhere")
