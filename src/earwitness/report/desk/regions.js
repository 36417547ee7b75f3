// Where the strongest regions of a map lie, for the list of places to hear and for the screen reader.

const REGION_SHARE = 40; // percent of the positive attribution in the cells that regions are found by
const MOST_REGIONS = 3;

/**
 * Return the regions of largest attribution, around neighbouring blocks of the plane (about 25 ms, a
 * 64th of the frequencies) that hold cells of the dial's mask at 40 %. Each has edges, and the share of
 * the positive attribution between them.
 */
function strongestRegions(clip, map, codes) {
  const { bins, frames, hop, n_fft: size } = clip.plane, { values, cuts } = map;
  const wide = Math.max(1, Math.round(0.025 * clip.rate / hop)), tall = Math.max(1, Math.round(bins / 64));
  const columns = Math.ceil(frames / wide), blocks = new Float64Array(columns * Math.ceil(bins / tall));
  const strong = new Uint8Array(blocks.length);
  const cut = Math.max(1, cuts[REGION_SHARE]);
  let total = 0;
  for (let cell = 0; cell < codes.length; cell++) {
    const code = codes[cell];
    if (code < 1 || code >= 200) continue;
    const block = Math.floor(Math.floor(cell / frames) / tall) * columns + Math.floor(cell % frames / wide);
    total += values[code]; blocks[block] += values[code];
    if (code >= cut) strong[block] = 1;
  }
  const seen = new Uint8Array(blocks.length), found = [];
  for (let first = 0; first < blocks.length; first++) {
    if (seen[first] || !strong[first]) continue;
    const region = { sum: 0, x0: Infinity, x1: 0, y0: Infinity, y1: 0 }, open = [first];
    seen[first] = 1;
    while (open.length) {
      const block = open.pop(), x = block % columns, y = Math.floor(block / columns);
      region.x0 = Math.min(region.x0, x); region.x1 = Math.max(region.x1, x + 1);
      region.y0 = Math.min(region.y0, y); region.y1 = Math.max(region.y1, y + 1);
      for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [-1, 1], [1, -1], [1, 1]]) {
        const next = (y + dy) * columns + x + dx;
        if (x + dx < 0 || x + dx >= columns || next < 0 || next >= blocks.length) continue;
        if (!seen[next] && strong[next]) { seen[next] = 1; open.push(next); }
      }
    }
    for (let y = region.y0; y < region.y1; y++) {
      for (let x = region.x0; x < region.x1; x++) region.sum += blocks[y * columns + x];
    }
    found.push(region);
  }
  const end = clip.samples / clip.rate;
  return found.sort((a, b) => b.sum - a.sum).slice(0, MOST_REGIONS).map(region => ({
    share: region.sum / total,
    t0: Math.max(0, (region.x0 * wide - 0.5) * hop / clip.rate),
    t1: Math.min(end, (region.x1 * wide - 0.5) * hop / clip.rate),
    f0: Math.max(0, (region.y0 * tall - 0.5) * clip.rate / size),
    f1: Math.min(clip.rate / 2, (region.y1 * tall - 0.5) * clip.rate / size),
  })).filter(region => region.t1 > region.t0);
}

const regionText = ({ t0, t1, f0, f1 }) => `${t0.toFixed(2)}\u2013${t1.toFixed(2)} s, ${hertz(f0)}\u2013${hertz(f1)}`;

/** Return what the picture shows, in words. */
function pictureWords(desk) {
  const { clip, explanation, regions } = desk, { decision } = clip;
  const places = regions.length
    ? `The strongest regions of the attribution for ${explanation.target} by ${explanation.method} lie at ${regions.map(one => `${regionText(one)} (${percent(one.share)} of the positive attribution)`).join("; ")}.`
    : `The attribution for ${explanation.target} by ${explanation.method} has no positive region.`;
  const grade = explanation.verdict ? ` Verdict: ${explanation.verdict.title}.` : "";
  return `Spectrogram of ${clip.name}, 0 to ${seconds(clip.samples / clip.rate)}, up to ${hertz(clip.rate / 2)}. ` +
    `The model says ${decision.label}, ${scoreText(decision.kind, decision.value)}. ${places}${grade}`;
}

/** List the regions; one is selected and looped when it is chosen. */
function fillRegions(host, desk, choose) {
  host.hidden = !desk.regions.length;
  const list = host.querySelector(".places");
  list.replaceChildren(...desk.regions.map(region => el(
    "button", { type: "button", onclick: () => choose(region) },
    regionText(region), el("small", {}, ` ${percent(region.share)}`),
  )));
  rove(list);
}
