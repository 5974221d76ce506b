"""Training: from a configuration to a trained and tested detector and its run folder."""
