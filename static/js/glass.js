// Signs that the glass is to be broken: the statement is made here, of what the person typed, or
// of what the first one signed once the page says the same. What differs is not signed.

import { challengeOf, fill, hex, sign, signOnClick } from "./webauthn.js";

const TAG = "placet/breakglass/v2";
const NOTHING = "Nothing was recorded.";
const OPEN_MS = 15 * 60 * 1000;
const plain = (text) => text.replace(/\s+/g, " ").trim();

// The id says when it was made: nobody gets a signature to be used on another day.
function checkAge(id, most) {
  const made = parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  if (!(Math.abs(Date.now() - made) <= most)) {
    throw new Error("This page was open for too long; load it again.");
  }
}

function opening(place, form) {
  const { scope, subject, minutes, reason } = form.elements;
  checkAge(place.dataset.id, OPEN_MS);
  return {
    v: 2,
    purpose: "placet/breakglass",
    id: place.dataset.id,
    tenant: place.dataset.tenant,
    scope: scope.value,
    subject: scope.value === "everything" ? "" : subject.value.trim(),
    minutes: Number(minutes.value),
    reason: reason.value.trim(),
    person: Number(place.dataset.person),
    first: "",
  };
}

const whereOf = ({ scope, subject }) =>
  scope === "everything" ? "At every gate." : `At gates of the ${scope} ${subject}.`;

async function confirming(place) {
  const told = JSON.parse(place.querySelector("[data-statement]").textContent);
  const shown = new Map([...document.querySelectorAll("dl.facts dt")]
    .map((dt) => [plain(dt.textContent), plain(dt.nextElementSibling.textContent)]));
  const isShown = shown.get("Why") === plain(told.reason)
    && shown.get("Where") === plain(whereOf(told))
    && shown.get("How long")?.startsWith(`${told.minutes} minutes`)
    && told.tenant === place.dataset.tenant && location.pathname.includes(told.id);
  if (!isShown) {
    throw new Error("What this page says is not what would be signed: do not confirm, tell an"
      + " administrator.");
  }
  checkAge(told.id, 2 * OPEN_MS);
  const first = hex(await challengeOf(TAG, told));
  return { ...told, person: Number(place.dataset.person), first };
}

async function signAndSend(place, form) {
  const isConfirming = Boolean(place.querySelector("[data-statement]"));
  const statement = isConfirming ? await confirming(place) : opening(place, form);
  fill(form, await sign(await challengeOf(TAG, statement), JSON.parse(place.dataset.keys)));
  form.submit();
}

signOnClick(document.querySelector("[data-glass]"), signAndSend, NOTHING);
