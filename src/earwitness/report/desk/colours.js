// Colour maps, each from a few anchors of rising lightness, and the theme they follow.

const LEVEL_ANCHORS = {
  dark: ["#06050f", "#271252", "#661f7a", "#b4366f", "#ef7550", "#fcc172", "#fdf6cf"],
  light: ["#ffffff", "#fdeccb", "#f8b982", "#e0685f", "#a12f72", "#4f1b6b", "#120a2c"],
};
const SIGNED_ANCHORS = {
  dark: ["#a8d8ff", "#3f9bf0", "#1d5795", "#15181c", "#94520c", "#f08a16", "#ffe0a6"],
  light: ["#08305e", "#1f6fb8", "#8fc0ea", "#ffffff", "#f9b871", "#c96a08", "#592c00"],
};
const GREY_ANCHORS = {
  dark: ["#5c6268", "#454a50", "#2d3136", "#15181c", "#5a5f66", "#a6acb3", "#f2f4f6"],
  light: ["#a0a6ac", "#bcc1c6", "#dcdfe2", "#ffffff", "#b0b5ba", "#6a7077", "#15181c"],
};

const rgbOf = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));

/** Return 256 colours as 32-bit pixels, interpolated between anchors. */
function colourTable(anchors) {
  const table = new Uint32Array(256), stops = anchors.map(rgbOf);
  for (let k = 0; k < 256; k++) {
    const at = k / 255 * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[low].map((one, i) => Math.round(one + (at - low) * (stops[low + 1][i] - one)));
    table[k] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  }
  return table;
}

const tables = new Map();

/** Return the colours of levels, of signed maps, or of maps without support ("level", "signed", "grey"). */
function coloursOf(kind) {
  const theme = isDark() ? "dark" : "light", name = `${kind} ${theme}`;
  const anchors = { level: LEVEL_ANCHORS, signed: SIGNED_ANCHORS, grey: GREY_ANCHORS }[kind][theme];
  if (!tables.has(name)) tables.set(name, colourTable(anchors));
  return tables.get(name);
}

const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const THEMES = ["auto", "light", "dark"];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : darkQuery.matches;
}

/** Return a colour of the style sheet by the name of its variable. */
function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}-${isDark() ? "dark" : "light"}`).trim();
}

/** Make the switch of the theme: as the system says, light, dark; remembered where the browser allows. */
function startTheme(button, onchange) {
  const apply = chosen => {
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    button.textContent = `Theme: ${chosen}`;
    onchange();
  };
  let chosen = "auto";
  try { chosen = localStorage.getItem("earwitness-theme") ?? "auto"; } catch { /* a page from disk may keep nothing */ }
  apply(THEMES.includes(chosen) ? chosen : "auto");
  button.addEventListener("click", () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    try { localStorage.setItem("earwitness-theme", chosen); } catch { /* as above */ }
    apply(chosen);
  });
  darkQuery.addEventListener("change", onchange);
}

/** Return the value that has the strongest colour: the 99.5th percentile of the sizes in a map. */
function strongest(codes, values) {
  const counts = new Float64Array(256);
  for (let k = 0; k < codes.length; k++) counts[codes[k]]++;
  const sizes = [...counts.keys()].filter(code => counts[code] && values[code] !== 0)
    .sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
  let left = 0.005 * sizes.reduce((sum, code) => sum + counts[code], 0);
  for (const code of sizes) {
    left -= counts[code];
    if (left <= 0) return Math.abs(values[code]);
  }
  return 1;
}
