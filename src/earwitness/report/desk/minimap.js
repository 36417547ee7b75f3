// The minimap: the whole sound in a strip, with the window of the picture; a click or a drag moves it.

function makeMinimap(canvas, desk, onmove) {
  let back = null;
  const scale = Math.min(2, devicePixelRatio || 1);
  const length = () => desk.clip.samples / desk.clip.rate;
  const paint = () => {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    back ??= rasterOf(desk, canvas.width, canvas.height, wholeWindow(desk.clip, desk.view.axis));
    move();
  };
  const move = () => {
    if (!back) return;
    const context = canvas.getContext("2d"), { t0, t1, f0, f1 } = desk.view.window;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(back, 0, 0, canvas.width, canvas.height);
    const all = makeScales(wholeWindow(desk.clip, desk.view.axis), desk.view.axis, { x: 0, y: 0, width: canvas.width, height: canvas.height });
    const [a, b, top, bottom] = [all.x(t0), all.x(t1), all.y(f1), all.y(f0)];
    context.fillStyle = isDark() ? "rgba(0,0,0,.55)" : "rgba(90,100,110,.45)";
    context.fillRect(0, 0, a, canvas.height); context.fillRect(b, 0, canvas.width - b, canvas.height);
    context.fillRect(a, 0, b - a, top); context.fillRect(a, bottom, b - a, canvas.height - bottom);
    context.strokeStyle = isDark() ? "#fff" : "#111"; context.lineWidth = 2 * scale;
    context.strokeRect(a + scale, top + scale, b - a - 2 * scale, bottom - top - 2 * scale);
    if (desk.position !== null) { context.fillStyle = isDark() ? "#fff" : "#111"; context.fillRect(all.x(desk.position), 0, scale, canvas.height); }
  };
  const follow = event => {
    const box = canvas.getBoundingClientRect();
    const t = (event.clientX - box.left) / box.width * length();
    const { t0, t1 } = desk.view.window;
    onmove(movedWindow(desk.clip, desk.view.window, t - (t0 + t1) / 2));
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); follow(event); });
  canvas.addEventListener("pointermove", event => { if (canvas.hasPointerCapture(event.pointerId)) follow(event); });
  return { move, paint: () => { back = null; paint(); } };
}
