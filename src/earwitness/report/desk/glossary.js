// The glossary: what a word means, on hover and focus of it; Escape hides it.

const HOVER_WAIT = 350; // ms, so that a passing pointer opens nothing

/** Show the meaning of elements with data-term; the texts are of the page's glossary. */
function startGlossary(texts) {
  const tip = el("div", { role: "tooltip", id: "tip", hidden: true });
  document.body.append(tip);
  let owner = null;
  const hide = () => {
    if (!owner) return;
    owner.removeAttribute("aria-describedby");
    owner = null;
    tip.hidden = true;
  };
  let waiting = 0;
  const show = event => {
    clearTimeout(waiting);
    const target = event.target.closest?.("[data-term]");
    if (tip.contains(event.target)) return;
    const text = target && texts[target.dataset.term];
    if (!text) { hide(); return; }
    if (owner === target) return;
    hide();
    if (event.type === "pointerover") waiting = setTimeout(() => open(target, text), HOVER_WAIT);
    else open(target, text);
  };
  const open = (target, text) => {
    owner = target;
    tip.replaceChildren(el("b", {}, target.dataset.term), ` ${text}`);
    tip.hidden = false;
    target.setAttribute("aria-describedby", "tip");
    const box = target.getBoundingClientRect(), width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${Math.max(6, Math.min(innerWidth - width - 6, box.left))}px`;
    tip.style.top = `${box.bottom + height < innerHeight ? box.bottom : Math.max(6, box.top - height)}px`;
  };
  document.addEventListener("pointerover", show);
  document.addEventListener("focusin", show);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  document.addEventListener("keydown", event => { if (event.key === "Escape" && owner) { hide(); event.preventDefault(); } }, true);
}

/** Return text with the words of the glossary marked, each once; they are tab stops. */
function explained(text, texts) {
  const words = Object.keys(texts).sort((a, b) => b.length - a.length);
  const nodes = [];
  const used = new Set();
  let rest = text;
  while (rest) {
    let at = Infinity, hit = null;
    for (const word of words) {
      if (used.has(word)) continue;
      const found = rest.search(new RegExp(`\\b${word.replace(/[^\w ]/g, "\\$&")}\\b`, "i"));
      if (found >= 0 && found < at) { at = found; hit = word; }
    }
    if (hit === null) { nodes.push(rest); break; }
    used.add(hit);
    nodes.push(rest.slice(0, at), el("span", { class: "term", tabindex: 0, "data-term": hit }, rest.slice(at, at + hit.length)));
    rest = rest.slice(at + hit.length);
  }
  return nodes;
}
