// The original file, linked and not copied: an audio element that follows the position of the
// transport as well as an element can. It begins some 20 ms late and loops to some 20 ms.

const FOLLOW_MS = 20; // between looks at the position

/** start: seconds from the beginning of the file to the explained part, which lasts `length` seconds. */
function makeOriginal(url, start, length, onchange) {
  const element = new Audio();
  const original = { offered: true, playing: false };
  let timer = 0, loop = null, plays = 0;
  element.preload = "metadata";
  element.addEventListener("error", () => { original.offered = false; original.pause(); onchange(); });
  element.src = url;

  original.position = () => Math.min(length, Math.max(0, element.currentTime - start));
  original.play = (position, pace, range, gain) => {
    loop = range;
    element.currentTime = start + position;
    element.playbackRate = pace;
    element.preservesPitch = false;
    element.volume = Math.min(1, gain);
    original.playing = true;
    const mine = ++plays; // a play that a later one interrupts is refused as well
    element.play().catch(() => { if (mine === plays) { original.pause(); onchange(); } });
    clearInterval(timer);
    timer = setInterval(follow, FOLLOW_MS);
  };
  original.pause = () => {
    original.playing = false;
    plays++;
    clearInterval(timer);
    element.pause();
  };
  function follow() {
    const at = element.currentTime - start;
    if (loop && at >= loop[1]) element.currentTime = start + loop[0];
    else if (at >= length || element.ended) { original.pause(); onchange(); }
  }
  return original;
}
