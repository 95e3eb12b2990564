"""What a reader sees: tables, figures and the claims of the paper beside our results."""
