"""Videos, and where their labels are, to batches of clip windows."""
