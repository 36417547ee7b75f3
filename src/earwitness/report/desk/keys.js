// The keyboard: one map of keys; none of them while a text field has the focus.

const KEYS = [
  ["Space", "play or pause"], ["\u2190 \u2192", "seek 0.1 s, or a tenth of the view if zoomed; with shift 1 s, or the view"],
  ["\u2191 \u2193", "on the picture: move the read-out in frequency"], ["1 2 3 4 5 6 7", "hear the input, evidence, remainder, original file, true source, recording B, hybrid"],
  ["L", "loop the selection, or half a second from the playhead; again to end it"], ["+ \u2212", "zoom in time about the playhead; with shift in frequency"],
  ["0", "show the whole sound"], ["j k", "next and previous sound"], ["Escape", "end the loop and the selection"], ["?", "this list"],
];

/** Listen to the keys of the page. `act` names what they do; each returns false if it does not apply. */
function startKeys(act) {
  document.addEventListener("keydown", event => {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.isContentEditable || document.querySelector("dialog[open]")) return;
    const range = target.matches?.("input[type=range]");
    if (target.matches?.("textarea, select, input:not([type=range], [type=checkbox], [type=radio], [type=button])")) return;
    const pressed = target.matches?.("button, summary, a[href], input[type=checkbox]");
    const done = () => event.preventDefault();
    if (key === " ") { if (!pressed && act.toggle() !== false) done(); return; }
    if (key === "ArrowLeft" || key === "ArrowRight") {
      if (!range && act.step(key === "ArrowRight" ? 1 : -1, event.shiftKey) !== false) done();
      return;
    }
    const plain = {
      j: () => act.next(1), k: () => act.next(-1), l: act.loop, L: act.loop, Escape: act.escape, "?": act.help,
      "0": act.whole, "=": () => act.zoom(1, false), "+": () => act.zoom(1, event.shiftKey && event.code !== "Equal"),
      "-": () => act.zoom(-1, false), "\u2212": () => act.zoom(-1, false), "_": () => act.zoom(-1, true), "*": () => act.zoom(1, true),
    };
    for (let k = 1; k <= 7; k++) plain[k] = () => act.source(k - 1);
    if (plain[key] && plain[key]() !== false) done();
  });
}
