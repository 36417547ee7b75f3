// The spectrogram: axes, raster, outline and colour bar, drawn once; playhead and selection above them.

/** Return where the parts of a picture of a size lie, in pixels. */
function pictureBox(width, height) {
  const small = width < 600;
  return {
    width, height,
    plot: { x: small ? 40 : 52, y: 8, width: width - (small ? 40 : 52) - (small ? 50 : 66), height: height - 34 },
    bar: { x: width - (small ? 44 : 54), y: 8, width: small ? 8 : 12, height: height - 34 },
  };
}

/** Draw everything that does not move. */
function drawPicture(pen, desk, width, height) {
  const { plot, bar } = pictureBox(width, height), { view } = desk;
  const text = ink("ink"), soft = ink("soft"), line = ink("line");
  pen.rect(0, 0, width, height, ink("panel"));
  const scale = pen.scale, size = [Math.round(plot.width * scale), Math.round(plot.height * scale)];
  pen.image(shownRaster(desk, size), plot.x, plot.y, plot.width, plot.height);
  if (view.outline && desk.gains) {
    pen.image(outlineOf(desk, ...size, Math.max(1, Math.round(scale))), plot.x, plot.y, plot.width, plot.height);
  }
  const scales = makeScales(view.window, view.axis, plot);
  for (const f of frequencyTicks(scales, 34)) {
    const y = scales.y(f);
    pen.line(plot.x - 4, y, plot.x, y, soft);
    pen.text(plot.x - 7, y, f >= 1000 ? `${Number((f / 1000).toPrecision(4))}k` : String(Number(f.toPrecision(4))), text, { align: "right" });
  }
  pen.text(11, plot.y + plot.height / 2, "Hz", soft, { align: "center", turn: -Math.PI / 2 });
  for (const t of roundTicks(view.window.t0, view.window.t1, plot.width / 80)) {
    const x = scales.x(t);
    pen.line(x, plot.y + plot.height, x, plot.y + plot.height + 4, soft);
    pen.text(x, plot.y + plot.height + 13, `${Number(t.toPrecision(6))} s`, text, { align: x > plot.x + plot.width - 14 ? "right" : x < plot.x + 14 ? "left" : "center" });
  }
  drawBar(pen, desk, bar, { text, soft });
  pen.line(plot.x, plot.y + plot.height, plot.x + plot.width, plot.y + plot.height, line);
  pen.line(plot.x, plot.y, plot.x, plot.y + plot.height, line);
}

/** Return the raster of the view; the last one is kept while nothing that it shows has changed. */
function shownRaster(desk, size) {
  const { show, window, axis, floor } = desk.view, masked = show === "evidence" || show === "remainder";
  const key = JSON.stringify([show, window, axis, floor, size, desk.reference, desk.index, isDark()]), gains = masked ? desk.gains : null;
  if (desk.raster?.key !== key || desk.raster.gains !== gains) desk.raster = { key, gains, canvas: rasterOf(desk, ...size) };
  return desk.raster.canvas;
}

/** Draw the colour bar with its ticks and its unit. */
function drawBar(pen, desk, bar, { text, soft }) {
  const strip = el("canvas", { width: 1, height: 256 }), signed = desk.view.show === "attribution";
  const colours = coloursOf(!signed ? "level" : desk.grey ? "grey" : "signed");
  const context = strip.getContext("2d"), image = context.createImageData(1, 256);
  new Uint32Array(image.data.buffer).set([...colours].reverse());
  context.putImageData(image, 0, 0);
  pen.image(strip, bar.x, bar.y, bar.width, bar.height);
  const [low, high] = signed ? [-1, 1] : [desk.view.floor, 0];
  for (const value of signed ? [-1, -0.5, 0, 0.5, 1] : roundTicks(low, high, bar.height / 34)) {
    const y = bar.y + bar.height * (high - value) / (high - low);
    const near = Math.min(bar.y + bar.height - 5, Math.max(bar.y + 5, y));
    pen.line(bar.x + bar.width, y, bar.x + bar.width + 3, y, soft);
    pen.text(bar.x + bar.width + 5, near, String(value).replace("-", "\u2212"), text, { size: 10 });
  }
  pen.text(bar.x + bar.width / 2 + 6, bar.y + bar.height + 13, signed ? "attrib." : "dB", soft, { align: "center", size: 10 });
}

/** Return what the colour bar means, in words. */
function barWords(desk) {
  if (desk.view.show !== "attribution") {
    return `Colours: dB relative to the loudest cell of ${desk.common ? "all sounds on the page" : "this sound"}.`;
  }
  const sense = desk.grey ? "Grey, because nothing is explained: bright or dark cells are" : "Orange raises the score, blue lowers it:";
  return `${sense} attribution in units of ${figure(desk.top)} (the 99.5th percentile of this map, so that maps of all methods have one scale).`;
}

