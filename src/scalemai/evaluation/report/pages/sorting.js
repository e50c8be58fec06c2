"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => {
        const cell = row.cells[column] ?? row.cells[0];
        const number = parseFloat(cell.dataset.sort);
        return { row, text: cell.textContent.trim(), number: Number.isNaN(number) ? null : number };
      });
      const sign = down ? -1 : 1;
      keyed.sort((a, b) => {
        if (a.number !== null && b.number !== null) return sign * (a.number - b.number);
        if (a.number !== null || b.number !== null) return a.number !== null ? -1 : 1;
        return sign * a.text.localeCompare(b.text, "en", { numeric: true });
      });
      body.append(...keyed.map((entry) => entry.row));
    });
  });
}
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
});
