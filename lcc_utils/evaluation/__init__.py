"""What predictions are worth: metrics computed from saved predictions alone."""
