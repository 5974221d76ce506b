"""The configuration; this file makes it a package, which Hydra finds."""
