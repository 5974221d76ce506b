"""Live scoring: videos and cameras, frame by frame, to events."""
