// The desk: one sound open at a time, its state, and what its controls do.

const report = JSON.parse(document.getElementById("report").textContent);
const texts = report.glossary ?? {};
const main = document.querySelector("main"), deskHost = document.getElementById("desk"), live = document.getElementById("live");
const VIEWS = [
  { id: "input", text: "Input" }, { id: "evidence", text: "Evidence", term: "evidence" },
  { id: "remainder", text: "Remainder", term: "remainder" }, { id: "attribution", text: "Attribution", term: "attribution" },
];
const SOURCES = ["input", "evidence", "remainder", "original", "truth", "reference", "hybrid"];
const BESIDE = ["truth", "reference", "hybrid"]; // sounds that are saved, and not made of the input
const LEAST_LEVEL = -120; // dB, of silence

let desk = null, transport = null, table = null, opening = 0;
let wanted = null; // number of the sound that is open or opening

const say = text => { live.textContent = text; };
const part = (name, host = deskHost) => host.querySelector(`[data-part=${name}]`);

/** Open a sound; if its data cannot be read, a line says why. */
async function openClip(n, { index = 0, play = false, focus = true } = {}) {
  const ticket = ++opening, stale = () => ticket !== opening;
  closeClip(false);
  wanted = n;
  deskHost.hidden = false;
  main.className = table.rows > 1 ? "open" : "open single";
  table.mark(n);
  try {
    const clip = await payloadOf(n), made = stale() ? null : await decodeClip(clip);
    if (stale()) return;
    await showClip(n, clip, made, index);
  } catch (error) {
    if (stale()) return;
    const back = el("button", { type: "button", onclick: () => closeClip(true) }, "All sounds");
    deskHost.replaceChildren(el("p", { role: "alert" }, `This sound cannot be shown: ${error.message}. `), table.rows > 1 ? back : "");
    return;
  }
  if (stale()) return;
  if (focus) part("name").focus({ preventScroll: true });
  deskHost.scrollIntoView({ block: "start" });
  say(`${desk.clip.name} is open`);
  if (play && desk.samples && !transport.playing) { if (desk.loaded) transport.play(); else desk.playSoon = true; }
}

/** Show a decoded sound, and give it to the transport. */
async function showClip(n, clip, decoded, index) {
  deskHost.replaceChildren(document.getElementById("instrument").content.cloneNode(true));
  const axis = firstAxis(clip);
  desk = {
    n, clip, ...decoded, host: part("picture"), brush: newBrush(), selection: null, loop: null, position: 0, maps: [], closed: false, source: "input",
    view: { show: "input", outline: true, axis, floor: -80, window: wholeWindow(clip, axis) }, reference: 0, common: false,
  };
  const mine = desk;
  startDesk(mine);
  await chooseExplanation(index);
  if (mine.closed) return;
  showTransport();
  drawMultiples(part("multiples"), mine);
}

const firstAxis = clip => (clip.rate >= 12000 && clip.rate <= 50000 ? "mel" : "linear");

/** Return the samples of the input and its STFT, if the page has them, and its levels in dB below the loudest cell. */
async function decodeClip(clip) {
  const cells = clip.plane.bins * clip.plane.frames, levels = new Float32Array(cells);
  if (!clip.input) {
    const codes = await unpackMap(clip.spectrogram);
    for (let k = 0; k < cells; k++) levels[k] = codes[k] / 2.55 - 100;
    return { levels };
  }
  const samples = await decodeInput(clip.input), spectrum = analyse(samples, clip.plane);
  const sizes = magnitudes(spectrum), peak = clip.peak || 1;
  for (let k = 0; k < cells; k++) levels[k] = Math.max(LEAST_LEVEL, 20 * Math.log10(sizes[k] / peak + 1e-30));
  return { samples, spectrum, levels };
}

/** Return the unpacked map of an explanation, with its strongest value and its own gains. */
async function mapOf(one, k) {
  const explanation = one.clip.explanations[k];
  one.maps[k] ??= (async () => {
    const codes = await codesOf(explanation);
    return { codes, top: strongest(codes, explanation.map.values), own: await ownGains(explanation, codes, one.clip.plane) };
  })();
  return one.maps[k];
}

