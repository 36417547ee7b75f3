// What can be taken away: sounds as WAV files, masks as files that the command reads.

/** Return a mono WAV file of 32-bit floats with chunks fmt, fact and data, byte for byte as wav.py. */
function wavBytes(samples, rate) {
  const size = 4 * samples.length, view = new DataView(new ArrayBuffer(58 + size));
  const text = (at, letters) => { for (let k = 0; k < 4; k++) view.setUint8(at + k, letters.charCodeAt(k)); };
  const word = (at, value) => view.setUint32(at, value, true);
  const half = (at, value) => view.setUint16(at, value, true);
  text(0, "RIFF"); word(4, 50 + size); text(8, "WAVE");
  text(12, "fmt "); word(16, 18); half(20, 3); half(22, 1); // floats, one channel
  word(24, rate); word(28, 4 * rate); half(32, 4); half(34, 32); half(36, 0);
  text(38, "fact"); word(42, 4); word(46, samples.length);
  text(50, "data"); word(54, size);
  samples.forEach((value, k) => view.setFloat32(58 + 4 * k, value, true));
  return new Uint8Array(view.buffer);
}

/**
 * Return a mask for --keep file:mask.json: cells with a gain above a half, as the lengths of runs of
 * removed and kept cells in turn, bin after bin, beginning with removed ones.
 */
function maskText(gains, { rate, samples, plane }) {
  const runs = [];
  let kept = false, run = 0;
  for (const gain of gains) {
    if ((gain > 0.5) !== kept) { runs.push(run); run = 0; kept = !kept; }
    run++;
  }
  runs.push(run);
  return JSON.stringify({
    schema: 1, kind: "earwitness mask", rate, samples, n_fft: plane.n_fft, hop: plane.hop,
    shape: [plane.bins, plane.frames], runs,
  });
}
