"""An Explanation in, something to look at out. Nothing here computes attributions or imports torch."""
