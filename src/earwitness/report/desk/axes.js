// Axes of time and frequency: where a pixel lies in seconds and Hz, in frames and bins, and ticks.

const LOWEST = 30; // Hz, where a logarithmic axis begins

const WARPS = {
  linear: { to: f => f, from: u => u },
  mel: { to: f => 2595 * Math.log10(1 + f / 700), from: u => 700 * (10 ** (u / 2595) - 1) },
  log: { to: f => Math.log2(Math.max(f, LOWEST)), from: u => 2 ** u },
};

/** Return the window that shows all of a sound. */
function wholeWindow(clip, axis) {
  return { t0: 0, t1: clip.samples / clip.rate, f0: axis === "log" ? LOWEST : 0, f1: clip.rate / 2 };
}

/** Return the scales of a window on a box of pixels {x, y, width, height}; y grows downwards. */
function makeScales(window, axis, box) {
  const warp = WARPS[axis];
  const low = warp.to(window.f0), span = warp.to(window.f1) - low, time = window.t1 - window.t0;
  return {
    x: t => box.x + box.width * (t - window.t0) / time,
    y: f => box.y + box.height * (1 - (warp.to(f) - low) / span),
    t: x => window.t0 + time * (x - box.x) / box.width,
    f: y => warp.from(low + span * (1 - (y - box.y) / box.height)),
    box, window, axis,
  };
}

/** Return the cells [from, to) that each of n pixels covers, at least one; `cellAt(i)` is the edge. */
function cellRanges(n, count, cellAt) {
  const from = new Int32Array(n), to = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const a = cellAt(i), b = cellAt(i + 1);
    const low = Math.floor(Math.min(a, b) + 0.5), high = Math.floor(Math.max(a, b) + 0.5);
    from[i] = Math.min(count - 1, Math.max(0, low));
    to[i] = Math.min(count, Math.max(from[i] + 1, high));
  }
  return { from, to };
}

/** Return the frames of each column and the bins of each row of a raster of a window. */
function rasterCells(clip, window, axis, width, height) {
  const scales = makeScales(window, axis, { x: 0, y: 0, width, height });
  const { bins, frames, hop, n_fft: size } = clip.plane;
  return {
    columns: cellRanges(width, frames, x => scales.t(x) * clip.rate / hop),
    rows: cellRanges(height, bins, y => scales.f(y) * size / clip.rate),
  };
}

/** Return the cell [bin, frame] at a time and a frequency. */
function cellOf(clip, t, f) {
  const { bins, frames, hop, n_fft: size } = clip.plane;
  return [
    Math.min(bins - 1, Math.max(0, Math.round(f * size / clip.rate))),
    Math.min(frames - 1, Math.max(0, Math.round(t * clip.rate / hop))),
  ];
}

/** Return round numbers between low and high, about `most` of them. */
function roundTicks(low, high, most) {
  const raw = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(m => m * power).find(one => one >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** Return ticks of frequency that lie at least `apart` pixels from each other. */
function frequencyTicks(scales, apart) {
  const { window, axis, box } = scales;
  if (axis === "linear") return roundTicks(window.f0, window.f1, box.height / apart);
  const found = [], near = f => found.some(other => Math.abs(scales.y(f) - scales.y(other)) < apart);
  for (const m of [1, 5, 2, 3]) { // powers of ten first
    for (let power = axis === "mel" ? 100 : 10; power <= 1e6; power *= 10) {
      const f = m * power;
      if (f >= window.f0 && f <= window.f1 && !near(f)) found.push(f);
    }
  }
  return found.length > 2 ? found : roundTicks(window.f0, window.f1, 4);
}

/** Return a window zoomed by a factor about a time and a frequency, within the sound. */
function zoomedWindow(clip, window, axis, { time = 1, frequency = 1, t, f }) {
  const whole = wholeWindow(clip, axis), warp = WARPS[axis];
  const least = 4 * clip.plane.hop / clip.rate; // four frames
  const wide = Math.min(whole.t1, Math.max(least, (window.t1 - window.t0) / time));
  const at = (t - window.t0) / (window.t1 - window.t0);
  const t0 = Math.min(whole.t1 - wide, Math.max(0, t - at * wide));
  const [a, b] = [warp.to(window.f0), warp.to(window.f1)];
  const [low, high] = [warp.to(whole.f0), warp.to(whole.f1)];
  const tall = Math.min(high - low, Math.max((high - low) / 64, (b - a) / frequency));
  const mid = warp.to(f), share = (mid - a) / (b - a);
  const u0 = Math.min(high - tall, Math.max(low, mid - share * tall));
  return { t0, t1: t0 + wide, f0: Math.max(0, warp.from(u0)), f1: warp.from(u0 + tall) };
}

/** Return a window moved by seconds, within the sound. */
function movedWindow(clip, window, by) {
  const length = clip.samples / clip.rate, wide = window.t1 - window.t0;
  const t0 = Math.min(length - wide, Math.max(0, window.t0 + by));
  return { ...window, t0, t1: t0 + wide };
}
