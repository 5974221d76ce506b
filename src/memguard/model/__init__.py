"""Model: the network, its memory and its losses, in PyTorch alone."""
