// Tables are sorted by a click on a column's head: down, up, and back to the order of the server.
"use strict";

const NEXT = { none: "descending", descending: "ascending", ascending: "none" };
const order = new Map(); // the order of each table by its position on the page: [column, direction]

function cellValue(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replaceAll(",", "").replace("−", "-").replace(/\s*%$/, ""));
  return text !== "" && Number.isFinite(number) ? number : text;
}

function compareValues(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? 1 : -1; // what has no number comes last, downwards
  return a.localeCompare(b, document.documentElement.lang);
}

function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  table.rowsAsSent ??= [...body.rows];
  const rows = [...table.rowsAsSent];
  const sign = direction === "ascending" ? 1 : -1;
  if (direction !== "none") {
    rows.sort((a, b) => sign * compareValues(cellValue(a, column), cellValue(b, column)));
  }
  body.replaceChildren(...rows);
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    if (index === column && direction !== "none") head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  });
}

function addSorting() {
  document.querySelectorAll("main table:not(.grid)").forEach((table, position) => {
    if (table.tHead.querySelector("button") || table.tBodies[0].rows.length < 2) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const direction = NEXT[head.getAttribute("aria-sort") ?? "none"];
        order.set(position, [column, direction]);
        sortTable(table, column, direction);
      });
    });
    if (order.has(position)) sortTable(table, ...order.get(position));
  });
}

addSorting();
document.addEventListener("renewed", addSorting);
