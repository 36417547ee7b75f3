// What can be saved: what is kept, as a mask, a sound or labels; one sound as a page of its own.

/** Return a name of a file after a sound. */
const fileName = clip => clip.name.split("/").pop().replace(/\.[^.]*$/, "").replace(/[^\w.-]+/g, "_") || "sound";

/** Return what the buttons of the brush save. */
function savesOf(one) {
  const { clip } = one, name = fileName(clip);
  const labelled = write => {
    const label = one.explanation.target, painted = one.kept.kind === "brush" && one.brush.strokes.some(stroke => stroke.mode === "keep");
    return write(painted ? strokeRegions(one.brush.strokes, clip) : regionsOf(one.gains, clip, weightsOf(one.codes, one.explanation.map.values)), label);
  };
  // overlapping pieces are mixed as sounds: there are no gains to save
  const masked = save => () => { if (one.gains) save(); else say("overlapping pieces have no mask; they can be saved as WAV"); };
  return {
    mask: masked(() => download("mask.json", maskText(one.gains, clip), "application/json")),
    wav: async () => download(`${name}-evidence.wav`, new Blob([wavBytes((await keptSounds(one)).evidence, clip.rate)], { type: "audio/wav" })),
    raven: masked(() => download(`${name}.selections.txt`, labelled(ravenText))),
    audacity: masked(() => download(`${name}.labels.txt`, labelled(audacityText))),
    csv: masked(() => download(`${name}.csv`, labelled(csvText), "text/csv")),
  };
}

/** Return the HTML of a page with one clip; links to files beside the page are left out. */
function cardPage(clip, row) {
  const copy = document.documentElement.cloneNode(true);
  copy.removeAttribute("data-theme");
  copy.classList.remove("scripted");
  copy.querySelectorAll("script.clip, script[src], #tip").forEach(node => node.remove());
  copy.querySelector("#desk").replaceChildren();
  copy.querySelector("#desk").hidden = true;
  copy.querySelector("main").className = "";
  const index = row.dataset.clip;
  copy.querySelectorAll("tr.sound").forEach(other => { if (other.dataset.clip !== index) other.remove(); });
  const own = copy.querySelector("tr.sound");
  own.dataset.clip = "0";
  own.removeAttribute("data-src"); own.removeAttribute("aria-current"); own.hidden = false;
  copy.querySelectorAll("[aria-sort]").forEach(head => head.removeAttribute("aria-sort"));
  const json = value => JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const report = JSON.parse(document.getElementById("report").textContent);
  copy.querySelector("#report").textContent = json({ ...report, assets: null });
  const alone = { ...clip, original: null, explanations: clip.explanations.map(one => ({ ...one, files: {} })) };
  const script = el("script", { type: "application/json", class: "clip", "data-clip": "0" }, json(alone));
  copy.querySelector("#report").after(script);
  return `<!doctype html>\n${copy.outerHTML}\n`;
}
