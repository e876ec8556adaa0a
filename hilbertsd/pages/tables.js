"use strict";

// Tables: a heading's button sorts by its column, and the other way when pressed again.
for (const table of document.querySelectorAll(".table table")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      const rows = [...body.rows].map(row => {
        const cell = row.cells[column];
        const text = cell.textContent;
        return {row, text, number: "value" in cell.dataset ? Number(cell.dataset.value) : null};
      });
      rows.sort((a, b) => compare(a, b, ascending ? 1 : -1));
      body.append(...rows.map(({row}) => row));
      headings.forEach(each => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    });
  });
}

// Numbers before words, and empty cells last in either direction.
function compare(a, b, sign) {
  const rank = ({number, text}) => number !== null ? 0 : text ? 1 : 2;
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  return sign * (a.number !== null ? a.number - b.number : a.text.localeCompare(b.text));
}
