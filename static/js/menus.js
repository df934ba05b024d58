// Menus that are <details>: Escape closes one and goes back to its word, a press beside it closes
// it, and so does the focus when it leaves. Without this script its word does. While a dialog is
// open nothing is closed beneath it: the focus goes back there.

const dialog = () => document.querySelector("dialog[open]");
const openMenu = () => (dialog() ? null : document.querySelector("[data-menu][open]"));

document.addEventListener("keydown", (event) => {
  const menu = openMenu();
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

function closeUnlessIn(target) {
  const menu = openMenu();
  if (menu && target instanceof Node && !menu.contains(target)) menu.open = false;
}

document.addEventListener("pointerdown", (event) => closeUnlessIn(event.target));
document.addEventListener("focusin", (event) => closeUnlessIn(event.target));