/** Put an explanation on the desk; position and view stay. */
async function chooseExplanation(index) {
  const mine = desk, explanation = desk.clip.explanations[index], choice = desk.choice = {};
  const stale = () => mine.closed || mine.choice !== choice; // another was chosen meanwhile
  const { codes, top, own } = await mapOf(desk, index);
  if (stale()) return;
  let sizes = null; // made when the dial is first turned
  Object.assign(desk, {
    index, explanation, codes, top, own, gains: own, grey: isGrey(explanation), beneath: null, pieces: null,
    sizeAt: p => (sizes ??= dialSizes(codes, explanation.map.cuts, mine.levels))(p), regions: strongestRegions(desk.clip, explanation.map, codes),
    kept: { kind: "own", percent: null, area: explanation.mask.area, energy: explanation.mask.energy },
  });
  desk.paint.empty();
  part("says").replaceChildren(...answerNodes(desk.clip, explanation));
  fillComparison(part("comparison"), explanation);
  fillBars(part("bars"), desk.clip, explanation);
  fillVerdict(part("verdict"), explanation);
  fillFolds(deskHost, desk.clip, explanation, texts);
  fillRegions(part("regions"), desk, chooseRegion);
  desk.course.fill(explanation);
  desk.multiples?.set(index);
  desk.dial = makeDial(part("dial"), desk, { dial: p => keepPart(desk, "dial", p), own: () => keepPart(desk, "own") });
  const pieces = part("pieces");
  pieces.hidden = !explanation.pieces?.table.length || !(explanation.pieces.map || desk.samples);
  if (!pieces.hidden) {
    const indices = explanation.pieces.map ? await unpackMap(explanation.pieces.map) : null;
    if (stale()) return;
    desk.pieces = newPieces(explanation, indices);
    fillPieces(pieces, desk, () => keepPart(desk, "pieces"));
  }
  await fillComponents(part("components"), desk, texts);
  if (stale()) return;
  part("command").textContent = explanation.command ?? "";
  part("copied").textContent = "";
  part("command").parentElement.hidden = !explanation.command;
  part("picture-text").textContent = pictureWords(desk);
  desk.dial.show();
  desk.refresh();
  desk.shown = null;
  showPosition();
  await loadSounds();
}

/** Give all sounds of the explanation to the transport, or replace those that differ. */
async function loadSounds() {
  if (!desk.samples) return;
  const mine = desk, making = desk.making = {}, { clip, explanation } = desk, kept = await keptSounds(desk);
  const packed = { truth: explanation.truth, ...explanation.sounds }, beside = {};
  for (const name of BESIDE) if (packed[name]?.flac) beside[name] = await decodeInput(packed[name]);
  if (mine.closed || mine.making !== making) return; // newer ones are on their way
  for (const name of BESIDE) desk.sources.hide(name, !beside[name]);
  if (desk.loaded) {
    transport.replace("evidence", kept.evidence);
    transport.replace("remainder", kept.remainder);
    for (const name of BESIDE) if (beside[name]) transport.replace(name, beside[name]);
    if (BESIDE.includes(desk.source) && !beside[desk.source]) chooseSource("input");
    return;
  }
  const { position, source, loop } = desk; // set while the sounds were made
  desk.loaded = true;
  transport.load({ input: desk.samples, ...kept, ...beside }, clip.rate, { expansion: clip.expansion, original: clip.original, start: clip.start });
  transport.speed(Number(part("speed").value));
  transport.heterodyne(carrierShown());
  transport.seek(position);
  if (transport.offers(source)) transport.choose(source);
  if (loop) transport.loop(...loop);
  if (desk.playSoon) transport.play();
}

