// Charts: the values under the pointer. The map: a slider for the time of day.
"use strict";

function showColumn(chart, hit) {
  const cursor = chart.querySelector(".cursor");
  cursor.setAttribute("x1", hit.dataset.x);
  cursor.setAttribute("x2", hit.dataset.x);
  cursor.classList.add("on");
  chart.parentElement.querySelector(".readout").textContent = hit.querySelector("title").textContent;
}

document.addEventListener("pointerover", (event) => {
  const hit = event.target.closest?.(".chart .hit");
  if (hit) showColumn(hit.closest(".chart"), hit);
});

function move(chart, by) {
  const hits = [...chart.querySelectorAll(".hit")];
  const at = chart.dataset.at === undefined ? hits.length - 1 : Number(chart.dataset.at) + by;
  chart.dataset.at = Math.max(0, Math.min(hits.length - 1, at));
  showColumn(chart, hits[chart.dataset.at]);
}

document.addEventListener("keydown", (event) => {
  const chart = event.target.closest?.(".chart[tabindex]");
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!chart || !by) return;
  event.preventDefault();
  move(chart, by);
  chart.parentElement.querySelector(".readout").setAttribute("aria-live", "polite");
});

document.addEventListener("input", (event) => {
  if (event.target.id !== "map-time") return;
  const slot = event.target.dataset.slots.trim().split(" ")[event.target.value];
  event.target.parentElement.querySelector("output").textContent = `${slot.slice(9, 11)}:${slot.slice(11, 13)}`;
});

document.addEventListener("change", (event) => {
  if (event.target.id !== "map-time") return;
  const address = new URL(event.target.dataset.path, location.href);
  address.searchParams.set("slot", event.target.dataset.slots.trim().split(" ")[event.target.value]);
  location.assign(address);
});
