"""Datasets: where their videos and labels are."""
