// One way to draw lines, text and images: on a canvas, or as SVG text.

const FONT = "system-ui, sans-serif";

function canvasPen(context, scale) {
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return {
    scale,
    rect(x, y, width, height, fill) { context.fillStyle = fill; context.fillRect(x, y, width, height); },
    line(x0, y0, x1, y1, stroke, { width = 1, dash = [] } = {}) {
      context.strokeStyle = stroke; context.lineWidth = width; context.setLineDash(dash);
      context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke();
    },
    text(x, y, text, fill, { align = "left", size = 11, turn = 0 } = {}) {
      context.save();
      context.translate(x, y); context.rotate(turn);
      context.font = `${size}px ${FONT}`; context.fillStyle = fill;
      context.textAlign = align; context.textBaseline = "middle";
      context.fillText(text, 0, 0);
      context.restore();
    },
    image(canvas, x, y, width, height) {
      context.imageSmoothingEnabled = false;
      context.drawImage(canvas, x, y, width, height);
    },
  };
}

const escaped = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`)
  .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd"); // no characters of XML

function svgPen(width, height) {
  const parts = [];
  return {
    scale: 2,
    rect(x, y, w, h, fill) { parts.push(`<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${escaped(fill)}"/>`); },
    line(x0, y0, x1, y1, stroke, { width: thick = 1, dash = [] } = {}) {
      parts.push(`<line x1="${x0}" y1="${y0}" x2="${x1}" y2="${y1}" stroke="${escaped(stroke)}" stroke-width="${thick}" stroke-dasharray="${dash.join(" ")}"/>`);
    },
    text(x, y, text, fill, { align = "left", size = 11, turn = 0 } = {}) {
      const anchor = { left: "start", center: "middle", right: "end" }[align];
      parts.push(`<text transform="translate(${x} ${y}) rotate(${turn * 180 / Math.PI})" fill="${escaped(fill)}" font-family="${FONT}" font-size="${size}" text-anchor="${anchor}" dominant-baseline="central">${escaped(text)}</text>`);
    },
    image(canvas, x, y, w, h) {
      parts.push(`<image x="${x}" y="${y}" width="${w}" height="${h}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${canvas.toDataURL("image/png")}"/>`);
    },
    done(title) {
      return `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>${escaped(title)}</title>${parts.join("")}</svg>\n`;
    },
  };
}
