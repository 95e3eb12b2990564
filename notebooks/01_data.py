# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The cells
#
# What is there, who it comes from, and which patient ids share cells. Everything that follows
# stands on this table: a split is only as honest as its idea of a person.

# %% tags=["parameters", "hide-input"]
profile = "demo"
data = None
run = None
overrides = "{}"

# %% tags=["hide-input"]
from lcc_utils.data import duplicates
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.show import example_cells, show_figure, show_table
from lcc_utils.report import figures

study = open_run(profile, data, run, overrides)
cells, label = study.cells, study.data_label

# %% [markdown]
# ## How many, of which class
#
# Each image is one cell, cut out of a photograph and set on black. ALL cells come from patients with
# acute lymphoblastic leukaemia, HEM cells from healthy people. Official folds are the data set's own
# division of its training phase by patient.

# %% tags=["hide-input"]
show_table(study, "cells", "Cells, patient ids and subjects by phase, fold and class")

# %% tags=["hide-input"]
show_figure(study, "class_counts", figures.class_counts(cells, data_label=label))

# %% [markdown]
# ## What they look like
#
# One cell each of some patients, at full resolution. Stain, size and the cut at the border differ more
# between patients than one would like: a network can learn whose cell it is, and will where that helps.

# %% tags=["hide-input"]
show_figure(
    study,
    "cells",
    figures.cell_gallery(*example_cells(cells, per_class=6), data_label=label),
    pixels=True,
)

# %% [markdown]
# ## Who they come from
#
# Cells are not spread evenly. Where one subject holds a large part of a class, that class's result is in
# good part a result about one person, however many cells it counts.

# %% tags=["hide-input"]
show_figure(study, "cells_per_subject", figures.cells_per_subject(cells, data_label=label))

# %% [markdown]
# ## Patient ids that share cells
#
# Some patient ids hold the same cell: the same file, the same pixels, or the same cell cut out a second
# time. We look for all three. Candidates are near in a small, recentred image; they are confirmed by the
# correlation of their fine texture, which two different cells do not share. Patient ids are joined into
# one *subject* by an identical image, by one pair above the upper line, or by two above the lower one.
# Candidates whose outlines overlap too little to be compared stand at the left edge.
# We say that ids *share cells*, not that they are the same person: that is not in the data.

# %% tags=["hide-input"]
pairs = duplicates.find_pairs(cells)
show_figure(study, "duplicates", figures.duplicate_histogram(pairs, data_label=label))

# %% tags=["hide-input"]
show_table(study, "subjects", "Subjects of more than one patient id")

# %% [markdown]
# The subject, never the patient id, is the unit of every split in this book.
#
# ## Cells that are there twice
#
# Which ids share cells decides what a split by id, or by the official folds, lets through. In the figure
# each dot is a patient id and each column a fold or phase; a line joins two ids that share cells, the wider
# the more pairs of cells were counted, whose number stands on it. Hollow dots are ids without a cell in this
# run: what joins them comes with the package, and they join others all the same. Only ids that share cells
# with another are drawn.

# %% tags=["hide-input"]
show_figure(study, "subject_groups", figures.subject_groups(cells, data_label=label))

# %% [markdown]
# The same for the ids that do have cells in this run. Identical images are counted among these cells; pairs
# by texture are those counted when the links that come with the package were found. A dash stands where two
# ids are joined through an id that is not here, or by a texture that cannot be counted without the images.
# The correlation is that of the most alike pair, and is one for identical images.

# %% tags=["hide-input"]
show_table(study, "shared_cells", "Patient ids in this run that share cells, and what shows it")

# %% [markdown]
# The next two tables need no pixels and no run. They are counted from the data set's published list of files,
# and stand here whatever this book was computed on: groups of files with the same bytes, and the patient ids
# and official folds that such a group spans. Files of the final phase name no patient, so for them that
# cannot be said. The list shows only exact copies. A cell that was cut out a second time differs in its
# bytes and is not counted here; the search in pixels, above, finds it among the folds that it is given.

# %% tags=["hide-input"]
show_table(study, "duplicates", "Files of C-NMC 2019 that are identical byte for byte, by phase")

# %% tags=["hide-input"]
show_table(study, "duplicate_pairs", "Patient ids of C-NMC 2019 that hold the same files")

# %% [markdown]
# Most of these copies lie in two different official folds, so training on one and testing on the other tests,
# in part, on images that were trained on, unless they are taken out. What that is worth in a result is
# measured on the same test cells in the section on subjects that are in both folds of
# [the chapter on training](02_training.ipynb).
