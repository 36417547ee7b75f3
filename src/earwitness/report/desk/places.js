// Regions of a mask, or strokes of the brush, as labels for sound editors and as a table.
// A place is {start, end, low, high, share}, in seconds of the file, Hz, and share of the positive
// attribution or null.

const MOST_PLACES = 12; // more are unreadable in an editor
const LEAST_PLACE_SHARE = 0.01; // of the positive attribution

/**
 * Return the connected regions of gains above a half as places, in order of time; render/labels.py.
 * weights: the attribution of each cell, by which the strongest twelve are chosen, or null for all.
 */
function regionsOf(gains, clip, weights = null) {
  const { bins, frames, hop, n_fft: length } = clip.plane, found = [], open = [];
  const seen = new Uint8Array(gains.length);
  for (let first = 0; first < gains.length; first++) {
    if (seen[first] || !(gains[first] > 0.5)) continue;
    const box = { left: frames, right: 0, low: bins, high: 0, sum: 0 };
    open.push(first);
    seen[first] = 1;
    while (open.length) {
      const cell = open.pop(), bin = Math.floor(cell / frames), frame = cell % frames;
      box.left = Math.min(box.left, frame); box.right = Math.max(box.right, frame);
      box.low = Math.min(box.low, bin); box.high = Math.max(box.high, bin);
      if (weights) box.sum += Math.max(0, weights[cell]);
      for (let b = Math.max(0, bin - 1); b <= Math.min(bins - 1, bin + 1); b++) {
        for (let f = Math.max(0, frame - 1); f <= Math.min(frames - 1, frame + 1); f++) {
          const next = b * frames + f;
          if (!seen[next] && gains[next] > 0.5) { seen[next] = 1; open.push(next); }
        }
      }
    }
    found.push(box);
  }
  const whole = weights ? weights.reduce((sum, one) => sum + Math.max(0, one), 0) : 0;
  if (weights && !(whole > 0)) return [];
  const strongest = weights
    ? found.sort((a, b) => b.sum - a.sum).slice(0, MOST_PLACES).filter(box => box.sum >= LEAST_PLACE_SHARE * whole)
    : found;
  const half = frames > 1 ? 0.5 : 0;
  return strongest.sort((a, b) => a.left - b.left).map(box => placeOfBox(clip, {
    start: (box.left - half) * hop / clip.rate, end: (box.right + half) * hop / clip.rate,
    low: box.low * clip.rate / length, high: box.high * clip.rate / length,
    share: weights ? box.sum / whole : null,
  }));
}

/** Return the strokes that keep as places. */
function strokeRegions(strokes, clip) {
  return strokes.filter(stroke => stroke.mode === "keep").map(stroke => {
    let { t0 = 0, t1 = Infinity, f0 = 0, f1 = Infinity } = stroke;
    if (stroke.points) {
      const times = stroke.points.map(([t]) => t), hertz = stroke.points.map(([, f]) => f);
      const harmonics = stroke.tool === "harmonics", around = harmonics ? stroke.width / 2 : 0;
      [t0, t1, f0, f1] = [Math.min(...times), Math.max(...times), Math.min(...hertz) - around, Math.max(...hertz) * (harmonics ? stroke.count : 1) + around];
    }
    return placeOfBox(clip, { start: t0, end: t1, low: f0, high: f1, share: null });
  });
}

/** Clip a place to the sound, and counts from the beginning of the file. */
function placeOfBox({ rate, samples, start: offset }, { start, end, low, high, share }) {
  const within = (value, most) => Math.min(most, Math.max(0, value));
  return {
    start: within(start, samples / rate) + offset, end: within(end, samples / rate) + offset,
    low: within(low, rate / 2), high: within(high, rate / 2), share,
  };
}

/** A tab or a line break would end a label. */
const placeText = (label, share) => label.split(/\s+/).filter(Boolean).join(" ") + (share === null ? "" : ` ${Math.round(100 * share)}%`);

/** Return labels of Audacity: start and end in seconds and the text, then the range in Hz. */
function audacityText(places, label) {
  return places.map(({ start, end, low, high, share }) =>
    `${start.toFixed(6)}\t${end.toFixed(6)}\t${placeText(label, share)}\n\\\t${low.toFixed(2)}\t${high.toFixed(2)}\n`).join("");
}

/** Return a selection table of Raven, with its columns and an annotation. */
function ravenText(places, label) {
  const head = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Annotation"];
  const rows = places.map(({ start, end, low, high, share }, k) =>
    [k + 1, "Spectrogram 1", 1, start.toFixed(6), end.toFixed(6), low.toFixed(2), high.toFixed(2), placeText(label, share)]);
  return [head, ...rows].map(row => `${row.join("\t")}\n`).join("");
}

/** Return a table of comma-separated values (RFC 4180). */
function csvText(places, label) {
  const quoted = `"${placeText(label, null).replaceAll('"', '""')}"`;
  const rows = places.map(({ start, end, low, high, share }) =>
    [start.toFixed(6), end.toFixed(6), low.toFixed(2), high.toFixed(2), quoted, share === null ? "" : share.toFixed(4)]);
  return [["start_s", "end_s", "low_hz", "high_hz", "label", "share"], ...rows].map(row => `${row.join(",")}\r\n`).join("");
}
