// Resampling by a windowed sinc, since audio nodes interpolate linearly, which adds images of the
// spectrum above half the sampling rate of the sound. So any rate can be played, at any speed.

const SINC_ZEROS = 24; // zero crossings on each side
const SINC_BETA = 8; // of the Kaiser window: images 80 dB down
const SINC_PASS = 0.95; // of the lower of both Nyquist frequencies
const MOST_PHASES = 1024; // positions between two samples; others take the nearest

/** Return samples at another rate, without what lies above `limit` Hz; rates may be fractions. */
function resample(samples, from, to, limit = Infinity) {
  if (from === to && limit >= from / 2) return samples;
  const width = Math.min(from, to, 2 * limit) / from; // of the pass band, 1 for all
  const half = Math.ceil(SINC_ZEROS / width), taps = 2 * half;
  const phases = phasesOf(from, to), table = sincTable(phases, half, SINC_PASS * width);
  const out = new Float32Array(Math.round(samples.length * to / from));
  for (let n = 0; n < out.length; n++) {
    const steps = Math.round(n * from / to * phases); // in phases of an input sample
    const row = (steps % phases) * taps, start = Math.floor(steps / phases) - half + 1;
    let sum = 0;
    for (let k = Math.max(0, -start), last = Math.min(taps, samples.length - start); k < last; k++) {
      sum += samples[start + k] * table[row + k];
    }
    out[n] = sum;
  }
  return out;
}

/** Return how many positions between two input samples there are: all of them, if not too many. */
function phasesOf(from, to) {
  let a = to, b = from;
  while (b > 1e-6) [a, b] = [b, a % b];
  return Math.min(MOST_PHASES, Math.max(1, Math.round(to / a)));
}

function sincTable(phases, half, pass) {
  const taps = 2 * half, table = new Float64Array(phases * taps);
  for (let phase = 0; phase < phases; phase++) {
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const x = k - half + 1 - phase / phases, angle = Math.PI * pass * x;
      const value = (x === 0 ? 1 : Math.sin(angle) / angle) * besselZero(SINC_BETA * Math.sqrt(Math.max(0, 1 - (x / half) ** 2)));
      table[phase * taps + k] = value;
      sum += value;
    }
    for (let k = 0; k < taps; k++) table[phase * taps + k] /= sum; // gain 1 at 0 Hz
  }
  return table;
}

/** The modified Bessel function of order 0, by its power series. */
function besselZero(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) { term *= (x / 2 / k) ** 2; sum += term; }
  return sum;
}
