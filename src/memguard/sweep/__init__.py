"""Sweeps: several runs of one command, and their report."""
