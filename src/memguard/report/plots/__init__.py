"""Figures: a module for each, with its drawing for files and loggers and its part of the page."""
