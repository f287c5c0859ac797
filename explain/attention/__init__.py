"""Attention: where heads look. It is not an explanation of a decision (Jain & Wallace 2019)."""
