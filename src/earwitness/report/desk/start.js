// Start: the table, keys, theme and glossary; a page of one sound opens it at once.

/** What scripts and tests see of the desk. */
function deskState() {
  if (!desk) return { clip: null };
  const { view, loop, kept, clip, explanation, position, selection } = desk;
  return {
    clip: desk.n, name: clip.name, method: explanation?.method ?? null, source: desk.source, playing: Boolean(transport?.playing && desk.samples),
    position, loop, selection, keep: kept?.percent ?? null, kept: kept ?? null,
    view: { show: view.show, outline: view.outline, axis: view.axis, floor: view.floor, ...view.window },
  };
}

function deskSeek(t) {
  return seekTo(t);
}

document.documentElement.classList.add("scripted");
table = startTable(document.getElementById("sounds"), {
  search: document.getElementById("search"), filter: document.getElementById("filter"), status: document.getElementById("count"),
  open: n => openClip(n), play: n => (desk?.n === n && desk.samples ? togglePlay() : openClip(n, { play: true, focus: false })),
});
startGlossary(texts);
const help = document.getElementById("help");
help.querySelector("dl").replaceChildren(...KEYS.flatMap(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)]));
document.getElementById("show-help").addEventListener("click", () => help.showModal());
const timeline = startTimeline(document.getElementById("timeline"));
startTheme(document.getElementById("theme"), () => { timeline?.paint(); if (desk?.refresh && desk.explanation) { desk.minimap.paint(); desk.refresh(); drawMultiples(part("multiples"), desk); } });
startKeys({
  toggle: togglePlay,
  step: (direction, far) => seekBy(direction, far), next: step, source: k => chooseSource(SOURCES[k]), loop: toggleLoop,
  zoom, whole, help: () => help.showModal(),
  escape: () => (desk?.loop || desk?.selection ? (selectTime(null), true) : false),
});
if (table.rows === 1) openClip(Number(document.querySelector("tr.sound").dataset.clip), { focus: false });
else openNamed();
window.addEventListener("hashchange", openNamed);

/** Open the sound that the address names: page.html#clip-ANCHOR. */
function openNamed() {
  const row = [...document.querySelectorAll("tr.sound")].find(one => `#${one.id}` === location.hash);
  if (row) openClip(Number(row.dataset.clip), { focus: false });
}
