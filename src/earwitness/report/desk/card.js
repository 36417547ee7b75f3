// One sound as a page of its own, made of this page: its row, its payload, the same style and script.

/** Return the HTML of a page with one clip; links to files beside the page are left out. */
function cardPage(clip, row) {
  const copy = document.documentElement.cloneNode(true);
  copy.removeAttribute("data-theme");
  copy.classList.remove("scripted");
  copy.querySelectorAll("script.clip, script[src], #tip, dialog").forEach(node => node.remove());
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
