"""Cells: where they are, what they look like, which belong together, and how to split them."""
