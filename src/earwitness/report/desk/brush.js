// The brush: strokes of time, frequency, a box, a free region or harmonics, that keep or erase.

const TOOLS = [
  { id: "select", text: "Select and loop" }, { id: "time", text: "Time" }, { id: "frequency", text: "Frequency" },
  { id: "box", text: "Box" }, { id: "free", text: "Free region" }, { id: "harmonics", text: "Harmonics" },
];

function newBrush() {
  return { tool: "select", mode: "keep", base: "mask", count: 8, width: 60, strokes: [], drawing: null };
}

/** Return a stroke of the tool: edges in seconds and Hz, or the points of a line. */
function strokeOf(brush, { t0, t1, f0, f1 }, points) {
  const { tool, mode } = brush;
  if (tool === "time") return { tool, mode, t0, t1 };
  if (tool === "frequency") return { tool, mode, f0, f1 };
  if (tool === "box") return { tool, mode, t0, t1, f0, f1 };
  if (tool === "free") return points.length > 2 ? { tool, mode, points: [...points] } : null;
  return { tool, mode, points: [...points].sort((a, b) => a[0] - b[0]), width: brush.width, count: brush.count };
}

/** Draw the strokes and the one being drawn. */
function drawStrokes(context, scales, { brush }) {
  const { x, y, width, height } = scales.box;
  for (const stroke of [...brush.strokes, brush.drawing].filter(Boolean)) {
    context.strokeStyle = stroke.mode === "keep" ? "#3ddc97" : "#ff8f8f";
    context.lineWidth = 1.5;
    context.setLineDash(stroke.mode === "keep" ? [] : [5, 4]);
    if (!stroke.points) {
      const a = stroke.t0 === undefined ? x : scales.x(stroke.t0), b = stroke.t1 === undefined ? x + width : scales.x(stroke.t1);
      const top = stroke.f1 === undefined ? y : scales.y(stroke.f1), low = stroke.f0 === undefined ? y + height : scales.y(stroke.f0);
      context.strokeRect(a, top, b - a, low - top);
      continue;
    }
    for (let k = 1; k <= (stroke.tool === "harmonics" ? stroke.count : 1); k++) {
      context.beginPath();
      stroke.points.forEach(([t, f], i) => context[i ? "lineTo" : "moveTo"](scales.x(t), scales.y(k * f)));
      if (stroke.tool === "free") context.closePath();
      context.stroke();
    }
  }
}

/** Make the panel of the brush. `act` has changed() and saves: {name: function}. */
function makeBrushPanel(host, desk, act) {
  const brush = desk.brush, field = name => host.querySelector(`[name=${name}]`), nyquist = desk.clip.rate / 2;
  const length = desk.clip.samples / desk.clip.rate;
  const status = host.querySelector(".brush-state");
  choices(host.querySelector(".tools"), TOOLS, brush.tool, id => {
    brush.tool = id;
    host.dataset.tool = id;
    desk.host.classList.toggle("painting", id !== "select");
    host.querySelector(".line-fields").hidden = id !== "harmonics";
  });
  choices(host.querySelector(".modes"), [{ id: "keep", text: "Keep" }, { id: "erase", text: "Erase" }], brush.mode, id => { brush.mode = id; });
  field("base").value = brush.base;
  field("base").addEventListener("change", () => { brush.base = field("base").value; changed(); });
  for (const name of ["t1", "t0"]) { field(name).max = length; field(name).value = name === "t0" ? 0 : Number(length.toFixed(3)); }
  for (const name of ["f0", "f1"]) { field(name).max = nyquist; field(name).value = name === "f0" ? 0 : nyquist; }
  for (const name of ["count", "width"]) {
    field(name).value = brush[name];
    field(name).addEventListener("change", () => { brush[name] = Math.max(1, Number(field(name).value) || 1); });
  }
  const changed = () => {
    const many = brush.strokes.length;
    status.textContent = many ? `${many} stroke${many === 1 ? "" : "s"}` : "no strokes";
    host.querySelector(".undo").disabled = host.querySelector(".clear").disabled = !many;
    act.changed();
  };
  const add = stroke => { brush.strokes.push(stroke); changed(); };
  host.querySelector(".apply").addEventListener("click", () => {
    const [t0, t1, f0, f1] = ["t0", "t1", "f0", "f1"].map(name => Number(field(name).value));
    const tool = brush.tool === "select" ? "box" : brush.tool;
    if (tool === "harmonics" ? t1 <= t0 : (tool !== "frequency" && t1 <= t0) || (tool !== "time" && f1 <= f0)) {
      status.textContent = "the end must be larger than the beginning";
      return;
    }
    const corners = [[t0, f0], [t1, f0], [t1, f1], [t0, f1]];
    add(strokeOf({ ...brush, tool }, { t0, t1, f0, f1 }, tool === "harmonics" ? [[t0, f0], [t1, f1]] : corners));
  });
  host.querySelector(".undo").addEventListener("click", () => { brush.strokes.pop(); changed(); });
  host.querySelector(".clear").addEventListener("click", () => { brush.strokes.length = 0; changed(); });
  host.querySelectorAll("[data-save]").forEach(button => button.addEventListener("click", () => act.saves[button.dataset.save]()));
  host.querySelector(".undo").disabled = host.querySelector(".clear").disabled = true;
  return { add };
}
