// All explanations of a sound side by side on the same axes and one scale of colours; one is on the desk.

/** Fill the row of small maps; pick(index) opens one. Maps are unpacked one by one. */
function fillMultiples(host, desk, pick) {
  const { explanations } = desk.clip;
  const sameTarget = explanations.every(one => one.target === explanations[0].target);
  host.parentElement.hidden = explanations.length < 2;
  const cards = explanations.map((one, k) => ({
    id: String(k), class: `small ${one.verdict ? one.verdict.grade : "ungraded"}`,
    nodes: [
      el("canvas", { width: 150, height: 64, "aria-hidden": "true" }),
      el("span", { class: "method" }, one.method),
      el("span", { class: "grade" }, sameTarget ? "" : `${one.target}: `, one.verdict ? one.verdict.grade : "not graded"),
    ],
  }));
  return choices(host, cards, desk.index, id => pick(Number(id)));
}

/** Draw the small maps, a map at a time, while the sound is open. */
async function drawMultiples(host, desk) {
  const buttons = [...host.querySelectorAll("button")];
  if (buttons.length < 2) return;
  for (const [k, button] of buttons.entries()) {
    const { codes, top } = await mapOf(desk, k);
    if (desk.closed) return;
    const one = desk.clip.explanations[k], canvas = button.querySelector("canvas");
    const view = signedView(weightsOf(codes, one.map.values), top, isGrey(one));
    canvas.width = Math.round(150 * Math.min(2, devicePixelRatio || 1)); canvas.height = Math.round(64 * Math.min(2, devicePixelRatio || 1));
    canvas.getContext("2d").drawImage(rasterOf(desk, canvas.width, canvas.height, wholeWindow(desk.clip, desk.view.axis), view), 0, 0);
    await new Promise(done => requestAnimationFrame(done));
    if (desk.closed) return;
  }
}

/** Return whether a map is shown in grey, because its verdict says that it explains nothing. */
const isGrey = one => ["none", "degenerate"].includes(one.verdict?.grade);
