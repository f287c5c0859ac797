"""Evidence: explanations that are filed, signed and chained, and can be verified years later without torch.

`store.Store` files them, `verify` checks them, `bundle` hands them to somebody else. SPECIFICATION.md in this folder
says what the bytes mean, so that anybody can write a verifier of their own.
"""
