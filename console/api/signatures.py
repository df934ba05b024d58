"""What a key answered, as a call takes it: parts of a WebAuthn assertion, or one signature."""

from __future__ import annotations

import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from approvals.errors import SignatureRefused
from approvals.limits import MAX_SIGNED_BYTES
from approvals.signatures import Answer
from approvals.signing import Signed
from console.pages.passkeys import to_bytes

Part = Annotated[str, StringConstraints(max_length=2 * MAX_SIGNED_BYTES)]


class SignedBody(BaseModel):
    """Bytes are base64url without padding; a key file answers with `signature` alone."""

    model_config = ConfigDict(extra="forbid")

    key: uuid.UUID = Field(description="Which of your keys signed")
    signature: Part
    client_data: Part = ""
    authenticator_data: Part = ""

    def signed(self) -> Signed:
        """Raises `SignatureRefused`."""
        try:
            answer = Answer(
                signature=to_bytes(self.signature),
                client_data=to_bytes(self.client_data),
                authenticator_data=to_bytes(self.authenticator_data),
            )
        except ValueError:
            raise SignatureRefused("The signature that was sent cannot be read.") from None
        return Signed(key_id=self.key, answer=answer)
