// Discrete Fourier transform of real signals of any even length, in float64.
//
// A complex transform of half the length holds the even samples in its real and the odd ones in its
// imaginary part. Lengths of small prime factors are done by Stockham's self-sorting algorithm,
// radix 4 where possible; others by Bluestein's chirp transform (IEEE Trans. Audio Electroacoust.
// 18, 1970), which is a convolution of a power of two in length.

const FACTORS = [4, 2, 3, 5, 7, 11, 13]; // above them the chirp transform is quicker

/** Return f(re, im): the complex transform of n values, in place, of sign -1 and not normalised. */
function complexTransform(n) {
  const factors = [];
  let rest = n;
  for (const factor of FACTORS) for (; rest % factor === 0; rest /= factor) factors.push(factor);
  return rest === 1 ? stockhamTransform(n, factors) : chirpTransform(n);
}

function stockhamTransform(n, factors) {
  const cos = new Float64Array(n), sin = new Float64Array(n); // exp(-2 pi i k / n)
  for (let k = 0; k < n; k++) {
    cos[k] = Math.cos(2 * Math.PI * k / n);
    sin[k] = -Math.sin(2 * Math.PI * k / n);
  }
  const otherRe = new Float64Array(n), otherIm = new Float64Array(n);
  return (re, im) => {
    let [xRe, xIm, yRe, yIm] = [re, im, otherRe, otherIm];
    let stride = 1;
    for (const radix of factors) {
      (radix === 4 ? passOfFour : passOfAny)(xRe, xIm, yRe, yIm, radix, stride, cos, sin);
      [xRe, xIm, yRe, yIm] = [yRe, yIm, xRe, xIm];
      stride *= radix;
    }
    if (xRe !== re) { re.set(xRe); im.set(xIm); }
  };
}

/** One pass: the transforms of `radix` values that lie `apart`, times the twiddle factors. */
function passOfFour(xRe, xIm, yRe, yIm, _radix, stride, cos, sin) {
  const apart = xRe.length / 4, groups = apart / stride;
  for (let group = 0; group < groups; group++) {
    const w = group * stride;
    const c1 = cos[w], s1 = sin[w], c2 = cos[2 * w], s2 = sin[2 * w], c3 = cos[3 * w], s3 = sin[3 * w];
    for (let x = w, y = 4 * w; x < w + stride; x++, y++) {
      const aRe = xRe[x] + xRe[x + 2 * apart], aIm = xIm[x] + xIm[x + 2 * apart];
      const bRe = xRe[x] - xRe[x + 2 * apart], bIm = xIm[x] - xIm[x + 2 * apart];
      const cRe = xRe[x + apart] + xRe[x + 3 * apart], cIm = xIm[x + apart] + xIm[x + 3 * apart];
      const dRe = xIm[x + apart] - xIm[x + 3 * apart], dIm = xRe[x + 3 * apart] - xRe[x + apart];
      yRe[y] = aRe + cRe;
      yIm[y] = aIm + cIm;
      yRe[y + stride] = (bRe + dRe) * c1 - (bIm + dIm) * s1;
      yIm[y + stride] = (bRe + dRe) * s1 + (bIm + dIm) * c1;
      yRe[y + 2 * stride] = (aRe - cRe) * c2 - (aIm - cIm) * s2;
      yIm[y + 2 * stride] = (aRe - cRe) * s2 + (aIm - cIm) * c2;
      yRe[y + 3 * stride] = (bRe - dRe) * c3 - (bIm - dIm) * s3;
      yIm[y + 3 * stride] = (bRe - dRe) * s3 + (bIm - dIm) * c3;
    }
  }
}

function passOfAny(xRe, xIm, yRe, yIm, radix, stride, cos, sin) {
  const apart = xRe.length / radix, groups = apart / stride;
  const rootRe = new Float64Array(radix * radix), rootIm = new Float64Array(radix * radix);
  for (let k = 0, at = 0; k < radix; k++) {
    for (let r = 0; r < radix; r++, at++) {
      rootRe[at] = cos[k * r % radix * apart];
      rootIm[at] = sin[k * r % radix * apart];
    }
  }
  const re = new Float64Array(radix), im = new Float64Array(radix);
  for (let group = 0, x = 0; group < groups; group++) {
    for (let j = 0; j < stride; j++, x++) {
      for (let r = 0; r < radix; r++) { re[r] = xRe[x + r * apart]; im[r] = xIm[x + r * apart]; }
      for (let k = 0, at = 0, y = group * radix * stride + j; k < radix; k++, y += stride) {
        let sumRe = 0, sumIm = 0;
        for (let r = 0; r < radix; r++, at++) {
          sumRe += re[r] * rootRe[at] - im[r] * rootIm[at];
          sumIm += re[r] * rootIm[at] + im[r] * rootRe[at];
        }
        const c = cos[group * k * stride], s = sin[group * k * stride];
        yRe[y] = sumRe * c - sumIm * s;
        yIm[y] = sumRe * s + sumIm * c;
      }
    }
  }
}

