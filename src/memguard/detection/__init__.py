"""Detection: a detector that trains, and the test loop that thresholds, then writes."""
