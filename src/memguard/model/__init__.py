"""The network, its memory and its losses: torch alone, no training loop."""
