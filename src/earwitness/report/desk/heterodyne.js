// Ultrasound as a bat detector plays it: multiplied by a carrier, so that what lies near the carrier
// is heard at the difference of both frequencies, in real time.

const HETERODYNE_BAND = 8000; // Hz, largest difference that is heard
const HETERODYNE_RATE = 24000; // Hz of the result

/** Return samples at HETERODYNE_RATE. */
function heterodyned(samples, rate, carrier) {
  const mixed = new Float32Array(samples.length), step = carrier / rate;
  for (let k = 0; k < mixed.length; k++) {
    mixed[k] = 2 * samples[k] * Math.cos(2 * Math.PI * ((step * k) % 1)); // 2, as half goes to the sum
  }
  return resample(mixed, rate, HETERODYNE_RATE, HETERODYNE_BAND);
}
