"""Configuration: compose it, validate it, and report a fault in one sentence."""
