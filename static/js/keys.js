// Keyboard: j and k walk through the rows of a page's lists, Enter opens one (they are links),
// "/" goes to the search, "?" shows the keys, "g" and a letter go to a page, "x" selects a request.
// Nothing here decides anything.

import { mark } from "./select.js";

const CHORD_MS = 1200;
let chordUntil = 0;

const rows = () => [...document.querySelectorAll("[data-list] [data-row]")];

function walk(step) {
  const all = rows();
  if (!all.length) return;
  const line = document.activeElement?.closest("tr");
  const at = all.findIndex((row) => row === document.activeElement || line?.contains(row));
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
  all[Math.min(Math.max(next, 0), all.length - 1)].focus();
}

const actions = {
  j: () => walk(1),
  k: () => walk(-1),
  x: mark,
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": () => document.getElementById("keys")?.showModal(),
  g: () => { chordUntil = Date.now() + CHORD_MS; },
};

function isTyping(target) {
  return target.closest("input:not([data-select]), textarea, select, dialog[open], [contenteditable]");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isTyping(event.target)) return;
  if (Date.now() < chordUntil) {
    chordUntil = 0;
    const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
      return;
    }
  }
  const action = actions[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});

for (const button of document.querySelectorAll("[data-open-dialog]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    document.getElementById(button.dataset.openDialog).showModal();
  });
}

for (const note of document.querySelectorAll("[data-needs-keys]")) note.hidden = false;
