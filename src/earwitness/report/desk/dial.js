// The keep dial: how much of the positive attribution is kept, over the curve of the model's score.

const SVG = "http://www.w3.org/2000/svg";

/** Return y at x between the points (xs, ys); beyond them the nearest, to a tenth of x, else NaN. */
function interpolated(xs, ys, x) {
  const order = xs.map((_, k) => k).filter(k => Number.isFinite(ys[k])).sort((a, b) => xs[a] - xs[b]);
  if (!order.length) return NaN;
  const [least, most] = [xs[order[0]], xs[order[order.length - 1]]];
  if (x < 0.9 * least || x > 1.1 * most) return NaN;
  if (x <= least) return ys[order[0]];
  for (let k = 1; k < order.length; k++) {
    const [a, b] = [order[k - 1], order[k]];
    if (x <= xs[b]) return xs[b] === xs[a] ? ys[b] : ys[a] + (x - xs[a]) / (xs[b] - xs[a]) * (ys[b] - ys[a]);
  }
  return ys[order[order.length - 1]];
}

/** Return the lines of the curve at every percent; controls are taken at the mask's own area. */
function curveLines(curve) {
  const at = Array.from({ length: 100 }, (_, k) => k + 1);
  const area = p => interpolated(curve.keep, curve.area, p);
  const lines = {
    evidence: at.map(p => interpolated(curve.keep, curve.evidence, p)),
    remainder: at.map(p => interpolated(curve.keep, curve.remainder, p)),
  };
  for (const name of ["energy", "random"]) {
    if (curve[name]) lines[name] = at.map(p => interpolated(curve[name].area, curve[name].evidence, area(p)));
  }
  return lines;
}

/** Return area and energy of the mask at every percent of the dial, from one pass over the map. */
function dialSizes(codes, cuts, levels) {
  const counts = new Float64Array(256), powers = new Float64Array(256);
  let power = 0;
  for (let k = 0; k < codes.length; k++) {
    const one = levels ? 10 ** (levels[k] / 10) : 0;
    counts[codes[k]]++; powers[codes[k]] += one; power += one;
  }
  return percentage => {
    let area = 0, energy = 0;
    for (let code = Math.max(1, cuts[percentage]); code < 200; code++) { area += counts[code]; energy += powers[code]; }
    return { area: area / codes.length, energy: power > 0 ? energy / power : 0 };
  };
}

/** Draw the curve behind the dial. */
function drawCurve(host, curve, kind, input) {
  host.replaceChildren();
  if (!curve) return null;
  const lines = curveLines(curve), values = Object.values(lines).flat().concat(input).filter(Number.isFinite);
  const [low, high] = kind === "probability" ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const y = value => 40 - 38 * (value - low) / (high - low || 1) - 1;
  const svg = document.createElementNS(SVG, "svg");
  const line = (name, points) => {
    const path = document.createElementNS(SVG, "polyline");
    path.setAttribute("class", `line ${name}`);
    path.setAttribute("points", points.map(([x, value]) => `${x},${y(value).toFixed(2)}`).join(" "));
    svg.append(path);
  };
  svg.setAttribute("viewBox", "1 0 99 40"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("aria-hidden", "true");
  for (const value of kind === "probability" ? [0, 0.5, 1] : [low, high]) line("grid", [[1, value], [100, value]]);
  if (Number.isFinite(input)) line("input", [[1, input], [100, input]]);
  for (const [name, found] of Object.entries(lines)) {
    const points = found.map((value, k) => [k + 1, value]).filter(([, value]) => Number.isFinite(value));
    line(name, points);
  }
  host.append(svg, el("span", { class: "top" }, scoreText(kind, high)), el("span", { class: "bottom" }, scoreText(kind, low)));
  return lines;
}

/** Make the dial. `act` has dial(percent) and own(). Returns show(desk.kept). */
function makeDial(host, desk, act) {
  const input = host.querySelector("input"), own = host.querySelector(".own"), sizes = host.querySelector(".sizes");
  const { curve, score, mask } = desk.explanation;
  const lines = drawCurve(host.querySelector(".curve"), curve, score.kind, score.value);
  host.querySelector(".legend").hidden = !curve;
  host.querySelector(".no-curve").hidden = Boolean(curve);
  input.oninput = () => act.dial(Number(input.value));
  own.onclick = () => act.own();
  const rule = mask.percent ? `${mask.percent} %` : mask.rule;
  own.replaceChildren(`Method's own mask (${rule}${mask.soft ? ", soft" : ""})`);
  const show = () => {
    const { kind, area, energy } = desk.kept, p = kind === "dial" ? desk.kept.percent : nearestPercent(desk);
    input.value = p;
    own.setAttribute("aria-pressed", String(kind === "own"));
    const what = { dial: `${p} % of the positive attribution`, own: "the method's own mask", brush: "your painted mask", pieces: "the pieces that are on" }[kind];
    const heard = lines && (kind === "dial" || (kind === "own" && !mask.soft))
      ? `; the model's score there: evidence ${scoreText(score.kind, lines.evidence[p - 1])}, remainder ${scoreText(score.kind, lines.remainder[p - 1])}` +
        ["energy", "random"].filter(name => lines[name] && Number.isFinite(lines[name][p - 1])).map(name => `, ${name} control ${scoreText(score.kind, lines[name][p - 1])}`).join("")
      : "";
    host.querySelector(".percent").textContent = { dial: `${p} %`, own: mask.percent ? rule : "as the method does", brush: "what is painted", pieces: "pieces" }[kind];
    input.setAttribute("aria-valuetext", kind === "dial" ? `${p} %, area ${percent(area)}` : what);
    sizes.replaceChildren(
      `Kept: ${what}. `, el("span", { class: "term", "data-term": "area", tabindex: 0 }, "Area"), ` ${percent(area)}, `,
      el("span", { class: "term", "data-term": "energy", tabindex: 0 }, "energy"), ` ${percent(energy)}${heard}.`,
    );
  };
  return { show };
}

/** Return the place on the dial of a mask that the dial did not make: that of the nearest area. */
function nearestPercent(desk) {
  if (desk.kept.kind === "own" && desk.explanation.mask.percent) return Math.min(100, Math.max(1, Math.round(desk.explanation.mask.percent)));
  let best = 1;
  for (let p = 1; p <= 100; p++) {
    if (Math.abs(desk.sizeAt(p).area - desk.kept.area) < Math.abs(desk.sizeAt(best).area - desk.kept.area)) best = p;
  }
  return best;
}
