"""The callbacks that show a run: to the loggers it has, and as files in its folder."""
