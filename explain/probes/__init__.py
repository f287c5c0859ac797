"""Looks at what happens inside a model on one text: each file is one probe, and says how exact it is."""
