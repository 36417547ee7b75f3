// The pointer on the picture: read-out, click to seek, drag to select and loop or to paint, zoom.

const SLACK = 4; // pixels that a click may move

/** Watch the pointer on the picture. `act` has seek, select, paint(stroke), show(window), read(t, f). */
function watchPointer(host, desk, act) {
  let start = null;
  const at = event => {
    const box = host.getBoundingClientRect(), scales = desk.picture.scales(), { x, y, width, height } = scales.box;
    const px = Math.min(x + width, Math.max(x, event.clientX - box.left));
    const py = Math.min(y + height, Math.max(y, event.clientY - box.top));
    return { t: scales.t(px), f: scales.f(py), px, py };
  };
  host.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    host.setPointerCapture(event.pointerId);
    const here = at(event);
    start = { ...here, points: [[here.t, here.f]], moved: false };
  });
  host.addEventListener("pointermove", event => {
    const here = at(event);
    act.read(here.t, here.f);
    if (!start) return;
    start.moved ||= Math.hypot(here.px - start.px, here.py - start.py) > SLACK;
    if (!start.moved) return;
    start.points.push([here.t, here.f]);
    const [t0, t1] = [start.t, here.t].sort((a, b) => a - b), [f0, f1] = [start.f, here.f].sort((a, b) => a - b);
    if (desk.brush.tool === "select") desk.selection = { t0, t1 };
    else desk.brush.drawing = strokeOf(desk.brush, { t0, t1, f0, f1 }, start.points);
    desk.picture.drawMoving();
  });
  const end = event => {
    if (!start) return;
    const here = at(event), { moved } = start, stroke = desk.brush.drawing;
    start = null;
    desk.brush.drawing = null;
    if (!moved) act.seek(here.t, here.f);
    else if (desk.brush.tool === "select") act.select(desk.selection);
    else if (stroke) act.paint(stroke);
  };
  host.addEventListener("pointerup", end);
  host.addEventListener("pointercancel", () => { start = null; desk.brush.drawing = null; desk.picture.drawMoving(); });
  host.addEventListener("pointerleave", () => act.read(null));
  host.addEventListener("dblclick", () => act.show(wholeWindow(desk.clip, desk.view.axis)));
  host.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.altKey && !event.shiftKey) return; // the page scrolls
    event.preventDefault();
    const { t, f } = at(event), by = event.deltaY || event.deltaX, factor = Math.exp(-by / 300);
    const { window, axis } = desk.view;
    if (event.shiftKey) act.show(movedWindow(desk.clip, window, by / 500 * (window.t1 - window.t0)));
    else act.show(zoomedWindow(desk.clip, window, axis, event.altKey ? { frequency: factor, t, f } : { time: factor, t, f }));
  }, { passive: false });
}
