"""Sweeps: several runs of one command, and the report of them."""
