"""Models on measured features of cells, without a network."""
