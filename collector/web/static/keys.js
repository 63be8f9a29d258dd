// Keyboard: / search, arrows for slots, Shift with arrows for days, ? help. Buttons that copy a command.
"use strict";

const STEPS = { ArrowLeft: "back", ArrowRight: "on" };

function step(direction, isShifted) {
  const names = isShifted ? [`day-${direction}`] : [`slot-${direction}`, `day-${direction}`];
  const links = names.map((name) => document.querySelector(`main [data-step="${name}"]`));
  links.find(Boolean)?.click();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea, .scroll, svg");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement?.blur();
  if (event.target.closest?.("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    const input = document.getElementById("q");
    input.focus();
    input.select();
  } else if (event.key === "?") {
    document.getElementById("help").showModal();
  } else if (STEPS[event.key] && !isTyping) {
    step(STEPS[event.key], event.shiftKey);
  }
});

function addCopyButtons() {
  if (!navigator.clipboard) return; // only secure contexts and loopback have one
  const { copy, copied } = document.body.dataset;
  for (const code of document.querySelectorAll("main code.command:not(:has(+ button))")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = copy;
    button.setAttribute("aria-label", `${copy}: ${code.textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = copied;
    });
    code.after(button);
  }
}

addCopyButtons();
document.addEventListener("renewed", addCopyButtons);
