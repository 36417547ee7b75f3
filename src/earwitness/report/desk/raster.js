// Cells of the plane as pixels: the strongest cell of each pixel, coloured, with the mask's outline.

/** Return the largest value among the cells of each pixel, row by row; ranges are of rasterCells. */
function pooledLargest(values, frames, { rows, columns }) {
  return pooledBy(values, frames, rows, columns, (row, from, to) => {
    let best = row[from];
    for (let k = from + 1; k < to; k++) if (row[k] > best) best = row[k];
    return best;
  });
}

/** Return the value of largest size, of either sign, among the cells of each pixel. */
function pooledSigned(values, frames, { rows, columns }) {
  return pooledBy(values, frames, rows, columns, (row, from, to) => {
    let best = row[from];
    for (let k = from + 1; k < to; k++) if (Math.abs(row[k]) > Math.abs(best)) best = row[k];
    return best;
  });
}

/** Pool along the frames of each bin, then along the bins; `best(values, from, to)` is of one run. */
function pooledBy(values, frames, rows, columns, best) {
  const height = rows.from.length, width = columns.from.length;
  const first = rows.from.reduce((a, b) => Math.min(a, b)), last = rows.to.reduce((a, b) => Math.max(a, b)), tall = last - first;
  const across = new Float32Array(tall * width); // column by column, so that runs of bins are contiguous
  for (let bin = first; bin < last; bin++) {
    const row = values.subarray(bin * frames, (bin + 1) * frames);
    for (let x = 0, out = bin - first; x < width; x++, out += tall) across[out] = best(row, columns.from[x], columns.to[x]);
  }
  const found = new Float32Array(height * width);
  for (let x = 0; x < width; x++) {
    const column = across.subarray(x * tall, (x + 1) * tall);
    for (let y = 0, out = x; y < height; y++, out += width) found[out] = best(column, rows.from[y] - first, rows.to[y] - first);
  }
  return found;
}

/** Return the values that a view shows, how cells are pooled, and the colours from low to high. */
function viewOf(desk) {
  const { show, floor } = desk.view, { levels, gains, reference } = desk;
  if (show === "attribution") return signedView(weightsOf(desk.codes, desk.explanation.map.values), desk.top, desk.grey);
  const kept = { evidence: gain => gain, remainder: gain => 1 - gain }[show];
  const values = kept && gains ? levels.map((level, k) => level + decibels(kept(gains[k]))) : levels;
  return { values, pool: pooledLargest, low: floor - reference, high: -reference, colours: coloursOf("level") };
}

/** Return the view of a signed map. */
function signedView(values, top, grey) {
  return { values, pool: pooledSigned, low: -top, high: top, colours: coloursOf(grey ? "grey" : "signed") };
}

const decibels = gain => (gain > 1e-6 ? 20 * Math.log10(gain) : -300);

/** Return a canvas with the picture of a window, width x height pixels. */
function rasterOf(desk, width, height, window = desk.view.window, view = viewOf(desk)) {
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const cells = rasterCells(desk.clip, window, desk.view.axis, width, height);
  const values = view.pool(view.values, desk.clip.plane.frames, cells), scale = 255 / (view.high - view.low);
  for (let k = 0; k < values.length; k++) {
    pixels[k] = view.colours[Math.min(255, Math.max(0, Math.round((values[k] - view.low) * scale)))];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return a transparent canvas with the outline of what is kept, `thick` pixels wide on either side. */
function outlineOf(desk, width, height, thick) {
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const gains = pooledLargest(desk.gains, desk.clip.plane.frames, rasterCells(desk.clip, desk.view.window, desk.view.axis, width, height));
  const [line, halo] = isDark() ? [0xffffe866, 0xc0000000] : [0xff6a5b00, 0xe0ffffff];
  for (let y = thick; y < height - thick; y++) {
    for (let x = thick, at = y * width + thick; x < width - thick; x++, at++) {
      const here = gains[at] >= 0.5;
      for (let d = 1; d <= thick; d++) {
        if (here === (gains[at - d] >= 0.5) && here === (gains[at + d] >= 0.5) && here === (gains[at - d * width] >= 0.5) && here === (gains[at + d * width] >= 0.5)) continue;
        pixels[at] = here ? line : halo;
        break;
      }
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
