"""Whyboard beside its peers: the same model, texts, threads; one process and one environment a peer."""
