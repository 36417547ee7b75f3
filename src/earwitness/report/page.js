"use strict";
const parts = document.querySelectorAll("article");
let context = null, stop = () => {};
document.addEventListener("play", event => {
  stop();
  document.querySelectorAll("audio").forEach(other => { if (other !== event.target) other.pause(); });
}, true);
document.querySelectorAll("section").forEach(section => {
  const [first, ...others] = section.querySelectorAll("article > .players div:first-child audio");
  others.forEach(other => { other.src = first.src; });
});
// The pieces of one explanation, mixed according to the switches; decoded on first use.
const samplesOf = async audio => {
  const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), c => c.charCodeAt(0));
  return context.decodeAudioData(bytes.buffer);
};
document.querySelectorAll(".pieces").forEach(box => {
  const button = box.querySelector(".mix"), status = box.querySelector("[role=status]");
  const checks = [...box.querySelectorAll("input")], audios = [...box.querySelectorAll("audio")];
  let buffers = null, gains = [];
  const showCount = () => { const on = checks.filter(check => check.checked).length; status.textContent = `${on} of ${checks.length} on`; };
  const set = () => {
    gains.forEach((gain, k) => gain.gain.setTargetAtTime(checks[k].checked ? 1 : 0, context.currentTime, 0.01));
    showCount();
  };
  const play = async () => {
    context ??= new AudioContext();
    await context.resume();
    if (!buffers) { status.textContent = "decoding"; buffers = await Promise.all(audios.map(samplesOf)); }
    stop();
    document.querySelectorAll("audio").forEach(audio => audio.pause());
    const at = context.currentTime + 0.05;
    const sources = buffers.map((buffer, k) => {
      const source = new AudioBufferSourceNode(context, { buffer });
      gains[k] = new GainNode(context, { gain: checks[k].checked ? 1 : 0 });
      source.connect(gains[k]).connect(context.destination);
      source.start(at);
      return source;
    });
    button.setAttribute("aria-pressed", "true"); button.textContent = "Stop";
    stop = () => {
      stop = () => {}; gains = [];
      sources.forEach(source => { source.onended = null; source.stop(); });
      button.setAttribute("aria-pressed", "false"); button.textContent = "Play the pieces that are on";
    };
    sources[0].onended = () => stop();
    showCount();
  };
  button.addEventListener("click", () => { if (button.getAttribute("aria-pressed") === "true") stop(); else play(); });
  checks.forEach(check => check.addEventListener("change", set));
  for (const [name, on] of [[".all", true], [".none", false]]) {
    box.querySelector(name).addEventListener("click", () => { checks.forEach(check => { check.checked = on; }); set(); });
  }
});
parts.forEach(part => {
  const overlay = part.querySelector(".picture img"), cursor = part.querySelector(".cursor");
  const left = Number(part.dataset.left), right = Number(part.dataset.right);
  part.querySelector("input[type=range]").addEventListener("input", event => { overlay.style.opacity = event.target.value / 100; });
  part.querySelectorAll("audio").forEach(audio => {
    const move = () => {
      if (!audio.duration) return;
      cursor.style.display = "block";
      cursor.style.left = 100 * (left + (right - left) * Math.min(1, audio.currentTime / audio.duration)) + "%";
      if (!audio.paused) requestAnimationFrame(move);
    };
    audio.addEventListener("playing", move);
    audio.addEventListener("seeked", move);
  });
});
