"""Cameras: each is watched by its own settings, all of them in one process."""