/** The picture on the page: a canvas that is redrawn on change, and one above it that moves. */
function makePicture(host, desk) {
  const still = el("canvas", { "aria-hidden": "true" }), moving = el("canvas", { "aria-hidden": "true" });
  host.replaceChildren(still, moving);
  const size = () => [host.clientWidth, host.clientHeight];
  const pens = () => [still, moving].map(canvas => {
    const scale = Math.min(2, devicePixelRatio || 1), [width, height] = size();
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    }
    return canvas.getContext("2d");
  });
  const scales = () => makeScales(desk.view.window, desk.view.axis, pictureBox(...size()).plot);
  let asked = 0;
  const draw = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(drawNow); // many changes, one drawing
  };
  const drawNow = () => {
    if (!host.clientWidth || desk.closed) return;
    const [context] = pens(), scale = Math.min(2, devicePixelRatio || 1);
    drawPicture(canvasPen(context, scale), desk, ...size());
    drawMoving();
  };
  const drawMoving = () => {
    const context = moving.getContext("2d"), scale = Math.min(2, devicePixelRatio || 1);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, ...size());
    const here = scales(), { x, y, width, height } = here.box;
    context.save();
    context.beginPath(); context.rect(x, y, width, height); context.clip();
    drawSelection(context, here, desk);
    drawStrokes(context, here, desk);
    drawPieces(context, here, desk);
    if (desk.position !== null) {
      const at = here.x(desk.position);
      context.fillStyle = "rgba(0,0,0,.65)"; context.fillRect(at - 1.5, y, 4, height);
      context.fillStyle = "#fff"; context.fillRect(at - 0.5, y, 2, height);
    }
    context.restore();
  };
  const watcher = new ResizeObserver(() => draw());
  watcher.observe(host);
  return { draw, drawMoving, scales, close: () => watcher.disconnect() };
}

/** Draw the selected time (and frequencies): a light veil with edges. */
function drawSelection(context, scales, { selection }) {
  if (!selection) return;
  const { y, height } = scales.box, a = scales.x(selection.t0), b = scales.x(selection.t1);
  context.fillStyle = isDark() ? "rgba(120,200,255,.22)" : "rgba(0,90,170,.2)";
  context.fillRect(a, y, b - a, height);
  context.strokeStyle = isDark() ? "#9fd8ff" : "#004f94"; context.lineWidth = 1.5;
  context.setLineDash([]);
  for (const at of [a, b]) { context.beginPath(); context.moveTo(at, y); context.lineTo(at, y + height); context.stroke(); }
  if (selection.f0 === undefined) return;
  context.setLineDash([4, 3]);
  context.strokeRect(a, scales.y(selection.f1), b - a, scales.y(selection.f0) - scales.y(selection.f1));
}

/** Return the values under a point, as the read-out shows them. */
function readOut(desk, t, f) {
  const [bin, frame] = cellOf(desk.clip, t, f), cell = bin * desk.clip.plane.frames + frame;
  return {
    seconds: t, hertz: f, bin, frame,
    level: desk.levels ? desk.levels[cell] : null,
    attribution: desk.explanation.map.values[desk.codes[cell]],
    gain: desk.gains ? desk.gains[cell] : null,
  };
}

function readOutText(found) {
  const parts = [`${found.seconds.toFixed(3)} s`, `${Math.round(found.hertz)} Hz`];
  if (found.level !== null) parts.push(`${found.level.toFixed(1).replace("-", "\u2212")} dB`);
  parts.push(`attribution ${figure(found.attribution)}`);
  if (found.gain !== null) parts.push(found.gain === 1 ? "kept" : found.gain === 0 ? "removed" : `gain ${figure(found.gain)}`);
  return parts.join(" \u00b7 ");
}

/** Return the picture as a file: a PNG blob (a promise) or SVG text, with its title below. */
async function exportPicture(desk, kind, width = 1200, height = 480) {
  const title = `${desk.clip.name}: ${desk.view.show}, ${desk.explanation.target} by ${desk.explanation.method}`;
  if (kind === "svg") {
    const pen = svgPen(width, height + 24);
    drawPicture(pen, desk, width, height);
    pen.rect(0, height, width, 24, ink("panel"));
    pen.text(8, height + 12, title, ink("ink"), { size: 12 });
    return pen.done(title);
  }
  const canvas = el("canvas", { width: 2 * width, height: 2 * (height + 24) });
  const pen = canvasPen(canvas.getContext("2d"), 2);
  drawPicture(pen, desk, width, height);
  pen.rect(0, height, width, 24, ink("panel"));
  pen.text(8, height + 12, title, ink("ink"), { size: 12 });
  return new Promise(done => canvas.toBlob(done, "image/png"));
}
