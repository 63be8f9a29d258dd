// Fetches the page again while its tab is visible, and replaces <main>.
"use strict";

const every = () => (document.querySelector('[data-busy="1"]') ? 2000 : 10000);

const main = document.querySelector("main");
let shown = main.innerHTML; // as the server sent it, before other scripts add to it

const isBusy = () => String(getSelection()) || document.activeElement?.closest?.("main input, main select");

function kept() {
  const boxes = [...document.querySelectorAll("main .scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const open = [...document.querySelectorAll("main details")].map((one) => one.open);
  const link = document.activeElement?.closest?.("main a")?.getAttribute("href");
  return { boxes, open, link };
}

function putBack({ boxes, open, link }) {
  document.querySelectorAll("main .scroll").forEach((box, n) => boxes[n] && ([box.scrollLeft, box.scrollTop] = boxes[n]));
  document.querySelectorAll("main details").forEach((one, n) => (one.open = Boolean(open[n])));
  const again = link && [...document.querySelectorAll("main a")].find((one) => one.getAttribute("href") === link);
  again?.focus({ preventScroll: true });
}

async function refresh() {
  if (document.visibilityState === "visible" && !isBusy()) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.querySelector("main");
      if (answer.ok && now && now.innerHTML !== shown) {
        const state = kept();
        shown = now.innerHTML;
        main.replaceChildren(...now.childNodes);
        document.dispatchEvent(new Event("renewed"));
        putBack(state);
      }
    } catch {
      // The server is unavailable; try again later.
    }
  }
  setTimeout(refresh, every());
}

// Scroll to the newest slots, at the right.
for (const box of document.querySelectorAll("main .scroll:has(.grid)")) {
  const last = [...box.querySelectorAll("tbody tr:first-child .sq:not(.due):not(.none)")].pop();
  if (last) box.scrollLeft = last.offsetLeft - box.clientWidth + 60;
}
setTimeout(refresh, every());
