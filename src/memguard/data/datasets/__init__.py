"""Datasets: a module for each, and what they share: labels, layouts, download, preparation."""
