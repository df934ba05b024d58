// Menus that are <details>: Escape closes one and goes back to its word, a press beside it closes
// it, and so does the focus when it leaves. Without this script its word does.

const open = () => document.querySelector("[data-menu][open]");

document.addEventListener("keydown", (event) => {
  const menu = open();
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

function closeUnlessIn(target) {
  const menu = open();
  if (menu && target instanceof Node && !menu.contains(target)) menu.open = false;
}

document.addEventListener("pointerdown", (event) => closeUnlessIn(event.target));
document.addEventListener("focusin", (event) => closeUnlessIn(event.target));