function chirpTransform(n) {
  let size = 1;
  while (size < 2 * n - 1) size *= 2;
  const transform = complexTransform(size);
  const cos = new Float64Array(n), sin = new Float64Array(n); // exp(-i pi k^2 / n)
  const filterRe = new Float64Array(size), filterIm = new Float64Array(size);
  for (let k = 0; k < n; k++) {
    const angle = Math.PI * ((k * k) % (2 * n)) / n; // modulo, so that large k keep their digits
    cos[k] = Math.cos(angle); sin[k] = -Math.sin(angle);
    for (const at of [k, (size - k) % size]) {
      filterRe[at] = cos[k] / size; filterIm[at] = -sin[k] / size;
    }
  }
  transform(filterRe, filterIm);
  const re = new Float64Array(size), im = new Float64Array(size);
  return (outRe, outIm) => {
    re.fill(0); im.fill(0);
    for (let k = 0; k < n; k++) {
      re[k] = outRe[k] * cos[k] - outIm[k] * sin[k];
      im[k] = outRe[k] * sin[k] + outIm[k] * cos[k];
    }
    transform(re, im);
    for (let k = 0; k < size; k++) {
      const r = re[k] * filterRe[k] - im[k] * filterIm[k];
      im[k] = re[k] * filterIm[k] + im[k] * filterRe[k];
      re[k] = r;
    }
    transform(im, re); // the inverse: real and imaginary part change places
    for (let k = 0; k < n; k++) {
      outRe[k] = re[k] * cos[k] - im[k] * sin[k];
      outIm[k] = re[k] * sin[k] + im[k] * cos[k];
    }
  };
}

/**
 * Return the transform of real signals of an even length n, and its inverse:
 * forward(x, re, im) and inverse(re, im, x), with n samples and n / 2 + 1 bins (Float64Arrays).
 */
function realTransform(n) {
  const half = n / 2, transform = complexTransform(half);
  const zRe = new Float64Array(half), zIm = new Float64Array(half);
  const cos = new Float64Array(half + 1), sin = new Float64Array(half + 1);
  for (let k = 0; k <= half; k++) {
    cos[k] = Math.cos(2 * Math.PI * k / n);
    sin[k] = Math.sin(2 * Math.PI * k / n);
  }
  return {
    forward(x, re, im) {
      for (let k = 0; k < half; k++) { zRe[k] = x[2 * k]; zIm[k] = x[2 * k + 1]; }
      transform(zRe, zIm);
      for (let k = 0; k <= half; k++) {
        const a = k % half, b = (half - k) % half;
        const evenRe = (zRe[a] + zRe[b]) / 2, evenIm = (zIm[a] - zIm[b]) / 2;
        const oddRe = (zIm[a] + zIm[b]) / 2, oddIm = (zRe[b] - zRe[a]) / 2;
        re[k] = evenRe + cos[k] * oddRe + sin[k] * oddIm;
        im[k] = evenIm + cos[k] * oddIm - sin[k] * oddRe;
      }
    },
    inverse(re, im, x) {
      for (let k = 0; k < half; k++) {
        const b = half - k;
        const evenRe = re[k] + re[b], evenIm = im[k] - im[b];
        const turnedRe = re[k] - re[b], turnedIm = im[k] + im[b];
        const oddRe = turnedRe * cos[k] - turnedIm * sin[k];
        const oddIm = turnedRe * sin[k] + turnedIm * cos[k];
        zRe[k] = evenRe - oddIm; zIm[k] = evenIm + oddRe;
      }
      transform(zIm, zRe);
      for (let k = 0; k < half; k++) { x[2 * k] = zRe[k] / n; x[2 * k + 1] = zIm[k] / n; }
    },
  };
}
