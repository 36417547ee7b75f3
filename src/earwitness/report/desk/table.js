// The table of sounds: search, filter by verdict, sort by column; rows are of the page itself.

/** Sort rows by the column whose heading is pressed, again in the other direction; others stay last. */
function makeSortable(table, rows, others = []) {
  const heads = [...table.tHead.rows[0].cells], collator = new Intl.Collator(undefined, { numeric: true }), first = new Map(rows.map((row, k) => [row, k]));
  for (const button of table.tHead.querySelectorAll("button")) {
    const head = button.closest("th"), column = heads.indexOf(head);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(one => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const keys = new Map(rows.map(row => [row, row.cells[column].dataset.sort ?? row.cells[column].textContent.trim()]));
      const numbers = [...keys.values()].every(key => key === "" || Number.isFinite(Number(key)));
      const before = (a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (numbers && (x === "" || y === "")) return (x === "") - (y === ""); // without a value: last
        const order = numbers ? Number(x) - Number(y) : collator.compare(x, y);
        return falling ? -order : order;
      };
      table.tBodies[0].append(...[...rows].sort((a, b) => before(a, b) || first.get(a) - first.get(b)), ...others);
    });
  }
}

function startTable(table, { search, filter, status, open, play }) {
  const body = table.tBodies[0], rows = [...body.rows];
  const isSound = row => row.classList.contains("sound"), sounds = rows.filter(isSound), missing = rows.filter(row => !isSound(row));
  const textOf = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));
  const gradesOf = row => (row.dataset.grades ?? "").split(" ");
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every(word => textOf.get(row).includes(word)) && (!filter.value || gradesOf(row).includes(filter.value));
      row.hidden = !fits;
      shown += fits;
    }
    status.textContent = shown === rows.length ? `${shown} sound${shown === 1 ? "" : "s"}` : `${shown} of ${rows.length} sounds`;
  };
  search.addEventListener("input", show);
  filter.addEventListener("change", show);
  makeSortable(table, sounds, missing);
  body.addEventListener("click", event => {
    const button = event.target.closest("button"), row = event.target.closest("tr.sound");
    if (!row) return;
    if (button?.classList.contains("play")) play(Number(row.dataset.clip));
    else if (!event.target.closest("a")) open(Number(row.dataset.clip));
  });
  show();
  const visible = () => [...body.rows].filter(row => isSound(row) && !row.hidden).map(row => Number(row.dataset.clip));
  return {
    rows: sounds.length,
    peak: Math.max(...rows.map(row => Number(row.dataset.peak) || 0)) || 1, // largest magnitude of all sounds
    /** Return the clip that is `step` rows below another in the order shown; the first or last without one. */
    beside(clip, step) {
      const order = visible(), at = order.indexOf(clip);
      if (at < 0) return step > 0 ? order[0] : order[order.length - 1];
      return order[at + step];
    },
    place(clip) { const order = visible(); return [order.indexOf(clip) + 1, order.length]; },
    mark(clip) {
      for (const row of rows) {
        const here = Number(row.dataset.clip) === clip;
        if (here) { row.setAttribute("aria-current", "true"); row.scrollIntoView({ block: "nearest" }); } else row.removeAttribute("aria-current");
      }
    },
    rowOf: clip => rows.find(row => Number(row.dataset.clip) === clip),
  };
}
