"""Detection: the detector, its test loop that updates the memory, alarms and events."""
