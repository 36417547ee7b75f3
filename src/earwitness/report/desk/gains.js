// What is kept of each cell, 0 to 1: arrays of bins x frames, row-major, bin 0 first.

const POSITIVE_CODES = 200; // codes from here on are of negative attribution
const FULL_GAIN = 4096; // code of gain 1 in soft masks

/** Return the gains of the dial at a percentage, 1 to 100: those of --keep PERCENT%. */
function dialGains(codes, cuts, percent) {
  const least = cuts[percent], gains = new Float32Array(codes.length);
  for (let k = 0; k < gains.length; k++) gains[k] = codes[k] >= least && codes[k] < POSITIVE_CODES ? 1 : 0;
  return gains;
}

/** Return the codes of an explanation's map; they are given by those of the gains, or by themselves. */
async function codesOf({ mask, map }) {
  if (map.codes) return unpackMap(map.codes);
  const byGain = await inflated(map.by_gain), gains = await unpackMap(mask.gains);
  const codes = new Uint8Array(gains.length);
  for (let k = 0; k < codes.length; k++) codes[k] = byGain[gains[k]];
  return codes;
}

/** Return the gains of an explanation's own mask. */
async function ownGains({ mask, map }, codes) {
  if (mask.percent) return dialGains(codes, map.cuts, mask.percent);
  const gains = Float32Array.from(await unpackMap(mask.bits ?? mask.gains));
  if (mask.gains) for (let k = 0; k < gains.length; k++) gains[k] /= FULL_GAIN;
  return gains;
}

/**
 * Return the gains of the pieces that are on. indices: number of the piece of each cell; cells of
 * none are not kept.
 */
function pieceGains(indices, on) {
  const gains = new Float32Array(indices.length);
  for (let k = 0; k < gains.length; k++) gains[k] = on[indices[k]] ? 1 : 0;
  return gains;
}

/** Return the attribution of each cell, to the precision of the codes. */
function weightsOf(codes, values) {
  const found = new Float32Array(codes.length);
  for (let k = 0; k < codes.length; k++) found[k] = values[codes[k]];
  return found;
}
