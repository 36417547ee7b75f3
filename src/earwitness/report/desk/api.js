// window.earwitness: the sounds of the page, and its state, for tests and scripts.

let lastDecoded = null; // {n, sound}: one sound is kept, so that its masks are quick

/** Return sound n with its samples and STFT. */
function decodedSound(n) {
  if (lastDecoded?.n !== n) {
    const sound = payloadOf(n).then(async clip => {
      if (!clip.input) throw new Error("this page holds no sounds, only maps and figures");
      const samples = await decodeInput(clip.input);
      return { clip, samples, spectrum: analyse(samples, clip.plane) };
    });
    lastDecoded = { n, sound };
    sound.catch(() => { lastDecoded = null; }).finally(() => forgetPayload(n));
  }
  return lastDecoded.sound;
}

/** Return a number of percent from 10, "10" or "10%". */
function percentOf(keep) {
  const found = /^\s*(\d+)\s*%?\s*$/.exec(String(keep)), percent = found ? Number(found[1]) : 0;
  if (percent < 1 || percent > 100) throw new Error(`keep is a whole percentage from 1 to 100, got ${keep}`);
  return percent;
}

/** Return evidence and remainder, Float32Arrays at the model's rate. */
async function soundsOf(which = {}) {
  if (typeof which !== "object" || which === null) throw new Error(`evidence and remainder take {clip, method, target, keep}, got ${which}`);
  const { clip: n = 0, method = null, target = null, keep = null, ...others } = which;
  const unknown = Object.keys(others);
  if (unknown.length) throw new Error(`clip, method, target and keep are known, got ${unknown.join(", ")}`);
  if (!Number.isInteger(n) || n < 0 || n >= soundCount()) {
    throw new Error(`clip is a whole number from 0 to ${soundCount() - 1}, got ${n}`);
  }
  const percent = keep === null ? null : percentOf(keep);
  const { clip, samples, spectrum } = await decodedSound(n);
  const explanation = clip.explanations.find(one => (method ?? one.method) === one.method && (target ?? one.label) === one.label);
  if (!explanation) {
    const known = clip.explanations.map(one => `${one.label} by ${one.method}`).join(", ");
    throw new Error(`the explanations are ${known}; got ${target ?? "any target"} by ${method ?? "any method"}`);
  }
  const codes = await codesOf(explanation);
  const gains = percent === null ? await ownGains(explanation, codes) : dialGains(codes, explanation.map.cuts, percent);
  const evidence = synthesise(spectrum, gains, clip.plane, samples.length);
  return { evidence, remainder: difference(samples, evidence) };
}

async function seekOf(seconds) {
  if (!Number.isFinite(seconds)) throw new Error(`seek takes a number of seconds, got ${seconds}`);
  if (deskState().clip === null) throw new Error("no sound is open: click its name in the table");
  deskSeek(seconds);
}

window.earwitness = {
  evidence: async which => (await soundsOf(which)).evidence,
  remainder: async which => (await soundsOf(which)).remainder,
  seek: seekOf,
  state: () => deskState(),
  add: addPayload,
};
