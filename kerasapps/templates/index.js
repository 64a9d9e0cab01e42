// Without JavaScript the page shows the newest runs; this sorts, filters by experiment and chooses what is compared.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function key(row, column) {
  const cell = row.cells[column], value = cell.dataset.sort ?? cell.textContent.trim();
  return value === "" ? null : isNaN(value) ? value.toLowerCase() : Number(value);
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

all(".sortable th").forEach((heading) => {
  if (heading.textContent) heading.addEventListener("click", () => sort(heading));
});

function filter() {
  const name = decodeURIComponent(location.hash.slice(1));
  const known = all("[data-filter]").some((one) => one.dataset.filter === name);
  all("[data-filter]").forEach((one) => one.classList.toggle("chosen", one.dataset.filter === (known ? name : "")));
  all("[data-experiment]").forEach((one) => { one.hidden = known && name !== "" && one.dataset.experiment !== name; });
}

addEventListener("hashchange", filter);
filter();

function show(box) {
  all(`[data-run="${box.dataset.choose}"]`).forEach((one) => one.toggleAttribute("hidden", !box.checked));
}

function hideWhatIsEqual() {
  all(".setting").forEach((row) => {
    const shown = all("td[data-run]:not([hidden])", row).map((cell) => cell.textContent);
    row.hidden = new Set(shown).size < 2;
  });
}

all("[data-choose]").forEach((box) => {
  box.addEventListener("change", () => { show(box); hideWhatIsEqual(); });
  show(box);  // a browser keeps what was ticked when the page is opened again
});
hideWhatIsEqual();
