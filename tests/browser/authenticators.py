"""Authenticators of the browser's own making, as the DevTools protocol has them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import CDPSession, Page


@dataclass
class Authenticator:
    """One device of a person's: it verifies them, and is touched whenever it is asked."""

    cdp: CDPSession
    id: str

    def is_verified(self, answer: bool) -> None:
        self._send("setUserVerified", isUserVerified=answer)

    def is_touched(self, answer: bool) -> None:
        self._send("setAutomaticPresenceSimulation", enabled=answer)

    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._send("getCredentials")["credentials"]
        return found

    def forge(self) -> None:
        """Another private key under the same names: what somebody without the key can do."""
        (known,) = self.credentials()
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        self._send("removeCredential", credentialId=known["credentialId"])
        forged = known | {"privateKey": base64.b64encode(other).decode()}
        self._send("addCredential", credential=forged)

    def _send(self, method: str, **given: Any) -> Any:
        return self.cdp.send(f"WebAuthn.{method}", {"authenticatorId": self.id, **given})


def plug_in(page: Page, transport: str = "internal") -> Authenticator:
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": transport,
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Authenticator(cdp, added["authenticatorId"])
