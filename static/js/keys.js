// Keyboard: j and k walk through the rows of a page's lists, Enter opens one (they are links),
// "/" goes to the search, "?" shows the keys, "g" and a letter go to a page, "x" marks a request.
// Nothing here decides anything: a mark is only seen, by this window, until it is closed.

const CHORD_MS = 1200;
const MARKS = "marks";
const MAX_MARKS = 500;
let chordUntil = 0;

const rows = () => [...document.querySelectorAll("[data-list] [data-row]")];

function walk(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
  all[Math.min(Math.max(next, 0), all.length - 1)].focus();
}

const marks = () => new Set(JSON.parse(sessionStorage.getItem(MARKS) ?? "[]"));

function showMarks() {
  const marked = marks();
  for (const row of document.querySelectorAll("[data-marks] tr[id]")) {
    row.toggleAttribute("data-marked", marked.has(row.id));
  }
}

function mark() {
  const row = document.activeElement?.closest("[data-marks] tr[id]");
  if (!row) return;
  const marked = marks();
  const isMarked = !marked.delete(row.id);
  if (isMarked) marked.add(row.id);
  sessionStorage.setItem(MARKS, JSON.stringify([...marked].slice(-MAX_MARKS)));
  showMarks();
  const said = document.getElementById("announcements");
  if (said) said.textContent = isMarked ? "Marked. Nothing was decided." : "No longer marked.";
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
  return target.closest("input, textarea, select, dialog[open], [contenteditable]");
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

showMarks();
document.addEventListener("htmx:afterSwap", showMarks);

// The account menu closes like a menu.
const account = document.getElementById("account");
document.addEventListener("click", (event) => {
  if (account?.open && !account.contains(event.target)) account.open = false;
});
account?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  account.open = false;
  account.querySelector("summary").focus();
});
