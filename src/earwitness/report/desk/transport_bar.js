// The controls of the transport: play, sources, loop, speed, and the position on the picture.

/** Wire the bar of the open sound. */
function startTransportControls(one) {
  const { clip } = one, heard = Boolean(one.samples);
  deskHost.querySelectorAll(".needs-sound").forEach(node => { node.hidden = !heard; });
  const items = [
    { id: "input", text: "Input", key: "1" }, { id: "evidence", text: "Evidence", key: "2", term: "evidence" },
    { id: "remainder", text: "Remainder", key: "3", term: "remainder" }, { id: "original", text: "Original", key: "4", term: "original" },
    { id: "truth", text: "True source", key: "5", term: "true source" },
    { id: "reference", text: "B, aligned", key: "6", term: "aligned" }, { id: "hybrid", text: "Hybrid", key: "7", term: "hybrid" },
  ];
  one.sources = choices(part("sources"), items, "input", chooseSource);
  one.sources.hide("original", !clip.original);
  for (const name of BESIDE) one.sources.hide(name, true);
  if (!heard) return;
  transport ??= makeTransport();
  transport.onchange = showTransport;
  part("play").onclick = togglePlay;
  part("loop").onclick = toggleLoop;
  part("speed").onchange = event => transport.speed(Number(event.target.value));
  part("ultrasound").parentElement.hidden = clip.expansion === 1;
  part("ultrasound").onchange = () => transport.heterodyne(carrierShown());
  if (clip.expansion !== 1) {
    for (let khz = 20; khz < clip.rate / 2000; khz += 5) part("ultrasound").append(el("option", { value: 1000 * khz }, `heterodyne at ${khz} kHz`));
  }
}

/** Return the carrier of the heterodyne that is chosen, in Hz; null for none. */
function carrierShown() {
  const { value } = part("ultrasound");
  return value === "expanded" ? null : Number(value);
}

/** Play or pause; a sound that is still being made plays as soon as it is there. */
function togglePlay() {
  if (!desk?.samples) return false;
  if (desk.loaded) transport.toggle();
  else desk.playSoon = !desk.playSoon;
  return true;
}

/** Switch to a source at the same position. */
function chooseSource(name) {
  const button = part("sources")?.querySelector(`[data-id=${name}]`);
  if (!desk?.samples || !button || button.hidden) return false;
  if (desk.loaded) transport.choose(name);
  desk.source = name;
  desk.sources.set(name);
  say(`${button.firstChild.textContent} at ${seconds(desk.position)}`);
  return true;
}

function seekTo(t) {
  if (!desk?.explanation) return false;
  desk.position = Math.min(desk.clip.samples / desk.clip.rate, Math.max(0, t));
  if (desk.loaded) transport.seek(desk.position);
  showPosition();
  return true;
}

/** Seek by the step of the arrow keys; a tenth of the view if zoomed. */
function seekBy(direction, far) {
  if (!desk) return false;
  const { window } = desk.view, length = desk.clip.samples / desk.clip.rate, wide = window.t1 - window.t0;
  const zoomed = wide < length - 1e-6, near = Number(part("step").value);
  return seekTo(desk.position + direction * (zoomed ? wide * (far ? 1 : 0.1) : near * (far ? 10 : 1)));
}

function selectTime(selection) {
  desk.selection = selection;
  if (!selection && desk.loop) setLoop(null);
  desk.picture.drawMoving();
}

function setLoop(range) {
  desk.loop = range;
  if (desk.loaded) transport.loop(...(range ?? [null]));
  part("loop").setAttribute("aria-pressed", String(Boolean(range)));
  say(range ? `loop from ${seconds(range[0])} to ${seconds(range[1])}` : "loop ended");
}

function loopSelection() {
  if (desk.selection && desk.samples) { setLoop([desk.selection.t0, desk.selection.t1]); seekTo(desk.selection.t0); }
}

/** Loop the selection, or half a second from the playhead; end the loop if there is one. */
function toggleLoop() {
  if (!desk?.samples || !desk.explanation) return false;
  if (desk.loop) { selectTime(null); return true; }
  if (!desk.selection) {
    const length = desk.clip.samples / desk.clip.rate, t0 = Math.max(0, Math.min(desk.position, length - 0.5));
    desk.selection = { t0, t1: Math.min(length, t0 + 0.5) };
  }
  loopSelection();
  desk.picture.drawMoving();
  return true;
}

function chooseRegion(region) {
  selectTime({ ...region });
  const { window } = desk.view;
  if (region.t0 < window.t0 || region.t1 > window.t1) whole();
  loopSelection();
  desk.hertz = (region.f0 + region.f1) / 2;
  showPosition();
}

/** Show what the transport does, and follow it while it plays. */
function showTransport() {
  if (!desk?.samples || !desk.explanation) return;
  const { playing } = transport;
  if (playing) desk.components?.stop();
  desk.sources.hide("original", !transport.offers("original"));
  if (desk.loaded && desk.source !== transport.source) { // the original file turned out to be missing
    desk.source = transport.source;
    desk.sources.set(desk.source);
  }
  part("play").replaceChildren(playing ? "Pause" : "Play");
  part("play").classList.toggle("playing", playing);
  if (desk.wasPlaying !== playing) say(`${playing ? "playing" : "paused"}: ${desk.source} at ${seconds(desk.position)}`);
  desk.wasPlaying = playing;
  follow();
}

let following = 0;

function follow() {
  cancelAnimationFrame(following);
  if (!desk?.samples) return;
  if (!desk.loaded) return;
  desk.position = transport.position();
  const { window } = desk.view, wide = window.t1 - window.t0;
  if (transport.playing && (desk.position > window.t1 || desk.position < window.t0)) show(movedWindow(desk.clip, window, desk.position - window.t0 - 0.05 * wide));
  showPosition();
  if (transport.playing) following = requestAnimationFrame(follow);
}

/** Show the position: playhead, time, the slider's value and the read-out there. */
function showPosition() {
  desk.picture.drawMoving();
  desk.minimap.move();
  desk.course.move();
  const text = `${desk.position.toFixed(3)} s`, coarse = desk.position.toFixed(1);
  part("time").textContent = text;
  if (desk.shown === `${coarse} ${desk.hertz}`) return;
  desk.shown = `${coarse} ${desk.hertz}`;
  const words = readOutText(readOut(desk, desk.position, desk.hertz));
  desk.host.setAttribute("aria-valuenow", desk.position.toFixed(3));
  desk.host.setAttribute("aria-valuetext", words);
  if (!desk.host.matches(":hover")) part("readout").textContent = words;
}
