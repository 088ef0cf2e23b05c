// Sorts the leaderboard's tables: a click on a column's head, or Enter on it, and again for the other way.
"use strict";

// The first number of a cell, or its text; what has none goes to the end.
function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const found = text.replace(/\u2212/g, "-").match(/^-?\d+(\.\d+)?/);
  return found ? Number(found[0]) : /^[–?]/.test(text) ? null : text;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other));
}

function sortBy(table, column, downwards) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, value: valueOf(row, column) }));
  const known = rows.filter((one) => one.value !== null);
  known.sort((one, other) => compare(one.value, other.value) * (downwards ? -1 : 1));
  const lacking = rows.filter((one) => one.value === null);
  body.append(...known.concat(lacking).map((one) => one.row));
}

function makeSortable(table) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    head.tabIndex = 0;
    head.style.cursor = "pointer";
    const sort = () => {
      const downwards = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      sortBy(table, column, downwards);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

if (/leaderboard(\.html)?$/.test(location.pathname)) {
  document.querySelectorAll("table").forEach(makeSortable);
}
