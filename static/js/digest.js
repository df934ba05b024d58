// The reviewer's own browser computes the digest of the bytes on the page. It proves that the
// digest shown belongs to the arguments shown, not that the server is honest.

// What is not what its digest says is not approved here; a denial goes through.
function stop() {
  document.querySelector("[data-digest-stop]")?.removeAttribute("hidden");
  document.querySelector(".decision [name=verdict][value=approve]")?.setAttribute("disabled", "");
}

async function check() {
  const envelope = document.querySelector("[data-envelope]");
  const digest = document.querySelector("[data-digest]");
  if (!envelope || !digest || !crypto.subtle) return;
  const text = envelope.textContent;
  const tag = `placet/approval/v${JSON.parse(text).v}\0`;
  const bytes = new TextEncoder().encode(tag + text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const isSame = found === digest.textContent.trim();
  document.querySelector("[data-digest-checked]").hidden = !isSame;
  document.querySelector("[data-digest-differs]").hidden = isSame;
  if (!isSame) stop();
}

check();
