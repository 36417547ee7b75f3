// What is kept becomes sound: gains of the mask, the dial, the brush or the pieces, and the sounds of both parts.

/** Return area and energy of gains. */
function sizesOf(gains, levels) {
  let area = 0, energy = 0, power = 0;
  for (let k = 0; k < gains.length; k++) {
    const one = levels ? 10 ** (levels[k] / 10) : 0;
    area += gains[k]; energy += gains[k] * gains[k] * one; power += one;
  }
  return { area: area / gains.length, energy: power > 0 ? energy / power : 0 };
}

/** Return the sizes of what is kept; pieces that overlap have none. */
function keptSizes({ gains, levels, sizeAt }, kind, value) {
  if (kind === "dial") return sizeAt(value);
  return gains ? sizesOf(gains, levels) : { area: NaN, energy: NaN };
}

/** Set what is kept, by kind: own, dial (percent), brush or pieces. The sound follows, soon or now. */
async function keepPart(desk, kind, value = null, now = false) {
  const { explanation, clip, codes, brush, pieces } = desk;
  const base = () => (desk.kept?.kind === "dial" || desk.beneath?.kind === "dial" ? dialGains(codes, explanation.map.cuts, (desk.beneath ?? desk.kept).percent) : desk.own);
  if (kind === "own") desk.gains = desk.own;
  if (kind === "dial") desk.gains = dialGains(codes, explanation.map.cuts, value);
  if (kind === "brush") {
    if (desk.kept.kind !== "brush") desk.beneath = desk.kept;
    const under = { mask: base, nothing: () => null, everything: () => new Float32Array(codes.length).fill(1) }[brush.base]();
    desk.gains = brushGains(brush.strokes, under, clip.plane, clip.rate);
  } else desk.beneath = null;
  if (kind === "pieces") desk.gains = pieces.indices ? pieceGains(pieces.indices, pieces.on) : null;
  desk.kept = { kind, percent: kind === "dial" ? value : null, ...keptSizes(desk, kind, value) };
  part("verdict").querySelectorAll(".verdict-of").forEach(words => { words.hidden = kind === "own"; });
  desk.dial.show();
  desk.components.show();
  desk.refresh();
  if (now) await loadSounds(); else desk.sound();
}

/** Return evidence and remainder of what is kept. */
async function keptSounds(desk) {
  const { samples, spectrum, clip, gains } = desk;
  if (!gains) return mixedPieces(desk);
  const evidence = synthesise(spectrum, gains, clip.plane, samples.length);
  return { evidence, remainder: difference(samples, evidence) };
}

/** Return the sums of the pieces that are on and of those that are off; overlapping pieces have sounds. */
async function mixedPieces({ samples, clip, explanation, pieces }) {
  const { table, rest, scale } = explanation.pieces;
  pieces.sounds ??= await Promise.all([...table.map(piece => piece.sound), rest].map(uri => (uri ? decodePiece(uri, clip, scale) : null)));
  const evidence = new Float32Array(samples.length), remainder = new Float32Array(samples.length);
  const weakest = pieces.groups[pieces.groups.length - 1];
  pieces.sounds.forEach((sound, k) => {
    if (!sound) return;
    const sum = pieces.on[k < table.length ? k : weakest[0]] ? evidence : remainder;
    for (let i = 0; i < sum.length && i < sound.length; i++) sum[i] += sound[i];
  });
  return { evidence, remainder };
}
