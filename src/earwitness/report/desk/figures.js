// Figures in words and tables: the answer, the verdict, the trust card, outputs, settings and files.

const MOST_BARS = 5;

/** Return the answer: what the model says, and what was asked. */
function answerNodes(clip, one) {
  const { decision, task } = clip;
  const strong = text => el("strong", {}, apart(text)), apart = text => el("bdi", {}, text); // labels may run from right to left
  const value = scoreText(decision.kind, decision.value);
  const who = one.span ? `From ${one.span[0]} to ${one.span[1]} s, the model` : "The model"; // its outputs there
  const several = task === "multi-label" ? clip.outputs.filter(output => output.value >= 0.5) : [];
  const says = task === "multi-label" ? severalSaid(who, decision, several, strong) : task === "regression" && decision.label === one.label
    ? [`${who} gives `, strong(decision.label), ` ${value}`, "."]
    : [`${who} says `, strong(decision.label), `, ${value}.`];
  const score = scoreText(one.score.kind, one.score.value);
  const asked = one.direction === "down" ? "what lowers" : "about";
  if (one.versus && task === "regression") return [...says, ` You asked ${asked} its difference to `, apart(one.versus), `: ${score}.`];
  if (one.versus) return [...says, " You asked why ", strong(one.label), " rather than ", apart(one.versus), `: ${score} (difference of logits).`];
  if (one.direction === "down") return [...says, " You asked what lowers it."];
  if (one.label !== decision.label || several.length > 1) return [...says, ` You asked ${asked} `, strong(one.label), `: ${score}.`];
  return [...says, " This is what is explained here."];
}

/** Return what a model of several labels says: all that it decides, of those in the page. */
function severalSaid(who, decision, several, strong) {
  if (!several.length) return [`${who} says none of its labels; the largest is `, strong(decision.label), `, ${scoreText("probability", decision.value)}.`];
  const parts = several.map((output, k) => [k === 0 ? "" : k === several.length - 1 ? " and " : ", ", strong(output.label), ` (${scoreText("probability", output.value)})`]);
  return [`${who} says `, ...parts.flat(), "."];
}

/** Fill the bars of the largest outputs and of the one that was asked about. */
function fillBars(host, clip, one) {
  const all = [...clip.outputs], known = all.find(output => output.label === one.label);
  if (!known && one.score.kind === "probability" && one.score.value !== null) all.push({ label: one.label, value: one.score.value });
  const asked = known ?? all[clip.outputs.length], first = all.slice(0, MOST_BARS);
  if (asked && !first.includes(asked)) first.splice(MOST_BARS - 1, 1, asked);
  const values = all.map(output => output.value), shares = values.every(value => value >= 0 && value <= 1);
  const top = shares ? 1 : Math.max(...values), low = shares ? 0 : Math.min(0, ...values);
  const kind = shares && clip.task !== "regression" ? "probability" : "value";
  host.replaceChildren(...first.map(output => el(
    "li", { class: [output.label === clip.decision.label ? "decided" : "", output === asked ? "asked" : ""].join(" ") },
    el("span", { class: "label" }, output.label, output === asked && output.label !== clip.decision.label ? el("small", {}, " asked") : null),
    el("span", { class: "bar" }, el("i", { style: { width: `${100 * (output.value - low) / (top - low || 1)}%` } })),
    el("span", { class: "value" }, scoreText(kind, output.value)),
  )));
}

/** Fill the verdict: its grade, title and reasons in one sentence. */
function fillVerdict(host, one) {
  const { verdict } = one;
  host.className = `verdict ${verdict ? verdict.grade : "ungraded"}`;
  host.replaceChildren(...(verdict
    ? [el("strong", {}, verdict.title), el("span", { class: "verdict-of", hidden: true }, " of the method's own mask, not of what is kept now"), ": ", verdict.reasons.join("; "), "."]
    : ["Not graded: there is no trust card."]));
}

/** Return a table; rows are lists of text or nodes, the first cell is the row's header. */
function tableOf(caption, heads, rows, texts) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, el(
    "table", {}, el("caption", {}, ...explained(caption, texts)),
    el("thead", {}, el("tr", {}, ...heads.map(head => el("th", { scope: "col" }, ...(head ? explained(head, texts) : [el("span", { class: "vh" }, "name")]))))),
    el("tbody", {}, ...rows.map(([head, ...cells]) => el(
      "tr", {}, el("th", { scope: "row" }, head),
      ...cells.map(cell => el("td", {}, ...[cell].flat())),
    ))),
  ));
}

/** Return heads and rows without the columns in which no row has a value. */
function filled(heads, rows) {
  const has = heads.map((_, k) => rows.some(row => row[k] !== figure(null)));
  const some = row => row.filter((_, k) => has[k]);
  return [some(heads), rows.map(some)];
}

