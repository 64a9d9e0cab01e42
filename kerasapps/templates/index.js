// Without JavaScript the page shows the newest runs; this filters by experiment and chooses what is compared.
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
