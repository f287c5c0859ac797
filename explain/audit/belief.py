"""Whose signatures a chain must bear, record after record."""

from __future__ import annotations

from collections.abc import Mapping

from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from explain.audit import envelope
from explain.audit.records import Header
from explain.errors import AuditError


class Belief:
    """Follows a chain's changes of key.

    Where a key is believed, every envelope must be signed, and by believed keys alone; what an envelope says of itself
    decides nothing. Only where nobody named a key (`given` is None) and none is `at_hand` is a chain unsigned, and then
    none of its envelopes bears a signature.
    """

    def __init__(self, given: Mapping[str, SSlibKey] | None, at_hand: Mapping[str, SSlibKey]) -> None:
        self.trusted = at_hand if given is None else given
        self.required = given is not None or bool(at_hand)
        self.current: str | None = None  # the one key that signs since the last change; None before the first

    def signers(self, wrapped: Envelope) -> set[str]:
        """Fingerprints of the keys that signed it.

        Raises:
            AuditError: nobody signed it and somebody must, a key is not believed, or a signature is of other bytes.
        """
        if self.required and not wrapped.signatures:
            raise AuditError("nobody signed it", code="signature")
        return envelope.signed_by(wrapped, self.trusted)

    def record(self, wrapped: Envelope, header: Header) -> set[str]:
        """The same for the next record of the chain, which must be signed by the key that signs since the last change.

        A change of key is signed by the old one and the new one; from then on only the new one signs.
        """
        found = self.signers(wrapped)
        if not found:
            if header.signed:
                raise AuditError("its signature was taken away", code="signature")
            return found
        if header.kind != "key change":
            if self.current is not None and found != {self.current}:
                raise AuditError("it is signed by a key that does not sign here any more", code="signature")
            return found
        old, new = (str(header.detail.get(name)) for name in ("from", "to"))
        if found != {old, new} or old == new or self.current not in (None, old):
            raise AuditError("a change of key must be signed by the old key and the new one", code="signature")
        self.current = new
        return found
