"""Commands: each composes its configuration and hands it to those who do the work."""