/** Return the trust card as a table, or nothing without one. */
function trustTable(one, texts) {
  if (!one.trust) return el("p", {}, "No trust card was asked for (--trust none).");
  const { kind, input, rows } = one.trust;
  const cell = (row, side, way) => {
    const mean = scoreText(kind, row[side]?.[way]), low = row.low?.[side]?.[way], high = row.high?.[side]?.[way];
    const spread = row.draws > 1 && low !== null && low !== undefined;
    return spread ? [mean, el("small", {}, `${scoreText(kind, low)} to ${scoreText(kind, high)}`)] : mean;
  };
  return tableOf(
    `Trust card: ${kind} of ${one.target}; input ${scoreText(kind, input)}`,
    ...filled(
      ["", "evidence, audio score", "evidence, spectrogram score", "remainder, audio score", "remainder, spectrogram score", "area", "effective area, audio", "energy"],
      rows.map(row => [
        row.title,
        cell(row, "evidence", "audio"), cell(row, "evidence", "spectrogram"),
        cell(row, "remainder", "audio"), cell(row, "remainder", "spectrogram"), percent(row.area), percent(row.effective), percent(row.energy),
      ]),
    ), texts,
  );
}

/** Return the model's outputs for the input, the evidence and the remainder as a table. */
function outputsTable(clip, one, texts) {
  const shares = one.outputs.every(row => row.input >= 0 && row.input <= 1) && clip.task !== "regression";
  const text = value => scoreText(shares ? "probability" : "value", value);
  return tableOf(
    "The model's largest outputs", ["", "input", "evidence alone", "remainder alone"],
    one.outputs.map(row => [row.label, text(row.input), text(row.evidence), text(row.remainder)]), texts,
  );
}

/** Return a list of facts. */
function factList(facts) {
  const text = value => {
    if (Array.isArray(value)) return value.map(text).join(", ");
    if (value === null || typeof value !== "object") return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value ?? "\u2013");
    return Object.entries(value).map(([name, one]) => (one !== null && typeof one === "object" ? `${name} (${text(one)})` : `${name} ${one === "" ? "\u2013" : text(one)}`)).join(", ");
  };
  return el("dl", {}, ...facts.filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, text(value))]));
}

/** Return sentences on what a method says of itself: completeness, the additive model, the true source. */
function detailNodes(one, texts) {
  const { details, truth } = one, nodes = [];
  const say = text => nodes.push(el("p", {}, ...explained(text, texts)));
  if (truth?.mass !== undefined) {
    say(`Compared with the true source: ${percent(truth.mass)} of the positive attribution lies in cells in which the true ${one.label} has more energy than the rest (${percent(truth.area)} of the area); SI-SDR to the true source: evidence ${truth.si_sdr_evidence.toFixed(1)} dB, input ${truth.si_sdr_input.toFixed(1)} dB.`);
  }
  if (details?.completeness_gap !== undefined) {
    const share = details.completeness_share === null || details.completeness_share === undefined ? "" : `, ${percent(Math.abs(details.completeness_share))} of the change of the score (${figure(details.score_change, 4)})`;
    say(`Completeness gap: ${figure(details.completeness_gap, 4)}${share}.`);
  }
  if (details?.r2 !== undefined) {
    const error = details.error === null || details.error === undefined ? "Too few evaluations to estimate the error of the weights."
      : details.error === 0 ? "The estimate is deterministic."
        : `${details.settled ? "Sampling stopped because the weights had converged" : "Sampling ended before the weights had converged"}: their estimated error is ${percent(details.error)} of their norm.`;
    say(`R\u00b2 of the additive model of pieces: ${details.r2.toFixed(3)}, from ${details.evaluations} evaluations over ${details.pieces} pieces. ${error}${details.r2 < 0.5 ? " An additive model of pieces does not describe this output well." : ""}`);
  }
  return nodes;
}

/** Fill the folded parts of one explanation. */
function fillFolds(host, clip, one, texts) {
  const into = name => host.querySelector(`[data-fold=${name}] > div`);
  into("trust").replaceChildren(trustTable(one, texts), outputsTable(clip, one, texts), ...detailNodes(one, texts));
  into("settings").replaceChildren(
    el("p", {}, `${one.method}: ${one.about}.`),
    ...clip.notes.concat(one.notes).map(note => el("p", {}, `Note: ${note}.`)),
    factList([
      ["file", clip.path], ["target", one.target], ["options", one.options], ["keep", one.keep],
      ["mask", `${one.mask.rule}, ${one.mask.soft ? "soft" : "binary"}${one.mask.degenerate ? ` (${one.mask.degenerate})` : ""}`],
      ["spectrogram", `window of ${clip.plane.n_fft} samples, hop ${clip.plane.hop}, ${clip.plane.bins} bins \u00d7 ${clip.plane.frames} frames at ${clip.rate} Hz`],
      ["effect", one.effect], ["details", one.details], ["provenance", one.provenance],
      ["time", one.seconds === null || one.seconds === undefined ? null : `${one.seconds.toFixed(1)} s`],
    ]),
    el("p", { class: "files" }, Object.keys(one.files ?? {}).length ? "Files: " : "", ...Object.entries(one.files ?? {}).flatMap(([name, path], k) => [
      k ? ", " : "", el("a", { href: path }, name),
    ])),
  );
}
