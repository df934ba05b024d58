// Signs an approval, and only of what the person reads: digest, sentence and statement are
// worked out here from the bytes on the page. Where they differ from what the page shows, no
// passkey is asked. What a lying server could still show, another surface would show otherwise.

import { bytes, challengeOf, fill, hex, sha256, sign, signOnClick } from "./webauthn.js";
import { isShown } from "./shown.js";

const NOTHING = "Nothing was recorded.";
const SYMBOLS = { EUR: "€", GBP: "£", USD: "US$", JPY: "¥", INR: "₹", CAD: "CA$", AUD: "A$" };
const plain = (text) => text.replace(/\s+/g, " ").trim();

function amount({ amount_minor: minor, currency, exponent }) {
  const digits = String(minor).padStart(exponent + 1, "0");
  const whole = digits.slice(0, digits.length - exponent).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = exponent ? `.${digits.slice(-exponent)}` : "";
  return `${SYMBOLS[currency] ?? `${currency} `}${whole}${fraction}`;
}

function sentence({ money, tool }) {
  if (!money) return `Call ${tool} once, with exactly the arguments below.`;
  const whom = money.payee_name ? `${money.payee_name}, account ${money.payee}` : money.payee;
  return plain(`Pay ${amount(money)} to ${whom}, once, by ${tool}.`);
}

// The envelope, once everything that the page shows of it is what it says.
async function checked(place, form) {
  const text = place.querySelector("[data-envelope]").textContent;
  const told = JSON.parse(text);
  const digest = hex(await sha256(bytes(`placet/approval/v${told.v}\0${text}`)));
  const shown = place.querySelector("[data-digest]").textContent.trim();
  if (digest !== shown || digest !== form.elements.digest.value) {
    throw new Error("Your browser computes another digest than the page shows: do not decide,"
      + " tell an administrator.");
  }
  if (plain(document.querySelector("h1").textContent) !== sentence(told)) {
    throw new Error("The sentence on this page is not what would be signed: do not decide, tell"
      + " an administrator.");
  }
  if (!told.money && !isShown(document.querySelector("[data-arguments] .value"), told.arguments)) {
    throw new Error("The arguments on this page are not what would be signed: do not decide, tell"
      + " an administrator.");
  }
  if (!location.pathname.includes(told.gate)) {
    throw new Error("These are the facts of another request: do not decide, tell an administrator.");
  }
  return { told, digest };
}

async function approve(place, form) {
  const { told, digest } = await checked(place, form);
  const statement = {
    v: 2,
    purpose: "placet/decision",
    tenant: told.tenant,
    gate: told.gate,
    digest,
    verdict: form.elements.verdict.value,
    person: Number(place.dataset.person),
    on_behalf_of: place.dataset.behalf ? Number(place.dataset.behalf) : null,
    reason: form.elements.reason.value.trim(),
    typed: (form.elements.typed?.value ?? "").replace(/\s+/g, "").toUpperCase(),
  };
  const keys = JSON.parse(place.dataset.keys);
  fill(form, await sign(await challengeOf("placet/decision/v2", statement), keys));
  const step = document.createElement("input");
  Object.assign(step, { type: "hidden", name: "step", value: "confirmed" });
  form.append(step);
  form.submit();
}

signOnClick(document.querySelector("[data-signing]"), approve, NOTHING);
