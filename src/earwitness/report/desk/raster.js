// Cells of the plane as pixels: the strongest cell of each pixel, coloured, with the mask's outline.

/**
 * Return the value of largest size among the cells of each pixel, row by row.
 * `at(cell)` is the value of a cell; ranges are of rasterCells.
 */
function pooled(at, frames, { rows, columns }) {
  const height = rows.from.length, width = columns.from.length;
  let first = Infinity, last = 0;
  for (let y = 0; y < height; y++) { first = Math.min(first, rows.from[y]); last = Math.max(last, rows.to[y]); }
  const across = new Float32Array((last - first) * width);
  for (let bin = first; bin < last; bin++) {
    const row = bin * frames, out = (bin - first) * width;
    for (let x = 0; x < width; x++) {
      let best = at(row + columns.from[x]);
      for (let k = columns.from[x] + 1; k < columns.to[x]; k++) {
        const value = at(row + k);
        if (Math.abs(value) > Math.abs(best)) best = value;
      }
      across[out + x] = best;
    }
  }
  const found = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const out = y * width;
    for (let x = 0; x < width; x++) {
      let best = across[(rows.from[y] - first) * width + x];
      for (let bin = rows.from[y] + 1; bin < rows.to[y]; bin++) {
        const value = across[(bin - first) * width + x];
        if (Math.abs(value) > Math.abs(best)) best = value;
      }
      found[out + x] = best;
    }
  }
  return found;
}

/** Return how a view values its cells, and the colours of the lowest and the highest value. */
function viewOf(desk) {
  const { show, floor } = desk.view, { levels, gains, codes, reference } = desk;
  if (show === "attribution") {
    const values = desk.explanation.map.values, top = desk.top;
    return { at: cell => values[codes[cell]], low: -top, high: top, colours: coloursOf(desk.grey ? "grey" : "signed") };
  }
  // above the floor, so that the largest is the loudest
  const own = cell => levels[cell] + reference - floor;
  let at = own;
  if (show === "evidence" && gains) at = cell => own(cell) + decibels(gains[cell]);
  if (show === "remainder" && gains) at = cell => own(cell) + decibels(1 - gains[cell]);
  return { at: cell => Math.max(0, at(cell)), low: 0, high: -floor, colours: coloursOf("level") };
}

const decibels = gain => (gain > 1e-6 ? 20 * Math.log10(gain) : -300);

/** Return a canvas with the picture of a window, width x height pixels. */
function rasterOf(desk, width, height, window = desk.view.window, view = viewOf(desk)) {
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const cells = rasterCells(desk.clip, window, desk.view.axis, width, height);
  const values = pooled(view.at, desk.clip.plane.frames, cells), scale = 255 / (view.high - view.low);
  for (let k = 0; k < values.length; k++) {
    pixels[k] = view.colours[Math.min(255, Math.max(0, Math.round((values[k] - view.low) * scale)))];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return a transparent canvas with the outline of what is kept; `thick` pixels wide. */
function outlineOf(desk, width, height, thick, kept = cell => desk.gains[cell]) {
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const cells = rasterCells(desk.clip, desk.view.window, desk.view.axis, width, height);
  const gains = pooled(kept, desk.clip.plane.frames, cells);
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && gains[y * width + x] >= 0.5;
  const [line, halo] = isDark() ? [0xffffe866, 0xc0000000] : [0xff6a5b00, 0xe0ffffff];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const here = inside(x, y);
      let edge = false;
      for (let d = 1; d <= thick && !edge; d++) {
        edge = here !== inside(x - d, y) || here !== inside(x + d, y) || here !== inside(x, y - d) || here !== inside(x, y + d);
      }
      if (edge && x > 0 && y > 0 && x < width - 1 && y < height - 1) pixels[y * width + x] = here ? line : halo;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
