"""From settings to a book: experiments, the run directory, notebooks and pages."""
