// The timeline of a scan: score curves, events and an overview of whole recordings, to zoom and to move in.

const TIMELINE = { left: 44, curves: [4, 110], events: [118, 40], picture: [164, 84], axis: 252, least: 2 }; // px; s
const PRESS = 5; // px that a press may move and still be a click

/** Return the colour of a label by its number on the page. */
const labelColour = k => `hsl(${Math.round(k * 137.508 + 210) % 360} 70% ${isDark() ? 66 : 36}%)`;

/** Return seconds as hours, minutes and seconds; the other side of clock_text of report/sections.py. */
function clockText(t, digits = 0) {
  const unit = 10 ** digits, all = Math.round(t * unit), rest = all % (60 * unit), minutes = Math.floor(all / unit / 60);
  const text = `${digits ? (rest / unit).toFixed(digits).padStart(3 + digits, "0") : String(rest).padStart(2, "0")}`;
  return minutes >= 60 ? `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${text}` : `${minutes}:${text}`;
}

/** Return a round step of an axis of time with about so many seconds between two ticks. */
const clockStep = wanted => [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200].find(step => step >= wanted) ?? 86400;

/** Start the timeline of a page that has one, and return {paint, show}. */
function startTimeline(host) {
  if (!host) return null;
  const { recordings, kind } = JSON.parse(document.getElementById("timeline-data").textContent);
  const find = name => host.querySelector(`[data-timeline=${name}]`), canvas = find("canvas"), scale = Math.min(2, devicePixelRatio || 1);
  const names = [...new Set(recordings.flatMap(one => one.curves.map(curve => curve.label)))], hidden = new Set();
  const state = { number: 0, t0: 0, t1: 1, one: null, picture: null, low: 0, high: 1 };
  const width = () => canvas.clientWidth - TIMELINE.left, x = t => TIMELINE.left + width() * (t - state.t0) / (state.t1 - state.t0);
  const timeAt = event => state.t0 + (state.t1 - state.t0) * (event.clientX - canvas.getBoundingClientRect().left - TIMELINE.left) / width();

  const window = (t0, t1) => {
    const all = state.one.seconds, size = Math.min(all, Math.max(TIMELINE.least, t1 - t0)), start = Math.min(Math.max(0, t0 + (t1 - t0 - size) / 2), all - size);
    Object.assign(state, { t0: start, t1: start + size });
    paint();
  };
  const zoom = (factor, about = (state.t0 + state.t1) / 2) => window(about + (state.t0 - about) * factor, about + (state.t1 - about) * factor);
  const moves = {
    in: () => zoom(0.5), out: () => zoom(2), all: () => window(0, state.one.seconds),
    earlier: () => window(state.t0 - (state.t1 - state.t0) / 2, state.t1 - (state.t1 - state.t0) / 2),
    later: () => window(state.t0 + (state.t1 - state.t0) / 2, state.t1 + (state.t1 - state.t0) / 2),
  };

  const choose = async number => {
    const one = recordings[number], values = one.curves.flatMap(curve => curve.values.filter(value => value !== null));
    const [low, high] = kind === "probability" || !values.length ? [0, 1] : [Math.min(...values), Math.max(...values)];
    Object.assign(state, { number, one, picture: null, low, high, t0: 0, t1: one.seconds });
    find("recording").value = String(number);
    find("notes").textContent = one.notes.join("; ");
    paint();
    const [bands, columns] = one.overview.shape, codes = await unpackMap(one.overview);
    if (state.one !== one) return;
    let [least, most] = [255, 1];
    for (const code of codes) { if (code && code < least) least = code; if (code > most) most = code; }
    state.picture = { bands, columns, codes, least: Math.min(least, most - 1), most };
    paint();
  };

  const paintPicture = (context, [top, height]) => {
    const { bands, columns, codes, least, most } = state.picture, table = coloursOf("level"), image = new ImageData(columns, bands), pixels = new Uint32Array(image.data.buffer);
    for (let band = 0; band < bands; band++) {
      for (let column = 0; column < columns; column++) {
        const level = Math.max(0, (codes[band * columns + column] - least) / (most - least));
        pixels[(bands - 1 - band) * columns + column] = table[Math.round(255 * level)];
      }
    }
    const own = Object.assign(document.createElement("canvas"), { width: columns, height: bands });
    own.getContext("2d").putImageData(image, 0, 0);
    const { step } = state.one, from = state.t0 / step, count = (state.t1 - state.t0) / step;
    context.imageSmoothingEnabled = false;
    context.drawImage(own, from, 0, count, bands, TIMELINE.left, top, width(), height);
    const last = columns * step; // the last window is longer than its column
    if (state.t1 > last) context.drawImage(own, columns - 1, 0, 1, bands, x(last), top, x(state.one.seconds) - x(last), height);
  };
  const paintScale = (context, [top, height]) => {
    const { low, high } = state;
    context.strokeStyle = ink("line"); context.strokeRect(TIMELINE.left, top, width(), height);
    context.fillStyle = ink("soft"); context.textAlign = "right"; context.textBaseline = "middle";
    context.fillText(scoreText(kind, high), TIMELINE.left - 4, top + 6); context.fillText(scoreText(kind, low), TIMELINE.left - 4, top + height - 6);
  };
  const paintCurves = (context, [top, height]) => {
    const { one, low, high } = state, y = value => top + height - (height - 2) * (value - low) / (high - low || 1);
    const reach = Math.max(one.window, one.step);
    for (const { label, values } of one.curves) {
      if (hidden.has(label)) continue;
      context.strokeStyle = labelColour(names.indexOf(label)); context.lineWidth = 1.5; context.beginPath();
      let drawn = false;
      for (let k = Math.max(0, Math.floor(state.t0 / one.step) - 2); k < values.length && k * one.step <= state.t1 + reach; k++) {
        if (values[k] === null) { drawn = false; continue; }
        const at = x(Math.min(k * one.step + reach / 2, one.seconds)); // the middle of the window
        if (drawn) context.lineTo(at, y(values[k])); else context.moveTo(at, y(values[k]));
        drawn = true;
      }
      context.stroke();
    }
    context.lineWidth = 1;
  };
  const lanes = () => [...new Set(state.one.events.map(event => event.label))].filter(label => !hidden.has(label));
  const boxOf = event => {
    const some = lanes(), lane = some.indexOf(event.label), [top, height] = TIMELINE.events, each = height / Math.max(1, some.length);
    return lane < 0 ? null : { left: x(event.start), top: top + lane * each, width: Math.max(2, x(event.end) - x(event.start)), height: Math.max(2, each - 1) };
  };
  const paintEvents = context => {
    for (const event of state.one.events) {
      const box = event.end > state.t0 && event.start < state.t1 ? boxOf(event) : null;
      if (!box) continue;
      context.fillStyle = labelColour(names.indexOf(event.label));
      context.globalAlpha = event.anchor ? 1 : 0.5;
      context.fillRect(box.left, box.top, box.width, box.height);
    }
    context.globalAlpha = 1;
  };
  const paintAxis = context => {
    const step = clockStep((state.t1 - state.t0) / Math.max(2, width() / 90)), digits = step < 1 ? 1 : 0;
    context.fillStyle = ink("soft"); context.strokeStyle = ink("line"); context.textAlign = "center"; context.textBaseline = "top";
    for (let t = Math.ceil(state.t0 / step) * step; t <= state.t1; t += step) {
      context.beginPath(); context.moveTo(x(t), TIMELINE.curves[0]); context.lineTo(x(t), TIMELINE.axis); context.stroke();
      if (x(t) < canvas.clientWidth - 20) context.fillText(clockText(t, digits), x(t), TIMELINE.axis + 4);
    }
  };
  const paint = () => {
    if (!state.one || !canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * scale); canvas.height = Math.round(canvas.clientHeight * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale); context.font = "11px system-ui, sans-serif";
    if (state.picture) paintPicture(context, TIMELINE.picture);
    paintAxis(context);
    paintScale(context, TIMELINE.curves);
    context.save(); context.beginPath(); context.rect(TIMELINE.left, 0, width(), TIMELINE.axis); context.clip();
    paintCurves(context, TIMELINE.curves);
    paintEvents(context);
    context.restore();
    fillLabels();
    find("readout").textContent = `${clockText(state.t0, 1)} to ${clockText(state.t1, 1)}`;
  };
  const fillLabels = () => {
    const some = state.one.curves.map(curve => curve.label);
    find("labels").replaceChildren(...some.map(label => {
      const flip = () => { if (!hidden.delete(label)) hidden.add(label); paint(); [...find("labels").children][some.indexOf(label)].focus(); };
      return el("button", { type: "button", "aria-pressed": String(!hidden.has(label)), onclick: flip }, el("i", { style: { background: labelColour(names.indexOf(label)) } }), label);
    }));
  };

  const eventAt = pointer => {
    const at = canvas.getBoundingClientRect(), px = pointer.clientX - at.left, py = pointer.clientY - at.top;
    return state.one.events.find(event => {
      const box = boxOf(event);
      return box && px >= box.left - 1 && px <= box.left + box.width + 1 && py >= box.top && py <= box.top + box.height;
    });
  };
  let drag = null;
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); drag = { from: event.clientX, t0: state.t0, t1: state.t1 }; });
  canvas.addEventListener("pointermove", event => {
    const over = eventAt(event), t = timeAt(event);
    if (drag && Math.abs(event.clientX - drag.from) > PRESS) {
      const by = (drag.from - event.clientX) / width() * (drag.t1 - drag.t0);
      window(drag.t0 + by, drag.t1 + by);
    }
    canvas.title = over ? `${over.label} ${scoreText(kind, over.score)}, ${clockText(over.start, 1)} to ${clockText(over.end, 1)}${over.anchor ? "; click to open its explanation" : ""}` : "";
    find("readout").textContent = `${clockText(state.t0, 1)} to ${clockText(state.t1, 1)}; pointer at ${clockText(Math.max(0, t), 1)}`;
  });
  canvas.addEventListener("pointerup", event => {
    const over = drag && Math.abs(event.clientX - drag.from) <= PRESS ? eventAt(event) : null;
    drag = null;
    if (over?.anchor) location.hash = `#clip-${over.anchor}`;
  });
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, timeAt(event));
  }, { passive: false });
  for (const button of host.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => moves[button.dataset.zoom]());
  find("recording").addEventListener("change", event => choose(Number(event.target.value)));
  const table = host.querySelector("#events");
  makeSortable(table, [...table.tBodies[0].rows]);
  const show = (number, start, end) => {
    if (number !== state.number) choose(number);
    const room = Math.max(end - start, 20);
    window(start - room, end + room);
  };
  table.addEventListener("click", event => {
    const button = event.target.closest("button.show");
    if (button) { show(Number(button.dataset.recording), Number(button.dataset.start), Number(button.dataset.end)); canvas.scrollIntoView({ block: "nearest" }); }
  });
  new ResizeObserver(() => paint()).observe(canvas);
  choose(0);
  return { paint, show, state: () => ({ recording: state.number, t0: state.t0, t1: state.t1 }) };
}
