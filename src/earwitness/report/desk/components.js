// The table of components: pattern, activation, relevance, a button to hear each, and where in the
// training sounds it was strongest.

const CURVE_WIDTH = 128, CURVE_HEIGHT = 32; // of the small plots, in their own units
const BEFORE_PEAK = 0.25; // s, between where a component begins to play and where it is most active

/** Return a small plot of values from 0 to 255, with words for those who do not see it. */
function curvePlot(values, words, stepped) {
  const n = values.length, y = value => (CURVE_HEIGHT * (1 - value / 255)).toFixed(1);
  const points = [...values].flatMap((value, k) => stepped
    ? [`${(CURVE_WIDTH * k / n).toFixed(1)} ${y(value)}`, `${(CURVE_WIDTH * (k + 1) / n).toFixed(1)} ${y(value)}`]
    : [`${(CURVE_WIDTH * (k + 0.5) / n).toFixed(1)} ${y(value)}`]);
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg"), path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", `0 0 ${CURVE_WIDTH} ${CURVE_HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  path.setAttribute("d", `M0 ${CURVE_HEIGHT}L${points.join("L")}L${CURVE_WIDTH} ${CURVE_HEIGHT}Z`);
  svg.append(path);
  return el("span", { class: "curve-plot" }, svg, el("small", {}, words));
}

/** Fill the table of an explanation by components. */
async function fillComponents(host, desk, texts) {
  desk.components?.stop();
  const { components: held, label } = desk.explanation, mine = desk.components = { component: null, show: () => {}, stop: () => {} };
  host.hidden = !held?.rows.length;
  if (host.hidden) return;
  const [patterns, activations] = await Promise.all([held.patterns, held.activations].map(one => (one ? unpackMap(one) : null)));
  if (desk.components !== mine || desk.closed) return; // another explanation was chosen meanwhile
  const row = (array, packed, k) => array.subarray(k * packed.shape[1], (k + 1) * packed.shape[1]);
  const largest = Math.max(...held.rows.map(one => Math.abs(one.relevance))) || 1, buttons = [], players = [];
  const heard = desk.samples && desk.pieces;
  const heads = ["component", "relevance", heard ? "hear" : null, patterns ? "spectral pattern" : null, "activation", "strongest in training sounds"];
  const rows = held.rows.map((one, k) => {
    const against = one.relevance < 0, value = `${against ? "\u2212" : "+"}${Math.abs(one.relevance).toFixed(2)}`;
    const button = el("button", { type: "button", "aria-pressed": "false", "aria-label": `Hear component ${one.component + 1}`, onclick: () => hearComponent(one) }, "Hear");
    buttons.push([one.component, button]);
    const cells = [
      el("th", { scope: "row" }, el("bdi", {}, one.name), el("small", {}, ` component ${one.component + 1}`)),
      el("td", { class: `weight ${against ? "negative" : ""}` }, `${value} `, el("small", {}, against ? `against ${label}` : `for ${label}`), el("i", { style: { width: `${100 * Math.abs(one.relevance) / largest}%` } })),
      heard ? el("td", {}, button) : null,
      patterns ? el("td", {}, curvePlot(row(patterns, held.patterns, k), `peak at ${hertz(one.peak)}`, true)) : null,
      el("td", {}, one.active ? curvePlot(row(activations, held.activations, k), `most at ${seconds(one.time)}`, false) : "never active"),
      el("td", {}, segmentList(one, players)),
    ];
    return el("tr", {}, ...cells);
  });
  const weaker = held.count - held.rows.length;
  const lost = held.data ? held.rows.flatMap(one => one.strongest).filter(part => !part.link).length : 0;
  host.querySelector("div").replaceChildren(
    el("div", { class: "scroll", tabindex: heard ? null : 0, role: "region", "aria-label": "Components" }, el(
      "table", { class: "components-table" },
      el("caption", {}, `Components of the decision for ${desk.explanation.target}, by absolute relevance`),
      el("thead", {}, el("tr", {}, ...heads.filter(Boolean).map(head => el("th", { scope: "col" }, ...explained(head, texts))))),
      el("tbody", {}, ...rows),
    )),
    el("p", { class: "soft" }, `Every curve is scaled to its own maximum; patterns from 0 to ${hertz(desk.clip.rate / 2)} (mel axis), activations from 0 to ${seconds(desk.clip.samples / desk.clip.rate)}.${weaker ? ` ${weaker} of ${held.count} components are less relevant and not listed.` : ""}${lost ? ` ${lost} segments are of files that were not found in the folder of training sounds, or not unambiguously.` : ""}`),
  );
  rove(host.querySelector("tbody"));
  mine.show = () => {
    const on = desk.kept?.kind === "pieces" ? desk.pieces.on : [], alone = on.filter(Boolean).length === 1 ? on.indexOf(true) : null;
    buttons.forEach(([component, button]) => button.setAttribute("aria-pressed", String(component === alone)));
    mine.component = alone;
  };
  mine.stop = () => stopPlayers(players);
  mine.show();
}

/** Return where a component was strongest; segments whose file is known have a button to play them. */
function segmentList(one, players) {
  if (!one.strongest.length) return el("span", { class: "soft" }, "\u2013");
  return el("ul", {}, ...one.strongest.map(part => {
    const text = `${part.file}, ${part.start.toFixed(2)}\u2013${part.end.toFixed(2)} s`;
    return el("li", {}, part.link && desk.samples ? segmentButton(part, text, players) : null, ` ${text}`);
  }));
}

/** Return a button that plays a part of a file; one plays at a time, and not beside the transport. */
function segmentButton(part, text, players) {
  const button = el("button", { type: "button", "aria-pressed": "false", "aria-label": `Play ${text}` }, "\u25b6"), mine = { player: null };
  mine.show = () => {
    button.setAttribute("aria-pressed", String(Boolean(mine.player?.playing)));
    if (mine.player && !mine.player.offered) { button.disabled = true; say(`${part.file} cannot be played from here`); }
  };
  button.addEventListener("click", () => {
    const { playing } = mine.player ??= makeOriginal(part.link, part.start, part.end - part.start, mine.show);
    transport?.pause();
    stopPlayers(players);
    if (!playing) mine.player.play(0, 1, null, 1);
    mine.show();
  });
  players.push(mine);
  return button;
}

function stopPlayers(players) {
  players.filter(one => one.player?.playing).forEach(one => { one.player.pause(); one.show(); });
}

/** Hear one component alone, from where it is most active on; again to hear the method's own evidence. */
async function hearComponent({ component, time }) {
  const mine = desk, again = mine.components.component === component;
  mine.pieces.only(again ? null : component);
  await keepPart(mine, again ? "own" : "pieces", null, true);
  if (mine.closed || again) return;
  chooseSource("evidence");
  if (!mine.loaded) { mine.playSoon = true; return; }
  if (!transport.playing) { seekTo(time - BEFORE_PEAK); transport.play(); }
}
