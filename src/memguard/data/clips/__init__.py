"""Clips: windows of frames, as training and tests take them."""
