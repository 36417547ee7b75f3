// The brush: which cells a stroke covers, and what strokes make of a mask.
//
// A stroke is {tool, mode: "keep" | "erase", ...}, in seconds and Hz: t0, t1 of "time"; f0, f1 of
// "frequency"; all four of "box"; points [[s, Hz], ...] of "free", a polygon, and of "harmonics", a
// line whose multiples 1 to count are covered, each `width` Hz wide.

/** Return gains: `base`, or nothing if null, with the strokes painted over it in their order. */
function brushGains(strokes, base, plane, rate) {
  const gains = base ? Float32Array.from(base) : new Float32Array(plane.bins * plane.frames);
  for (const stroke of strokes) {
    const value = stroke.mode === "keep" ? 1 : 0;
    coverCells(stroke, plane, rate, (bin, frame) => { gains[bin * plane.frames + frame] = value; });
  }
  return gains;
}

/** Call visit(bin, frame) for each cell of a stroke; a stroke is at least one cell wide. */
function coverCells(stroke, plane, rate, visit) {
  if (stroke.tool === "free") return coverPolygon(stroke.points, plane, rate, visit);
  if (stroke.tool === "harmonics") return coverHarmonics(stroke, plane, rate, visit);
  const { t0 = 0, t1 = Infinity, f0 = 0, f1 = Infinity } = stroke;
  const [first, last] = nearestRange(t0, t1, plane.hop / rate, plane.frames);
  const [low, high] = nearestRange(f0, f1, rate / plane.n_fft, plane.bins);
  for (let bin = low; bin <= high; bin++) {
    for (let frame = first; frame <= last; frame++) visit(bin, frame);
  }
}

/** Return the first and last of `count` centres, `apart` from each other, nearest to two values. */
function nearestRange(from, to, apart, count) {
  const limit = value => Math.min(count - 1, Math.max(0, Math.round(value / apart)));
  return [limit(Math.min(from, to)), limit(Math.max(from, to))];
}

/** Cells whose centre lies inside, by the even-odd rule. */
function coverPolygon(points, plane, rate, visit) {
  for (let frame = 0; frame < plane.frames; frame++) {
    const time = frame * plane.hop / rate, crossings = [];
    points.forEach(([t0, f0], k) => {
      const [t1, f1] = points[(k + 1) % points.length];
      if ((t0 <= time) !== (t1 <= time)) crossings.push(f0 + (f1 - f0) * (time - t0) / (t1 - t0));
    });
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const low = Math.max(0, Math.ceil(crossings[k] * plane.n_fft / rate));
      const high = Math.min(plane.bins - 1, Math.floor(crossings[k + 1] * plane.n_fft / rate));
      for (let bin = low; bin <= high; bin++) visit(bin, frame);
    }
  }
}

function coverHarmonics({ points, width, count }, plane, rate, visit) {
  for (let k = 0; k + 1 < points.length; k++) {
    const [[t0, f0], [t1, f1]] = [points[k], points[k + 1]];
    const [first, last] = nearestRange(t0, t1, plane.hop / rate, plane.frames);
    for (let frame = first; frame <= last; frame++) {
      const share = t1 === t0 ? 0 : Math.min(1, Math.max(0, (frame * plane.hop / rate - t0) / (t1 - t0)));
      for (let number = 1; number <= count; number++) {
        const centre = number * (f0 + (f1 - f0) * share);
        if (centre > rate / 2) break;
        const [low, high] = nearestRange(centre - width / 2, centre + width / 2, rate / plane.n_fft, plane.bins);
        for (let bin = low; bin <= high; bin++) visit(bin, frame);
      }
    }
  }
}
