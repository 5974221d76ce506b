"""Clips: windows of frames for training and tests."""
