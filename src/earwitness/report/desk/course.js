// The score over time, of frames or of windows, in the window of the picture; a click plays from there.

const COURSE = { width: 1000, height: 50 };

/** Return whether the parts of a course are windows, which overlap, and not frames. */
const ofWindows = ({ starts, ends }) => starts.length > 1 && starts[1] < ends[0] - 1e-6;

/** Return the SVG path of a course (starts, ends, values) by functions of seconds and of values. */
function coursePath(course, x, y) {
  const { starts, ends, values } = course, apart = ofWindows(course);
  return values.map((value, k) => {
    const level = y(value).toFixed(2);
    return `${k && !apart ? "L" : "M"}${x(starts[k]).toFixed(2)} ${level}L${x(ends[k]).toFixed(2)} ${level}`;
  }).join("");
}

/** Return the sentence under the curve, and its label for who does not see it. */
function courseWords(one) {
  const { starts, ends, values } = one.course, high = values.indexOf(Math.max(...values)), low = values.indexOf(Math.min(...values));
  const at = k => `${scoreText(one.score.kind, values[k])} at ${starts[k].toFixed(2)}\u2013${ends[k].toFixed(2)} s`;
  const whose = ofWindows(one.course) ? "of each window" : "over time";
  return `Score of ${one.label}${one.versus ? ` against ${one.versus}` : ""} ${whose}: highest ${at(high)}, lowest ${at(low)}.`;
}

function makeCourse(host, desk, play) {
  const svg = document.createElementNS(SVG, "svg"), words = el("p", { class: "soft" });
  const [span, other, line, head] = ["rect", "path", "path", "path"].map(name => svg.appendChild(document.createElementNS(SVG, name)));
  const [top, bottom] = ["top", "bottom"].map(name => el("span", { class: name, "aria-hidden": "true" }));
  svg.setAttribute("viewBox", `0 0 ${COURSE.width} ${COURSE.height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  line.setAttribute("class", "line evidence");
  other.setAttribute("class", "line remainder");
  head.setAttribute("class", "line head");
  host.replaceChildren(el("div", { class: "curve" }, svg, top, bottom), words);
  let one = null, compared = null, low = 0, high = 1; // compared: the course of recording B
  const x = t => COURSE.width * (t - desk.view.window.t0) / (desk.view.window.t1 - desk.view.window.t0);
  const y = value => COURSE.height - 2 - (COURSE.height - 4) * (value - low) / (high - low || 1);
  const move = () => { if (one) head.setAttribute("d", `M${x(desk.position).toFixed(2)} 0V${COURSE.height}`); };
  const draw = () => {
    if (!one) return;
    line.setAttribute("d", coursePath(one.course, x, y));
    other.setAttribute("d", compared ? coursePath(compared, x, y) : "");
    const [a, b] = one.span ? one.span.map(x) : [0, 0];
    span.setAttribute("x", a); span.setAttribute("width", Math.max(0, b - a)); span.setAttribute("height", COURSE.height);
    move();
  };
  svg.addEventListener("click", event => {
    const box = svg.getBoundingClientRect(), { t0, t1 } = desk.view.window;
    play(t0 + (t1 - t0) * (event.clientX - box.left) / box.width);
  });
  const fill = explanation => {
    one = explanation.course ? explanation : null;
    host.hidden = !one;
    if (!one) return;
    compared = one.details?.comparison?.course ?? null;
    const values = [...one.course.values, ...(compared?.values ?? [])];
    const text = `${courseWords(one)}${compared ? " The other line is recording B, aligned." : ""}`;
    [low, high] = one.score.kind === "probability" ? [0, 1] : [Math.min(...values), Math.max(...values)];
    top.textContent = scoreText(one.score.kind, high); bottom.textContent = scoreText(one.score.kind, low);
    words.textContent = `${text} Click to play from there.`;
    svg.setAttribute("aria-label", text);
    draw();
  };
  return { fill, draw, move };
}
