// The transport: one clock for all sounds of the desk, and one voice that plays.
//
// A voice is a sound started at a position, with a fade-in and a fade-out. Choosing another sound,
// replacing the one that plays, seeking, looping and changing the speed are the same deed: a new
// voice begins at the sample of the clock where the old one begins to fade out. The fades are
// straight lines that add up to one, so a sound that is crossed with itself does not change.
// Positions and rates: the sound's own time is in seconds; `pace` is how much of it passes in a
// second. Sounds are resampled to the context, so a voice counts in frames of the context.

const FADE_SECONDS = 0.01; // s
const LEAD_SECONDS = 0.02; // s ahead of the clock, so that a voice is never late
const OFFLINE_RATE = 48000; // Hz

/** context: made when first played, as browsers want a gesture; tests give an OfflineAudioContext. */
function makeTransport(context = null) {
  const lead = context ? 0 : LEAD_SECONDS; // an offline clock stands still while it is scheduled
  let sounds = {}, rate = 1, length = 0, expansion = 1, original = null;
  let source = "input", speed = 1, carrier = null, range = null;
  let rest = 0; // position in seconds while nothing plays
  let voice = null;
  let heard = new Map(), buffers = new Map(), levels = null; // made when needed
  const transport = { onchange: () => {} };

  const pace = () => speed / (carrier === null ? expansion : 1);
  const clock = () => (context ??= new AudioContext());
  const framesOf = seconds => Math.round(seconds / pace() * clock().sampleRate);
  const secondsOf = frames => frames * pace() / clock().sampleRate;

  // What is heard of a sound, before resampling: {samples, rate}.
  function heardOf(name) {
    if (!heard.has(name)) {
      heard.set(name, carrier === null ? { samples: sounds[name], rate } : { samples: heterodyned(sounds[name], rate, carrier), rate: HETERODYNE_RATE });
    }
    return heard.get(name);
  }

  function bufferOf(name) {
    if (!buffers.has(name)) {
      const one = heardOf(name), { sampleRate } = clock();
      const samples = resample(one.samples, one.rate * pace(), sampleRate);
      const buffer = clock().createBuffer(1, Math.max(1, samples.length), sampleRate);
      buffer.copyToChannel(samples, 0);
      buffers.set(name, buffer);
    }
    return buffers.get(name);
  }

  function levelOf(name) {
    levels ??= levelGains(Object.fromEntries(Object.keys(sounds).map(one => [one, heardOf(one).samples])), heardOf("input").rate);
    return levels[name];
  }

  // Where a voice is at a frame of the clock, in frames of the sound. Before a voice begins, the last
  // one is heard, at the same place unless it was moved.
  function placeOf({ first, offset, loop, frames, moved }, frame) {
    const at = offset + Math.max(moved ? 0 : -offset, frame - first);
    if (!loop || (offset < loop[0] && at < loop[1])) return Math.min(at, frames);
    const long = loop[1] - loop[0];
    return loop[0] + ((at - loop[0]) % long + long) % long; // before it begins as well
  }

  // Start a voice at a position, or go on where the last one is, and fade the last one out.
  function swap(position = null) {
    if (source === "original") { swapToOriginal(position); return; }
    const buffer = bufferOf(source), level = levelOf(source), { sampleRate } = clock();
    let first = Math.ceil((clock().currentTime + lead) * sampleRate - 1e-6);
    if (voice) first = Math.max(first, voice.first + Math.ceil(FADE_SECONDS * sampleRate)); // one fade at a time
    const when = first / sampleRate;
    const loop = range && framesOf(range[1]) > framesOf(range[0]) ? range.map(framesOf) : null;
    let offset = position !== null ? framesOf(position) : voice ? framesOf(voice.secondsAt(first)) : framesOf(original?.playing ? original.position() : rest);
    if (loop && offset >= loop[1]) offset = loop[0];
    fadeOut(when);
    const node = new AudioBufferSourceNode(clock(), { buffer });
    if (loop) Object.assign(node, { loop: true, loopStart: loop[0] / sampleRate, loopEnd: loop[1] / sampleRate });
    const fadeIn = new GainNode(clock(), { gain: 0 }), out = new GainNode(clock());
    fadeIn.gain.setValueAtTime(0, when);
    fadeIn.gain.linearRampToValueAtTime(level, when + FADE_SECONDS);
    node.connect(fadeIn).connect(out).connect(clock().destination);
    node.start(when, offset / sampleRate);
    const mine = { node, out, first, offset, loop, frames: buffer.length, moved: position !== null }, perFrame = pace() / sampleRate;
    mine.secondsAt = frame => placeOf(mine, frame) * perFrame;
    voice = mine;
    node.onended = () => { if (voice === mine) { rest = length; voice = null; transport.onchange(); } };
  }

  function swapToOriginal(position) {
    const at = position ?? transport.position();
    fadeOut(voice ? clock().currentTime : 0);
    original.play(range && at >= range[1] ? range[0] : at, speed, range, levelOf("input"));
  }

  function fadeOut(when) {
    original?.pause();
    if (!voice) return;
    voice.out.gain.setValueAtTime(1, when);
    voice.out.gain.linearRampToValueAtTime(0, when + FADE_SECONDS);
    voice.node.onended = null;
    voice.node.stop(when + FADE_SECONDS);
    voice = null;
  }

  // The element is at its end, or the file is missing.
  function originalStopped() {
    if (source === "original") {
      rest = original.position();
      if (!original.offered) source = "input";
    }
    transport.onchange();
  }

  const again = position => { if (transport.playing) swap(position); transport.onchange(); };

  // Change what sounds are made of, at the position where they are.
  function remake(change) {
    const at = transport.position();
    change();
    heard = new Map(); buffers = new Map(); levels = null;
    again(at);
  }

  Object.defineProperties(transport, {
    playing: { get: () => voice !== null || Boolean(original?.playing) },
    source: { get: () => source },
    loopRange: { get: () => range },
    contextRate: { get: () => context?.sampleRate ?? OFFLINE_RATE },
  });

  // What is heard at this moment, in seconds of the sound.
  transport.position = () => {
    if (original?.playing) return original.position();
    if (!voice) return rest;
    return voice.secondsAt((clock().currentTime - (clock().outputLatency || 0)) * clock().sampleRate);
  };

  // given: {input, evidence, remainder, truth?, reference?, hybrid?}, of equal length. original: URL of the file or null;
  // start: seconds of the file before the sound.
  transport.load = (given, itsRate, { expansion: slower = 1, original: url = null, start = 0 } = {}) => {
    transport.pause();
    [sounds, rate, expansion] = [{ ...given }, itsRate, slower];
    [source, rest, range, carrier, voice] = ["input", 0, null, null, null];
    heard = new Map(); buffers = new Map(); levels = null;
    length = sounds.input.length / rate;
    // an element would play ultrasound as silence
    original = url && expansion === 1 ? makeOriginal(url, start, length, originalStopped) : null;
    transport.onchange();
  };
  transport.replace = (name, samples) => {
    sounds[name] = samples;
    heard.delete(name); buffers.delete(name); levels = null;
    if (voice) swap();
  };
  transport.offers = name => (name === "original" ? Boolean(original?.offered) : name in sounds);
  transport.choose = name => {
    if (!transport.offers(name)) throw new Error(`there is no ${name} of this sound`);
    if (name === source) return;
    if (transport.playing) { const at = voice ? null : original.position(); source = name; swap(at); } else source = name;
    transport.onchange();
  };
  transport.play = () => {
    if (!sounds.input || transport.playing) return;
    if (!(clock() instanceof OfflineAudioContext)) context.resume();
    if (rest >= length - secondsOf(1)) rest = 0;
    swap(rest);
    transport.onchange();
  };
  transport.pause = () => {
    if (!transport.playing) return;
    rest = transport.position();
    fadeOut(voice ? clock().currentTime + lead : 0);
    transport.onchange();
  };
  transport.toggle = () => (transport.playing ? transport.pause() : transport.play());
  transport.seek = seconds => {
    rest = Math.min(length, Math.max(0, seconds));
    again(rest);
  };
  transport.loop = (from, to) => {
    range = from === null ? null : [Math.max(0, Math.min(from, to)), Math.min(length, Math.max(from, to))];
    again(null);
  };
  transport.speed = times => remake(() => { speed = times; });
  // hz: the carrier, or null for time expansion.
  transport.heterodyne = hz => remake(() => { carrier = hz; });

  // Returns what leaves the loudspeaker in the next seconds, computed by the same code on a clock of
  // its own. steps: [[seconds, verb, ...arguments], ...], calls at these times, which the context
  // rounds up to 128 frames.
  transport.renderOffline = async ({ source: name = source, seconds, from = 0, steps = [] }) => {
    const offline = new OfflineAudioContext(1, Math.ceil(seconds * OFFLINE_RATE), OFFLINE_RATE);
    const twin = makeTransport(offline);
    twin.load(sounds, rate, { expansion });
    twin.choose(name);
    if (speed !== 1) twin.speed(speed);
    if (carrier !== null) twin.heterodyne(carrier);
    if (range) twin.loop(...range);
    twin.seek(from);
    twin.play();
    for (const [at, verb, ...args] of steps) {
      offline.suspend(at).then(() => { twin[verb](...args); offline.resume(); });
    }
    return (await offline.startRendering()).getChannelData(0);
  };
  return transport;
}
