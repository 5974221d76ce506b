"""Live scoring of videos and cameras: frame by frame, to scores, events and an annotated video."""
