// Levels as in render/players.py: sounds of a page are played equally loud, and none clips.

const TARGET_DB = -23; // dB of full scale, as in EBU R 128
const MOST_GAIN_DB = 60; // dB; more would amplify quantisation noise
const HIGHEST_PEAK = 0.95; // of full scale
const BLOCK_SECONDS = 0.1; // s
const GATE_DB = 30; // dB below the loudest block; quieter blocks are ignored

/**
 * Return the gated level in dB re full scale: the mean power of 100 ms blocks, without those more
 * than 30 dB below the loudest. Minus infinity for silence.
 */
function loudness(samples, rate) {
  const size = Math.max(1, Math.round(BLOCK_SECONDS * rate));
  const power = [];
  for (let start = 0; start < samples.length; start += size) {
    let sum = 0;
    for (let k = start; k < Math.min(start + size, samples.length); k++) sum += samples[k] * samples[k];
    power.push(sum / size);
  }
  const least = power.reduce((most, one) => Math.max(most, one), 0) * 10 ** (-GATE_DB / 10);
  const loud = power.filter(one => one > least);
  return loud.length ? 10 * Math.log10(loud.reduce((sum, one) => sum + one, 0) / loud.length) : -Infinity;
}

/**
 * Return the factor for each of some sounds {name: samples} that makes them equally loud, at most
 * -23 dB, so that none clips; 1 for silence.
 */
function levelGains(sounds, rate) {
  const levels = {};
  let wanted = TARGET_DB;
  for (const [name, samples] of Object.entries(sounds)) {
    levels[name] = loudness(samples, rate);
    if (levels[name] === -Infinity) continue;
    const peak = samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
    wanted = Math.min(wanted, 20 * Math.log10(HIGHEST_PEAK / peak) + levels[name]);
  }
  const gain = level => (level === -Infinity ? 1 : 10 ** (Math.min(wanted - level, MOST_GAIN_DB) / 20));
  return Object.fromEntries(Object.entries(levels).map(([name, level]) => [name, gain(level)]));
}
