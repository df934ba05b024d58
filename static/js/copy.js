// Copy buttons: shown only where they work.

function reveal() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

if (navigator.clipboard) {
  reveal();
  document.addEventListener("htmx:afterSwap", reveal);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const announcements = document.getElementById("announcements");
    announcements.textContent = "Copied.";
    button.dataset.copied = "yes";
    setTimeout(() => {
      announcements.textContent = "";
      delete button.dataset.copied;
    }, 1500);
  });
}
