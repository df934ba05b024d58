// Hint, then pull: the socket says only "run X, sequence n"; what changed is fetched through
// the ordinary view by htmx. A lost hint costs latency, never truth: each part also looks by
// itself every 15 seconds, and at once whenever the socket opens.

const POLL_MS = 15000;
const GAP_MS = 300;
const BASE_MS = 300;
const CAP_MS = 10000;
const ANNOUNCED_MS = 3000;
const PRESSED_MS = 3000;
const SAID_AFTER = 3;

const parts = () => [...document.querySelectorAll("[data-live]")];
const pulled = new WeakMap();

function concerns(part, hint) {
  if (hint.subject === "all") return true;
  const wanted = part.dataset.live.split(" ");
  return wanted.includes(hint.subject) || wanted.includes(`${hint.subject}:${hint.id}`);
}

function isKnown(part, hint) {
  const seq = Number(part.querySelector("[data-seq]")?.dataset.seq ?? -1);
  // A hint without a number is about progress, which makes no event.
  return hint.subject === "run" && hint.seq > 0 && seq >= hint.seq;
}

// At once for the first hint, then no oftener than every GAP_MS; the last is never lost.
function pull(part) {
  const state = pulled.get(part) ?? { at: 0, timer: 0 };
  pulled.set(part, state);
  if (state.timer) return;
  const wait = Math.max(0, state.at + GAP_MS - Date.now());
  state.timer = setTimeout(() => {
    state.timer = 0;
    state.at = Date.now();
    if (part.isConnected) window.htmx.trigger(part, "pull");
  }, wait);
}

function take(hint) {
  for (const part of parts()) {
    if (concerns(part, hint) && !isKnown(part, hint)) pull(part);
  }
}

const notLive = document.getElementById("not-live");
let failures = 0;

function say(isLive) {
  if (notLive) notLive.hidden = isLive;
}

function connect() {
  const address = new URL(document.body.dataset.liveSocket, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    failures = 0;
    document.documentElement.dataset.connected = "yes";
    say(true);
    // What changed since the page was rendered, or since the last socket, had no listener.
    parts().forEach(pull);
  });
  socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    delete document.documentElement.dataset.connected;
    failures += 1;
    say(failures < SAID_AFTER);
    setTimeout(connect, Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** failures));
  });
}

// What a swap must not take away: the focus, open details, and an unchanged part's very nodes.
const served = new WeakMap();
let kept = null;

function wayTo(element, part) {
  if (!element || element === part || !part.contains(element)) return "";
  if (element.id) return `#${CSS.escape(element.id)}`;
  const details = element.closest("details[id]");
  if (element.matches("summary") && details) return `#${CSS.escape(details.id)} > summary`;
  const href = element.getAttribute("href");
  return href ? `a[href="${CSS.escape(href)}"]` : "";
}

// A lost session must not take away what was typed: the page stays and says so. When the same
// person has signed in again elsewhere, the forms get the new session's token.
const sessionOver = document.getElementById("session-over");

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401 && sessionOver) sessionOver.hidden = false;
});

async function resume() {
  const answer = await fetch(location.pathname + location.search, { credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (page.getElementById("session-over")?.dataset.person !== sessionOver.dataset.person) return;
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
  sessionOver.hidden = true;
}

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && sessionOver && !sessionOver.hidden) resume();
});

document.addEventListener("htmx:configRequest", (event) => {
  const mark = event.detail.elt.querySelector?.("[data-mark]")?.dataset.mark;
  if (event.detail.elt.dataset.live && mark) event.detail.parameters.after = mark;
});

// Nor a click: what is exchanged between press and release is not clicked at all. What came
// meanwhile is fetched again afterwards, by a part that asks again and again by that itself; a
// press that lasts longer is none.
const putOff = new Set();
const NO_PRESS = { on: null, by: null, since: 0 };
let pressed = NO_PRESS;

function press(event) {
  pressed = { on: event.target, by: event.pointerId ?? event.key, since: Date.now() };
}

function release(event) {
  if (pressed.by !== (event.pointerId ?? event.key)) return;
  pressed = NO_PRESS;
  setTimeout(catchUp);  // The click comes after the release, and first.
}

function catchUp() {
  putOff.forEach(pull);
  putOff.clear();
}

// What is fetched for a part may bring along what stands beside it.
function isPressed(part) {
  const isThere = part.contains(pressed.on)
    || (part.id && pressed.on?.closest?.("[data-beside]")?.dataset.beside === part.id);
  return isThere && Date.now() - pressed.since < PRESSED_MS;
}

document.addEventListener("pointerdown", (event) => event.button === 0 && press(event), true);
document.addEventListener("pointerup", release, true);
document.addEventListener("pointercancel", release, true);
document.addEventListener("keydown", (event) => {
  if (event.key === " " && !event.repeat) press(event);
}, true);
document.addEventListener("keyup", release, true);

document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (!part || !event.detail.shouldSwap) return;
  if (served.get(part) === event.detail.serverResponse) {
    event.detail.shouldSwap = false;
    return;
  }
  if (isPressed(part)) {
    event.detail.shouldSwap = false;
    putOff.add(part);
    setTimeout(catchUp, PRESSED_MS);
    return;
  }
  if (!part.dataset.live) return;
  served.set(part, event.detail.serverResponse);
  kept = {
    focus: wayTo(document.activeElement, part),
    open: [...part.querySelectorAll("details[id]")].filter((d) => d.open).map((d) => d.id),
    said: part.querySelector("[data-announcement]")?.textContent,
  };
});

document.addEventListener("htmx:afterSwap", (event) => {
  const part = event.detail.target;
  if (!part?.dataset.live || !kept) return;
  for (const id of kept.open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  if (kept.focus) part.querySelector(kept.focus)?.focus({ preventScroll: true });
  announce(part, kept.said);
  kept = null;
});

function announce(part, before) {
  const now = part.querySelector("[data-announcement]")?.textContent.trim();
  if (!now || now === before?.trim()) return;
  const announcements = document.getElementById("announcements");
  announcements.textContent = now;
  setTimeout(() => { announcements.textContent = ""; }, ANNOUNCED_MS);
}

connect();
setInterval(() => {
  if (document.visibilityState === "visible") parts().forEach(pull);
}, POLL_MS);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") parts().forEach(pull);
});
