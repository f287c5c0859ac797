"""The only place that touches a device: load a checkpoint, tokenize, predict, score, differentiate.

`rows` and `encoding` are plain and import no torch; `runner` and `loading` do.
"""
