// The data of each sound, read when it is asked for: from a script element of the page, or from a
// file beside the page, which calls earwitness.add(anchor, data).

const payloads = new Map(); // promises by number
const arrivals = new Map(); // functions that take the data of a file that loads, by anchor

/** Return the data of sound n, 0-based in the order of the file. */
function payloadOf(n) {
  if (!payloads.has(n)) {
    const made = readPayload(n);
    payloads.set(n, made);
    made.catch(() => payloads.delete(n)); // so that it can be tried again
  }
  return payloads.get(n);
}

function forgetPayload(n) {
  payloads.delete(n);
}

async function readPayload(n) {
  const inside = document.querySelector(`script.clip[data-clip="${n}"]`);
  if (inside) return JSON.parse(inside.textContent);
  const row = document.querySelector(`tr[data-clip="${n}"]`);
  if (!row) throw new Error(`there is no sound ${n}; the page has ${soundCount()}`);
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const fail = () => reject(new Error(`${row.dataset.src} cannot be read; it must lie beside the page`));
    arrivals.set(row.id.replace(/^clip-/, ""), resolve);
    script.onerror = fail;
    script.onload = () => { script.remove(); fail(); }; // no effect if the data have come
    script.src = row.dataset.src;
    document.head.append(script);
  });
}

function soundCount() {
  return document.querySelectorAll("tr[data-clip]").length;
}

function addPayload(anchor, payload) {
  arrivals.get(anchor)?.(payload);
  arrivals.delete(anchor);
}
