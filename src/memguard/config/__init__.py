"""Configuration: composed, checked, and said in a sentence where it is wrong."""
