"use strict";
const panel = document.getElementById("panel");
const proof = document.getElementById("proof");

// Without this script the number is a plain link to its evidence further down the page.
document.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
  const cell = event.target.closest("[data-cell]");
  if (!cell || !panel.showModal) return;
  event.preventDefault();
  const copy = document.getElementById(cell.dataset.evidence).cloneNode(true);
  copy.removeAttribute("id");
  copy.querySelector("h4").id = "panel-title";
  cell.querySelector("a").focus({ preventScroll: true }); // where focus returns to
  proof.replaceChildren(copy);
  panel.showModal();
  panel.scrollTop = 0;
});

// Paper has no fold: everything is opened for it, and put back afterwards.
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    folded.add(part);
    part.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
  folded.clear();
});
