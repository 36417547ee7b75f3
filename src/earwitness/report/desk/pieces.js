// The pieces of perturbation methods: listed by weight, drawn on the picture, switched there or here.

const MOST_PIECES = 12; // switches; weaker pieces are switched together

/** Return the state of the pieces: which are on, and the groups that are switched together. */
function newPieces(one, indices) {
  const { table } = one.pieces;
  const order = table.map((_, k) => k).sort((a, b) => Math.abs(table[b].weight ?? 0) - Math.abs(table[a].weight ?? 0));
  const groups = order.slice(0, MOST_PIECES).map(k => [k]);
  if (order.length > MOST_PIECES) groups.push(order.slice(MOST_PIECES));
  return { on: table.map(() => true), groups, indices, open: false, drawn: null, sounds: null };
}

/** Fill the panel of the pieces; changed() is called after a switch. */
function fillPieces(host, desk, changed) {
  const { pieces, explanation } = desk, list = host.querySelector(".piece-list"), status = host.querySelector(".piece-state");
  const { table } = explanation.pieces, largest = Math.max(...table.map(piece => Math.abs(piece.weight ?? 0))) || 1;
  const buttons = pieces.groups.map(group => {
    const piece = table[group[0]], many = group.length > 1, weight = piece.weight;
    const known = !many && weight !== null && weight !== undefined;
    return el(
      "button", { type: "button", "aria-pressed": "true" },
      el("span", { class: "piece-name" }, many ? `the other ${group.length} pieces` : piece.name),
      el("span", { class: `weight ${known && weight < 0 ? "negative" : ""}` }, known ? el("i", { style: { width: `${100 * Math.abs(weight) / largest}%` } }) : null),
      el("span", { class: "piece-value" }, known ? `${weight > 0 ? "+" : ""}${figure(weight)}${piece.low < piece.high ? ` (${figure(piece.low, 2)} to ${figure(piece.high, 2)})` : ""}` : ""),
    );
  });
  list.replaceChildren(...buttons);
  rove(list);
  const show = () => {
    pieces.groups.forEach((group, k) => buttons[k].setAttribute("aria-pressed", String(group.every(i => pieces.on[i]))));
    status.textContent = `${pieces.on.filter(Boolean).length} of ${pieces.on.length} on`;
    pieces.drawn = null;
  };
  pieces.only = only => { pieces.on = pieces.on.map((_, k) => only === null || k === only); show(); };
  const set = (group, on) => { group.forEach(k => { pieces.on[k] = on; }); show(); changed(); };
  buttons.forEach((button, k) => button.addEventListener("click", () => set(pieces.groups[k], !pieces.groups[k].every(i => pieces.on[i]))));
  host.querySelector(".all-on").onclick = () => set(pieces.on.map((_, k) => k), true);
  host.querySelector(".all-off").onclick = () => set(pieces.on.map((_, k) => k), false);
  host.ontoggle = () => { pieces.open = host.open; desk.picture.drawMoving(); };
  pieces.open = host.open;
  show();
  pieces.switchAt = (t, f) => {
    const [bin, frame] = cellOf(desk.clip, t, f), index = pieces.indices[bin * desk.clip.plane.frames + frame];
    if (index !== 65535) set([index], !pieces.on[index]);
  };
}

/** Draw the edges of the pieces, and a veil over those that are off. */
function drawPieces(context, scales, desk) {
  const { pieces, clip, view } = desk;
  if (!pieces?.open || !pieces.indices) return;
  const { x, y, width, height } = scales.box, w = Math.round(width), h = Math.round(height);
  const key = JSON.stringify([view.window, view.axis, w, h, isDark()]);
  if (pieces.drawn?.key !== key) {
    const canvas = el("canvas", { width: w, height: h }), pen = canvas.getContext("2d");
    const image = pen.createImageData(w, h), pixels = new Uint32Array(image.data.buffer);
    const { columns, rows } = rasterCells(clip, view.window, view.axis, w, h);
    const at = (i, j) => pieces.indices[rows.from[Math.min(h - 1, j)] * clip.plane.frames + columns.from[Math.min(w - 1, i)]];
    const [edge, veil] = isDark() ? [0xc0ffffff, 0xb0000000] : [0xc0000000, 0xb0ffffff];
    for (let j = 0; j < h; j++) {
      for (let i = 0; i < w; i++) {
        const here = at(i, j);
        if (here !== at(i + 1, j) || here !== at(i, j + 1)) pixels[j * w + i] = edge;
        else if (here !== 65535 && !pieces.on[here]) pixels[j * w + i] = veil;
      }
    }
    pen.putImageData(image, 0, 0);
    pieces.drawn = { key, canvas };
  }
  context.drawImage(pieces.drawn.canvas, x, y, width, height);
}
