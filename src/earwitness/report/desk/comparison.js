// One recording compared with another: the scores of both, and what the marked cells account for.

/** Fill the sentences of a comparison; without one they are hidden. */
function fillComparison(host, one) {
  const found = one.details?.comparison;
  host.hidden = !found;
  if (!found) return;
  const { scores, difference } = found, text = value => value.toFixed(3), share = value => (value === null ? "" : ` (${percent(value)} of the difference)`);
  const name = el("bdi", {}, el("strong", {}, found.b.split(/[\\/]/).pop()));
  host.replaceChildren(
    "B is ", name, `: ${text(scores.b)}, and ${text(scores.warped)} on the time axis of this recording, A: ${text(scores.a)}. `,
    `The map shows what makes A ${difference < 0 ? "lower" : "higher"} than B, which counts positive. `,
    one.details.completeness_gap === undefined ? "" : `It sums to the change from ${text(scores.start)}, the score of the magnitudes of B with the phase of A, to A. `,
    `With the marked cells replaced by those of B (hybrid), A has ${text(scores.hybrid)}${share(found.regained)}; `,
    `with as many in random places ${text(scores.random)}${share(found.regained_random)}.`,
  );
}
