// What pages with passkeys share: bytes, the canonical JSON of a statement (RFC 8785), and the
// one call that has a passkey sign a challenge.

export const bytes = (text) => new TextEncoder().encode(text);

export const hex = (buffer) =>
  [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

export const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

export const sha256 = (told) => crypto.subtle.digest("SHA-256", told);

// The statement has no numbers but small whole ones, and ASCII names: sorting is all it needs.
function canonical(told) {
  const names = Object.keys(told).sort();
  return `{${names.map((n) => `${JSON.stringify(n)}:${JSON.stringify(told[n])}`).join(",")}}`;
}

export const challengeOf = (tag, told) => sha256(bytes(`${tag}\0${canonical(told)}`));

export const canSign = () => Boolean(window.PublicKeyCredential && crypto.subtle);

// Gives the four fields that a form posts. `keys` are those of the person that may sign here.
export async function sign(challenge, keys) {
  const found = await navigator.credentials.get({
    publicKey: {
      challenge,
      rpId: location.hostname,
      allowCredentials: keys.map((key) => ({ type: "public-key", id: toBytes(key.credential) })),
      userVerification: "required",
      timeout: 120000,
    },
  });
  const used = keys.find((key) => key.credential === toText(found.rawId));
  return {
    key: used.key,
    client_data: toText(found.response.clientDataJSON),
    authenticator_data: toText(found.response.authenticatorData),
    signature: toText(found.response.signature),
  };
}

export function fill(form, values, prefix = "") {
  for (const [name, value] of Object.entries(values)) form.elements[prefix + name].value = value;
}

// Why it did not come to a signature, in words; `what` is what was to be done.
export function wordsOf(error, what) {
  if (error.name === "NotAllowedError") {
    return `The passkey was not used: it was left, took too long, or did not verify who you are. ${what}`;
  }
  if (error.name === "InvalidStateError") return `This device has a passkey of yours already. ${what}`;
  return `${error.message} ${what}`;
}

export function refuse(place, words) {
  const shown = place.querySelector("[data-refused]");
  shown.querySelector("p").textContent = words;
  shown.hidden = false;
  shown.scrollIntoView({ block: "nearest" });
}

// Has `deed` done when the button of the form around `place` is pressed; `nothing` says what was
// not done where it fails.
export function signOnClick(place, deed, nothing) {
  const form = place?.closest("form");
  const button = form?.querySelector("[data-sign]");
  if (!button || !canSign()) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!form.reportValidity()) return;
    button.disabled = true;
    place.querySelector("[data-refused]").hidden = true;
    deed(place, form).catch((error) => {
      button.disabled = false;
      refuse(place, wordsOf(error, nothing));
    });
  });
}
