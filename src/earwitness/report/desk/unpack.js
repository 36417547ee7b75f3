// Maps, masks and sounds from the text of the page; the other side of report/packing.py.

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

async function inflated(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const UP_PASSES = { none: 0, up: 1, up2: 2 }; // times that differences along the bins were taken

/**
 * Return a packed array, bins x frames, row-major, bin 0 first: Uint8Array of bytes or of bits (0 or
 * 1), or Uint16Array. The size of the data says which of them it is.
 */
async function unpackMap({ shape: [bins, frames], filter, data }) {
  const bytes = await inflated(data), cells = bins * frames;
  if (!(filter in UP_PASSES)) throw new Error(`the filter ${filter} is not known`);
  if (bytes.length === Math.ceil(cells / 8)) return bitsOf(bytes, bins, frames);
  const wide = bytes.length === 2 * cells, passes = UP_PASSES[filter];
  if (!wide && bytes.length !== cells) throw new Error("the data of a map do not fit its shape");
  const Numbers = wide ? Uint16Array : Uint8Array; // differences add up modulo 2^16 or 2^8
  const out = new Numbers(cells), column = new Numbers(bins);
  for (let frame = 0, at = 0; frame < frames; frame++) {
    for (let bin = 0; bin < bins; bin++, at++) {
      let value = bytes[at];
      if (wide) value = (value << 8) | bytes[cells + at];
      if (wide && passes) value = value & 1 ? -((value + 1) >> 1) : value >> 1; // sign in the last bit
      column[bin] = value;
    }
    for (let pass = 0; pass < passes; pass++) {
      for (let bin = 1; bin < bins; bin++) column[bin] += column[bin - 1];
    }
    for (let bin = 0; bin < bins; bin++) out[bin * frames + frame] = column[bin];
  }
  return out;
}

/** Eight cells to a byte, the first in the highest bit, frame by frame. */
function bitsOf(bytes, bins, frames) {
  const out = new Uint8Array(bins * frames);
  for (let frame = 0, at = 0; frame < frames; frame++) {
    for (let bin = 0; bin < bins; bin++, at++) {
      out[bin * frames + frame] = (bytes[at >> 3] >> (7 - (at & 7))) & 1;
    }
  }
  return out;
}

const PIECE_RATE = 48000; // Hz, at which the sounds of pieces are decoded, whatever their rate

/**
 * Return the sound of a piece from its data URL, at the rate and level of the input. It is stored
 * 1 / `scale` times louder, and at an audible pitch.
 */
async function decodePiece(uri, { rate, expansion }, scale) {
  const context = new OfflineAudioContext(1, 1, PIECE_RATE);
  const decoded = await context.decodeAudioData(bytesOf(uri.slice(uri.indexOf(",") + 1)).buffer);
  return resample(decoded.getChannelData(0), PIECE_RATE * expansion, rate).map(value => value * scale);
}

/**
 * Return the samples of a sound. The header of the FLAC says 44100 Hz whatever the rate is, so that
 * a context of this rate decodes without resampling.
 */
async function decodeInput({ flac, scale }) {
  const context = new OfflineAudioContext(1, 1, 44100);
  const decoded = await context.decodeAudioData(bytesOf(flac).buffer);
  return decoded.getChannelData(0).map(value => value * scale);
}
