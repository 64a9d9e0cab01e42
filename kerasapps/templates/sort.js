// Comfort only: without it everything can be read. A click or Enter on a heading sorts a table, a second one turns it round.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function key(row, column) {
  const cell = row.cells[column], value = cell.dataset.sort ?? cell.textContent.trim();
  if (value === "" || value === "–") return null;
  const number = Number(value.replace(/(?<=\d),(?=\d{3})|\s%$/g, ""));  // 1,234 and 98.3 % are numbers
  return isNaN(number) ? value.toLowerCase() : number;
}

function sort(heading) {
  const table = heading.closest("table"), body = table.tBodies[0], column = heading.cellIndex;
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  const rows = all(":scope > tr", body).map((row) => [key(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);  // what is missing comes last either way
    return typeof a === typeof b ? sign * (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  });
  body.append(...rows.map(([, row]) => row));
}

all(".sortable thead th").forEach((heading) => {
  if (!heading.textContent) return;
  heading.classList.add("sorts");
  heading.tabIndex = 0;
  heading.addEventListener("click", () => sort(heading));
  heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(heading); });
});
