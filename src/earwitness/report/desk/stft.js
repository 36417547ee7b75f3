// The explanation plane in the browser: short-time Fourier transform and inverse of plane/stft.py.
//
// Periodic Hann window, frame k centred on sample k * hop, zeros around the signal. Magnitudes are
// those of the library: a full-scale sine on a bin has 0.5. A plane is {n_fft, hop, bins, frames}.

const planeTools = new Map(); // transform and window by n_fft

function toolsOf(length) {
  if (!planeTools.has(length)) {
    const window = new Float64Array(length);
    for (let k = 0; k < length; k++) window[k] = 0.5 - 0.5 * Math.cos(2 * Math.PI * k / length);
    planeTools.set(length, { window, sum: length / 2, transform: realTransform(length) });
  }
  return planeTools.get(length);
}

/**
 * Return the STFT {re, im, bins, frames} of samples, one frame after the other: cell (bin, frame)
 * is at frame * bins + bin.
 */
function analyse(samples, plane) {
  const { n_fft: length, hop, bins, frames } = plane;
  const { window, sum, transform } = toolsOf(length);
  const out = { re: new Float32Array(bins * frames), im: new Float32Array(bins * frames), bins, frames };
  const piece = new Float64Array(length), re = new Float64Array(bins), im = new Float64Array(bins);
  for (let frame = 0; frame < frames; frame++) {
    const start = frame * hop - length / 2;
    for (let k = 0; k < length; k++) {
      const at = start + k;
      piece[k] = at >= 0 && at < samples.length ? samples[at] * window[k] / sum : 0;
    }
    transform.forward(piece, re, im);
    out.re.set(re, frame * bins);
    out.im.set(im, frame * bins);
  }
  return out;
}

/**
 * Return the sound of gains * spectrum: the least-squares inverse by weighted overlap-add.
 * gains: bins x frames, row-major, bin 0 first.
 */
function synthesise(spectrum, gains, plane, count) {
  const { n_fft: length, hop, bins, frames } = plane;
  const { window, sum, transform } = toolsOf(length);
  const total = new Float64Array(count), weight = new Float64Array(count);
  const piece = new Float64Array(length), re = new Float64Array(bins), im = new Float64Array(bins);
  for (let frame = 0; frame < frames; frame++) {
    let silent = true;
    for (let bin = 0, at = frame * bins, g = frame; bin < bins; bin++, at++, g += frames) {
      const gain = gains[g] * sum;
      if (gain !== 0) silent = false;
      re[bin] = gain * spectrum.re[at];
      im[bin] = gain * spectrum.im[at];
    }
    if (!silent) transform.inverse(re, im, piece);
    const start = frame * hop - length / 2;
    const from = Math.max(0, -start), to = Math.min(length, count - start);
    for (let k = from; k < to; k++) weight[start + k] += window[k] * window[k];
    if (!silent) for (let k = from; k < to; k++) total[start + k] += window[k] * piece[k];
  }
  const out = new Float32Array(count);
  for (let k = 0; k < count; k++) out[k] = total[k] / weight[k];
  return out;
}

/** Return the magnitude of each cell, bins x frames, row-major, bin 0 first. */
function magnitudes(spectrum) {
  const { re, im, bins, frames } = spectrum;
  const out = new Float32Array(bins * frames);
  for (let frame = 0, at = 0; frame < frames; frame++) {
    for (let bin = 0; bin < bins; bin++, at++) {
      out[bin * frames + frame] = Math.sqrt(re[at] * re[at] + im[at] * im[at]);
    }
  }
  return out;
}

/** Return the input minus the evidence, which is the sound of (1 - gains) * spectrum. */
function difference(input, evidence) {
  const out = new Float32Array(input.length);
  for (let k = 0; k < out.length; k++) out[k] = input[k] - evidence[k];
  return out;
}
