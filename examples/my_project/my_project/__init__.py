"""Parts of one's own for memguard."""
