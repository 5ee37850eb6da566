"use strict";
const panel = document.getElementById("panel");
const proof = document.getElementById("proof");

// Each job stands once on the page; in the panel it unfolds where the chain names it.
function unfolded(link) {
  const job = document.getElementById(link.hash.slice(1)).cloneNode(true);
  const part = document.createElement("details");
  part.className = "job";
  const summary = document.createElement("summary");
  summary.append(link.textContent, " ", link.parentElement.querySelector(".record").cloneNode(true));
  job.querySelector("h4").remove();
  part.append(summary, ...job.childNodes);
  return part;
}

function show(cell) {
  const copy = document.getElementById(cell.dataset.evidence).cloneNode(true);
  copy.removeAttribute("id");
  copy.querySelector("h4").id = "panel-title";
  for (const link of copy.querySelectorAll(".chain a")) {
    link.parentElement.replaceChildren(unfolded(link));
  }
  cell.querySelector("a").focus({ preventScroll: true }); // where focus returns to
  proof.replaceChildren(copy);
  panel.showModal();
  panel.scrollTop = 0;
}

// Without this script the number is a plain link to its evidence further down the page.
document.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
  const cell = event.target.closest("[data-cell]");
  if (!cell || !panel.showModal) return;
  event.preventDefault();
  show(cell);
});

// A number opens something in place, as a button does, so Space works as Enter does.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.closest("[data-cell] a")) return;
  event.preventDefault();
  event.target.click();
});

// Paper has no fold: everything is opened for it, and put back afterwards.
const folded = new Set();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("main details:not([open])")) {
    folded.add(part);
    part.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
  folded.clear();
});
