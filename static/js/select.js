// Selecting requests: a tick, or "x" on the row that has the focus. Where a row has no tick, "x"
// marks it for oneself. Both are kept by this window until it is closed, and decide nothing:
// what is selected is shown on a page of its own before anything can be.

const MARKS = "marks";
const MAX_MARKS = 500;

const marks = () => new Set(JSON.parse(sessionStorage.getItem(MARKS) ?? "[]"));
const ticks = () => [...document.querySelectorAll("[data-select]")];

export function showMarks() {
  const marked = marks();
  for (const row of document.querySelectorAll("[data-marks] tr[id]")) {
    row.toggleAttribute("data-marked", marked.has(row.id));
    const tick = row.querySelector("[data-select]");
    if (tick) tick.checked = marked.has(row.id);
  }
  showCount();
}

function showCount() {
  const bar = document.querySelector("[data-select-bar]");
  if (!bar) return;
  const count = ticks().filter((tick) => tick.checked).length;
  const most = Number(bar.dataset.most);
  bar.toggleAttribute("data-too-many", count > most);
  const said = bar.querySelector("[data-select-count]");
  said.dataset.none ??= said.textContent;
  if (count > most) said.textContent = `${count} selected, and at most ${most} go at once.`;
  else said.textContent = count ? `${count} selected.` : said.dataset.none;
}

function keep(row, isMarked) {
  const marked = marks();
  if (isMarked) marked.add(row.id);
  else marked.delete(row.id);
  sessionStorage.setItem(MARKS, JSON.stringify([...marked].slice(-MAX_MARKS)));
  showMarks();
}

function say(words) {
  const said = document.getElementById("announcements");
  if (said) said.textContent = words;
}

export function mark() {
  const row = document.activeElement?.closest("[data-marks] tr[id]");
  if (!row) return;
  const isMarked = !row.hasAttribute("data-marked");
  keep(row, isMarked);
  const word = row.querySelector("[data-select]") ? "selected" : "marked";
  if (!isMarked) say(`No longer ${word}.`);
  else say(`${word[0].toUpperCase()}${word.slice(1)}. Nothing was decided.`);
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-select]")) keep(event.target.closest("tr"), event.target.checked);
});

// A page that the browser brings back has the ticks that it had, and the marks of now.
window.addEventListener("pageshow", showMarks);
document.addEventListener("htmx:afterSwap", showMarks);
