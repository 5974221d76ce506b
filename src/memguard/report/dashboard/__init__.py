"""Callbacks and loggers that show a run: as files in its folder, and in its loggers."""
