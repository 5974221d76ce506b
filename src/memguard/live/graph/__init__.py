"""An exported graph and its description: scoring without PyTorch."""
