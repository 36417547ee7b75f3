// Small parts of the page: elements made from text only, groups with one tab stop, numbers in words.

/** Return an element; children are nodes or text, so that no name of a file becomes markup. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

/** Make a group of buttons one tab stop; arrow keys, Home and End move within it. */
function rove(group, pick = null) {
  const all = () => [...group.querySelectorAll("button:not([hidden]):not(:disabled)")];
  const mark = chosen => {
    group.querySelectorAll("button").forEach(button => { button.tabIndex = button === chosen ? 0 : -1; });
  };
  group.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = all(), here = buttons.indexOf(document.activeElement);
    if (here < 0 || !buttons.length || event.altKey || event.ctrlKey || event.metaKey) return;
    let next = null;
    if (step) next = buttons[(here + step + buttons.length) % buttons.length];
    if (event.key === "Home") next = buttons[0];
    if (event.key === "End") next = buttons[buttons.length - 1];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    mark(next);
    next.focus();
    if (pick) pick(next);
  });
  group.addEventListener("focusin", event => {
    if (event.target.tagName === "BUTTON") mark(event.target);
  });
  mark(group.querySelector("button[aria-checked=true]") ?? all()[0]);
  return { mark };
}

/**
 * Fill a radio group of buttons. Items are {id, text, hint, term, key}; returns {set, hide}.
 * pick(id) is called when another one is chosen.
 */
function choices(host, items, chosen, pick) {
  host.replaceChildren(...items.map(item => el(
    "button",
    {
      type: "button", role: "radio", "data-id": item.id, "data-term": item.term ?? null,
      "aria-keyshortcuts": item.key ?? null, class: item.class ?? null,
    },
    ...(item.nodes ?? [item.text]),
    item.key ? el("kbd", { "aria-hidden": "true" }, item.key) : null,
  )));
  const buttons = [...host.children];
  let group = null;
  const set = id => {
    buttons.forEach(button => button.setAttribute("aria-checked", String(button.dataset.id === String(id))));
    group?.mark(buttons.find(button => button.dataset.id === String(id)));
  };
  const choose = button => { set(button.dataset.id); pick(button.dataset.id); };
  set(chosen);
  group = rove(host, choose);
  buttons.forEach(button => button.addEventListener("click", () => choose(button)));
  const hide = (id, hidden) => { buttons.find(button => button.dataset.id === id).hidden = hidden; };
  return { set, hide };
}

/** Return a number with as many digits as are worth reading. */
function figure(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "\u2212");
}

/** Return a share of one in percent: 58 %, 4.5 %, under 0.1 %, over 99.9 %. */
function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "\u2013";
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "under 0.1 %";
  if (value > 99.9 && value < 100) return "over 99.9 %";
  return `${value.toFixed((value > 0 && value < 10) || (value > 99 && value < 100) ? 1 : 0)} %`;
}

/** Return a score with its unit: a probability in percent, anything else as a number. */
function scoreText(kind, value) {
  return kind === "probability" ? percent(value) : figure(value);
}

const seconds = value => `${value.toFixed(Math.abs(value) < 10 ? 2 : 1)} s`;

/** Return a frequency: 850 Hz, 2.43 kHz. */
function hertz(value) {
  return value < 1000 ? `${Math.round(value)} Hz` : `${Number((value / 1000).toPrecision(3))} kHz`;
}

/** Offer a file to the reader. */
function download(name, content, type = "text/plain") {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Call f once, after the calls have paused for some milliseconds. */
function settled(f, wait) {
  let timer = 0;
  return (...args) => { clearTimeout(timer); timer = setTimeout(() => f(...args), wait); };
}