/** Wire the controls of the open sound. */
function startDesk(one) {
  const { clip, view } = one;
  part("name").textContent = clip.name;
  const [at, of] = table.place(one.n);
  part("facts").textContent = `${seconds(clip.samples / clip.rate)}${clip.start ? ` from ${seconds(clip.start)} of the file on` : ""}, at the model's rate of ${clip.rate} Hz${of > 1 ? `; sound ${at} of ${of}` : ""}`;
  part("previous").onclick = () => step(-1); part("next").onclick = () => step(1);
  part("previous").disabled = table.beside(one.n, -1) === undefined; part("next").disabled = table.beside(one.n, 1) === undefined;
  part("close").onclick = () => closeClip(true);
  part("moves").hidden = table.rows < 2;
  rove(part("moves"));
  one.multiples = fillMultiples(part("multiples"), Object.assign(one, { index: 0 }), chooseExplanation);
  one.picture = makePicture(one.host, one);
  one.minimap = makeMinimap(part("minimap"), one, show);
  one.course = makeCourse(part("course"), one, t => { selectTime(null); seekTo(t); if (one.loaded && !transport.playing) transport.play(); });
  one.refresh = () => { one.pieces && (one.pieces.drawn = null); one.picture.draw(); one.course.draw(); part("bar-words").textContent = barWords(one); };
  one.sound = settled(() => { if (!one.closed) loadSounds(); }, 60);
  const views = choices(part("views"), VIEWS, view.show, id => { view.show = id; one.refresh(); });
  one.setView = id => { views.set(id); view.show = id; one.refresh(); };
  part("outline").onchange = event => { view.outline = event.target.checked; one.refresh(); };
  part("axis").value = view.axis;
  part("axis").onchange = event => { view.axis = event.target.value; view.window = { ...wholeWindow(clip, view.axis), t0: view.window.t0, t1: view.window.t1 }; one.minimap.paint(); one.refresh(); drawMultiples(part("multiples"), one); };
  part("floor").oninput = event => { view.floor = -Number(event.target.value); part("floor-text").textContent = `\u2212${event.target.value} dB`; one.minimap.paint(); one.refresh(); };
  part("common").parentElement.hidden = table.rows < 2;
  part("common").onchange = event => { one.common = event.target.checked; one.reference = one.common ? 20 * Math.log10((clip.peak || 1) / table.peak) : 0; one.minimap.paint(); one.refresh(); };
  rove(part("zooms"));
  part("zooms").querySelectorAll("button").forEach(button => { button.onclick = () => ({ in: () => zoom(1, false), out: () => zoom(-1, false), up: () => zoom(1, true), down: () => zoom(-1, true), whole })[button.dataset.zoom](); });
  one.paint = makeBrushPanel(part("brush"), one, { changed: () => keepPart(one, one.brush.strokes.length ? "brush" : "own"), saves: savesOf(one) });
  watchPointer(one.host, one, {
    seek: (t, f) => { one.hertz = f; if (one.pieces?.open && one.pieces.indices) one.pieces.switchAt(t, f); else { selectTime(null); seekTo(t); } },
    select: selection => { selectTime(selection); loopSelection(); }, paint: one.paint.add, show,
    read: (t, f) => { part("readout").textContent = readOutText(readOut(one, t ?? one.position, f ?? one.hertz)); },
  });
  one.hertz = clip.rate / 8;
  one.host.setAttribute("aria-valuemax", (clip.samples / clip.rate).toFixed(3));
  one.host.onkeydown = event => {
    if (event.key === "Home" || event.key === "End") { event.preventDefault(); seekTo(event.key === "Home" ? 0 : Infinity); }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const bin = clip.rate / clip.plane.n_fft * (event.shiftKey ? 10 : 1);
    one.hertz = Math.min(clip.rate / 2, Math.max(0, one.hertz + (event.key === "ArrowUp" ? bin : -bin)));
    showPosition();
  };
  deskHost.querySelectorAll("[data-do]").forEach(button => { button.onclick = () => deeds(one)[button.dataset.do](); });
  startTransportControls(one);
  one.minimap.paint();
}

/** Close the open sound and free what it held. */
function closeClip(all = true) {
  if (desk) {
    desk.closed = true;
    desk.components?.stop();
    transport?.pause();
    desk.picture?.close();
    forgetPayload(desk.n);
  }
  const was = wanted;
  desk = wanted = null;
  deskHost.replaceChildren();
  if (!all) return;
  opening++;
  transport?.load({ input: new Float32Array(1) }, 1); // frees the sounds
  deskHost.hidden = true;
  main.className = "";
  table.rowOf(was)?.querySelector("button")?.focus();
}

/** Open the next or the previous sound of the table. */
function step(by) {
  const next = table.beside(wanted ?? -1, by);
  if (next === undefined) { say(by > 0 ? "this is the last sound" : "this is the first sound"); return false; }
  openClip(next, { play: Boolean(transport?.playing) });
  return true;
}

/** Show another window of time and frequency. */
function show(window) {
  desk.view.window = window;
  desk.minimap.move();
  desk.refresh();
}

function zoom(by, frequency) {
  if (!desk) return false;
  const { window, axis } = desk.view, factor = by > 0 ? 2 : 0.5;
  const inside = desk.position >= window.t0 && desk.position <= window.t1;
  const t = desk.selection ? (desk.selection.t0 + desk.selection.t1) / 2 : inside ? desk.position : (window.t0 + window.t1) / 2;
  show(zoomedWindow(desk.clip, window, axis, { [frequency ? "frequency" : "time"]: factor, t, f: Math.min(window.f1, Math.max(window.f0, desk.hertz)) }));
  say(`showing ${desk.view.window.t0.toFixed(2)} to ${seconds(desk.view.window.t1)}, ${hertz(desk.view.window.f0)} to ${hertz(desk.view.window.f1)}`);
  return true;
}

function whole() {
  if (!desk) return false;
  show(wholeWindow(desk.clip, desk.view.axis));
  return true;
}

/** What the buttons at the end of the desk do. */
function deeds(one) {
  const name = fileName(one.clip);
  return {
    copy: async () => {
      const tell = text => { part("copied").textContent = text; };
      try { await navigator.clipboard.writeText(one.explanation.command); tell("copied"); } catch { getSelection().selectAllChildren(part("command")); tell("selected: copy it with Ctrl+C"); }
    },
    png: async () => download(`${name}.png`, await exportPicture(one, "png")),
    svg: async () => download(`${name}.svg`, await exportPicture(one, "svg"), "image/svg+xml"),
    card: () => download(`${name}.html`, cardPage(one.clip, table.rowOf(one.n)), "text/html"),
  };
}
