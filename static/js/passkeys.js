// Enrols a passkey: the authenticator makes it, and where the person has one already, that one
// signs for the new one. The server verifies both; here nothing is decided.

import { bytes, canSign, challengeOf, fill, hex, refuse, sha256, sign, toBytes, toText, wordsOf }
  from "./webauthn.js";

const NOTHING = "Nothing was enrolled.";

async function make(told) {
  const { response } = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(told.challenge),
      rp: { id: location.hostname, name: "Placet" },
      user: {
        id: bytes(`placet-${told.person}`), name: told.username, displayName: told.username,
      },
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
      excludeCredentials: JSON.parse(told.known)
        .map((id) => ({ type: "public-key", id: toBytes(id) })),
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
      attestation: "none",
      timeout: 120000,
    },
  });
  return response;
}

// A passkey that the person has signs for the new key, which then counts at once.
async function introduce(form, kind, about) {
  if (!form.querySelector("[data-introduce]")?.checked) return;
  const told = {
    v: 1,
    purpose: "placet/introduction",
    tenant: form.dataset.tenant,
    person: Number(form.dataset.person),
    kind,
    key: hex(await sha256(about)),
  };
  const challenge = await challengeOf("placet/introduction/v1", told);
  fill(form, await sign(challenge, JSON.parse(form.dataset.older)), "older_");
}

async function enrolPasskey(form) {
  // Without a name it would be refused, and the device would keep a passkey for nothing.
  if (!form.elements.name.value.trim()) return form.submit();
  const made = await make(form.dataset);
  fill(form, {
    client_data: toText(made.clientDataJSON), attestation: toText(made.attestationObject),
  });
  await introduce(form, "passkey", made.attestationObject);
  form.submit();
}

async function enrolFile(form) {
  const text = form.elements.public_key.value.trim().replace(/^ed25519:/, "");
  // What is no public key, the server says better.
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) await introduce(form, "file", toBytes(text));
  form.submit();
}

function listen(form, enrol) {
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector("[data-enrol]");
    button.disabled = true;
    form.querySelector("[data-refused]").hidden = true;
    enrol(form).catch((error) => {
      button.disabled = false;
      refuse(form, wordsOf(error, NOTHING));
    });
  });
}

if (canSign()) {
  listen(document.querySelector("[data-passkey-form]"), enrolPasskey);
  listen(document.querySelector("[data-file-form]"), enrolFile);
}
