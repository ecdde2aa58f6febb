"use strict";
(() => {
  const table = document.getElementById("rows");
  const [wanted, pair, found] = ["wanted", "pair", "found"].map((name) => document.getElementById(name));
  const { first, second } = table.dataset;
  const rows = Array.from(table.tBodies[0].rows, (row) => ({
    row,
    text: row.textContent.toLowerCase(),
    pair: `${row.cells[first].textContent} → ${row.cells[second].textContent}`,
  }));
  const search = () => {
    const text = wanted.value.toLowerCase();
    const answers = pair ? pair.value : "";
    let count = 0;
    for (const each of rows) {
      const shown = each.text.includes(text) && (answers === "" || each.pair === answers);
      each.row.hidden = !shown;
      count += shown;
    }
    found.textContent = `${count} of ${rows.length}`;
  };
  for (const field of [wanted, pair]) {
    if (field) field.addEventListener("input", search);
  }
  document.getElementById("search").hidden = false;
  search();
})();
