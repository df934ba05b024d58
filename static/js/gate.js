// A colleague may decide while a reason is being typed: then the form goes and its text stays.

function close() {
  const standing = document.querySelector("#standing [data-gate-closed]");
  const decision = document.querySelector(".decision");
  if (!standing || !decision || "over" in decision.dataset) return;
  const reason = decision.querySelector("textarea");
  const said = standing.querySelector("[data-announcement]").textContent;
  decision.dataset.over = "";
  decision.querySelector("h2").textContent = said;
  decision.querySelectorAll(".lede, .decision-buttons, .help, .field-error, .optional")
    .forEach((part) => part.remove());
  reason.readOnly = true;
  reason.labels[0].textContent = "What you had typed; nothing of it was recorded";
  reason.closest(".field").hidden = !reason.value;
}

// What has been claimed is not taken back any more.
function claimed() {
  if (document.querySelector("#standing [data-claimed]")) {
    document.querySelector("#take-back")?.remove();
  }
}

document.addEventListener("htmx:afterSwap", close);
document.addEventListener("htmx:afterSwap", claimed);
