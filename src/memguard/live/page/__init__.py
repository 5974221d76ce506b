"""The live page, the metrics and the health of the cameras, over HTTP."""
