// Stem player: engine (Web Audio, no page), view (page, no audio), glue (one model between them and Python).
//
// The same file is the widget in a notebook, through anywidget, and the player in a page that save_html() has written.
// It needs nothing else and asks nothing of the network. Times are in seconds, gains in dB.

const FADE = 0.01; // s, of every change of gain and of every cut
const AHEAD = 0.03; // s, what is scheduled this far ahead reaches all nodes before its time comes

const amplitude = (db) => 10 ** (db / 20);
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// ------------------------------------------------------------------------------------------------------------ engine

const contexts = (globalThis.weaklibContexts ??= new Map()); // a page has few AudioContexts to give: one per rate

function contextOf(sr) {
  if (!contexts.has(sr)) {
    let context;
    try {
      context = new AudioContext({ sampleRate: sr });
    } catch {
      context = new AudioContext(); // the sources resample
    }
    contexts.set(sr, context);
  }
  return contexts.get(sr);
}

/**
 * Plays tracks of equal length from one clock, so that they stay together to the sample.
 *
 * A take is one uninterrupted playing: a source and a gain per track, all started with the same arguments, on a bus.
 * Seeking or another loop crossfades to a new take. All tracks always run; a group is heard or not by its gains.
 */
export class Engine {
  /**
   * @param {Float32Array[][]} tracks  by track and channel
   * @param {number} sr  Hz
   * @param {number[][]} groups  tracks by group and row
   * @param {BaseAudioContext} [context]  for tests; else the page's, made when first played
   */
  constructor(tracks, sr, groups, context) {
    this.buffers = tracks.map((channels) => {
      const buffer = new AudioBuffer({ length: channels[0].length, numberOfChannels: channels.length, sampleRate: sr });
      channels.forEach((samples, c) => buffer.copyToChannel(samples, c));
      return buffer;
    });
    Object.assign(this, { sr, groups, context, offset: 0, loop: null, take: null, master: null, onended: () => {} });
    this.duration = this.buffers[0].duration;
    this.mix = { group: 0, solo: [], mute: [], gain: [], level: 0 };
  }

  get playing() {
    return this.take !== null;
  }

  get position() {
    return this.positionAt(this.context?.currentTime ?? 0);
  }

  /** Where the sound is that leaves the loudspeaker now. */
  get heard() {
    return this.positionAt((this.context?.currentTime ?? 0) - (this.context?.outputLatency || 0));
  }

  positionAt(time) {
    if (!this.take) return this.offset;
    const { when, offset, loop } = this.take;
    const at = offset + Math.max(0, time - when);
    if (!loop) return Math.min(at, this.duration);
    return at < loop[1] ? at : loop[0] + ((at - loop[0]) % (loop[1] - loop[0]));
  }

  /** Gain of a track: that of its row in the present group. */
  gainOf(track) {
    const { group, solo, mute, gain } = this.mix;
    const rows = this.groups[group];
    const row = rows.indexOf(track);
    if (row < 0 || mute[row]) return 0;
    return rows.some((_, r) => solo[r]) && !solo[row] ? 0 : amplitude(gain[row] ?? 0);
  }

  set(mix) {
    Object.assign(this.mix, mix);
    if (!this.master) return;
    const when = this.soon();
    const ramp = (node, value) => node.gain.setTargetAtTime(value, when, FADE / 5); // 99 % after FADE
    ramp(this.master, amplitude(this.mix.level));
    this.take?.gains.forEach((node, track) => ramp(node, this.gainOf(track)));
  }

  play() {
    if (!this.master) {
      this.context ??= contextOf(this.sr);
      this.master = new GainNode(this.context, { gain: amplitude(this.mix.level) });
      this.master.connect(this.context.destination);
    }
    if (this.context.state !== "running") this.context.resume().catch(() => {}); // it waits for the reader's hand
    if (!this.playing) this.start(this.offset < this.duration - AHEAD ? this.offset : 0);
  }

  pause() {
    if (!this.playing) return;
    const when = this.soon();
    this.offset = this.positionAt(when);
    this.stop(when);
  }

  seek(time) {
    this.offset = this.snap(clamp(time, 0, this.duration));
    if (this.playing) this.start(this.offset);
  }

  /** @param {?[number, number]} loop */
  repeat(loop) {
    this.loop = loop && loop.map((time) => this.snap(time));
    if (this.playing) this.start();
  }

  close() {
    this.pause();
    this.master?.disconnect();
  }

  snap(time) {
    return Math.round(time * this.sr) / this.sr; // between samples the browser would interpolate
  }

  soon() {
    const { currentTime, sampleRate } = this.context;
    return Math.round((currentTime + AHEAD) * sampleRate) / sampleRate;
  }

  /** Begin a take at a position, or where the last one will have got to. */
  start(offset) {
    const { context, loop } = this;
    const when = this.soon();
    offset = this.snap(offset ?? this.positionAt(when));
    if (loop && (offset < loop[0] || offset >= loop[1])) offset = loop[0];
    this.stop(when);
    const bus = new GainNode(context, { gain: 0 });
    bus.gain.setValueAtTime(offset ? 0 : 1, when); // the beginning itself is not faded in: it may be an attack
    bus.gain.linearRampToValueAtTime(1, when + FADE);
    bus.connect(this.master);
    const gains = this.buffers.map((_, track) => new GainNode(context, { gain: this.gainOf(track) }));
    const sources = this.buffers.map((buffer, track) => {
      const [loopStart, loopEnd] = loop ?? [0, 0];
      const source = new AudioBufferSourceNode(context, { buffer, loop: Boolean(loop), loopStart, loopEnd });
      source.connect(gains[track]).connect(bus);
      source.start(when, offset);
      return source;
    });
    const take = { when, offset, loop, bus, gains, sources };
    sources[0].onended = () => {
      bus.disconnect();
      if (this.take !== take) return;
      Object.assign(this, { take: null, offset: 0 });
      this.onended();
    };
    this.take = take;
  }

  stop(when) {
    if (!this.take) return;
    const { bus, sources } = this.take;
    bus.gain.setValueAtTime(1, when);
    bus.gain.linearRampToValueAtTime(0, when + FADE);
    sources.forEach((source) => source.stop(when + FADE));
    this.take = null;
  }
}

// -------------------------------------------------------------------------------------------------------------- view

/** Make an element; attributes that begin with "on" are listeners. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const clock = (time) => {
  const tenths = Math.round(time * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
};

/** The same in an order of chance. */
function shuffled(all) {
  const order = [...all];
  for (let k = order.length - 1; k > 0; k--) {
    const other = Math.floor(Math.random() * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}

/** From Hz to what a scale counts in equal steps; those of constant Q and of a roll are MIDI pitches. */
const toPitch = (hertz) => 69 + 12 * Math.log2(hertz / 440);
const toMel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
const STEPS = { linear: (hertz) => hertz, mel: toMel, cqt: toPitch, roll: toPitch };
const toHertz = (pitch) => 440 * 2 ** ((pitch - 69) / 12);
const ROOM = 0.17; // of a lane's height, from one mark to the next, and half of it to the edges

/** Marks of an axis, text and height, as many as there is room for. */
function marksOf(scale, height) {
  const octaves = Array.from({ length: 11 }, (_, k) => [`C${k - 1}`, toHertz(12 * k)]);
  const step = [100, 200, 500, 1000, 2000, 5000, 10000].find((s) => height(s) - height(0) >= ROOM) ?? 20000;
  const round = scale === "linear"
    ? Array.from({ length: 100 }, (_, k) => k * step)
    : [20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000];
  const text = (hertz) => (hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`);
  const marks = [];
  for (const [name, hertz] of scale === "roll" ? octaves : round.map((hertz) => [text(hertz), hertz])) {
    const at = height(hertz);
    if (at >= Math.max(ROOM / 2, (marks.at(-1)?.[1] ?? -1) + ROOM) && at <= 1 - ROOM / 2) marks.push([name, at]);
  }
  return marks;
}

const HELP = [
  ["space", "play, pause"],
  ["← →", "1 s back, on; with shift 0.1 s"],
  ["home, end", "to the beginning, to the end"],
  ["↑ ↓", "choose a stem"],
  ["1 … 9", "solo a stem; with shift mute it"],
  ["s, m", "solo, mute the chosen stem"],
  ["g", "the next group, at the same place; with shift the one before"],
  ["b", "compare groups blindly; again to learn which was which"],
  ["[ ]", "the loop begins, ends here"],
  ["l", "loop on, off"],
  ["p", "the next picture"],
  ["n", "notes on, off"],
];

/** Build the page's part of a player into `el`; returns what to call when it goes. */
function view(model, engine, el) {
  const { tracks, groups, pictures, axes, legends, gain_db: decibels } = model.get("_scene");
  const { duration } = engine;
  const names = Object.keys(groups);
  const nRows = Math.max(...names.map((name) => groups[name].length));
  const rowsNow = () => groups[model.get("group")];
  const heights = {}; // of a frequency, from 0 to 1, by picture
  for (const [name, [kind, low, high]] of Object.entries(axes)) {
    heights[name] = (hertz) => (STEPS[kind](hertz) - low) / (high - low);
  }
  const urls = new Map();
  const percent = (time) => `${(100 * time) / duration}%`;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then it jumps, four times a second
  let chosen = 0; // row that s and m act on
  let drag = null;
  let lastLoop = null;
  let heardNow = model.get("group");
  let heardBefore = null;
  let blind = null; // the groups in an order that nobody knows, while they are compared blindly
  let revealed = ""; // what that order was
  let withNotes = true;
  let frame = 0;

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const flip = (name, row) => set(name, Array.from(model.get(name), (on, r) => (r === row ? !on : on)));
  const seek = (time) => {
    engine.seek(time);
    report(model, engine);
    tell(); // while it plays only now: a screen reader would not stop talking
  };
  const setLoop = (a, b) => b - a >= 0.02 && set("loop", [clamp(a, 0, duration), clamp(b, 0, duration)]);
  const next = (all, now) => all[(all.indexOf(now) + 1) % all.length];
  // After a click with a pointer the keys shall play, not press the same button again; the keyboard's focus stays.
  const button = (attributes, text, act) =>
    make("button", { type: "button", ...attributes, onclick: (e) => (act(e), e.detail && timeline.focus()) }, text);
  const slider = (label, low, high, act) =>
    make("input", {
      type: "range", min: low, max: high, step: 1, "aria-label": label, oninput: (e) => act(Number(e.target.value)),
    });

  // toolbar
  const play = button({ class: "play" }, "", () => set("playing", !model.get("playing")));
  const time = make("span", { class: "time" });
  const unloop = button({}, "Loop", () => toggleLoop());
  const groupButtons = names.map((name, g) => button({}, name, () => set("group", (blind ?? names)[g])));
  const blindButton = button({}, "Blind", () => toggleBlind());
  const picture = make(
    "select", { "aria-label": "Picture", onchange: () => set("picture", picture.value) },
    ...pictures.map((name) => make("option", {}, name)),
  );
  const notesButton = button({}, "Notes", () => ((withNotes = !withNotes), refresh()));
  const level = slider("Level of all", -40, 0, (value) => set("level", value));
  const toolbar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "Playing" }, play, time, unloop);
  if (names.length > 1) {
    const compare = make("div", { class: "groups", role: "group", "aria-label": "Compare" }, ...groupButtons);
    toolbar.append(compare, blindButton);
  }
  if (pictures.length > 1) toolbar.append(picture);
  if (tracks.some((track) => track.notes.length)) toolbar.append(notesButton);
  toolbar.append(make("label", { class: "level" }, "Level", level));

  // lanes
  const rows = Array.from({ length: nRows }, (_, row) => {
    const solo = button({}, "S", () => (flip("solo", row), choose(row)));
    const mute = button({}, "M", () => (flip("mute", row), choose(row)));
    const gain = slider("", -40, 6, (value) =>
      set("gain", Array.from(model.get("gain"), (db, r) => (r === row ? value : db))),
    );
    const title = make("span", { class: "title" });
    const image = make("img", { draggable: "false" });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${duration} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.append(document.createElementNS(svg.namespaceURI, "path"));
    const instead = make("span", { class: "instead", "aria-hidden": "true" });
    const strip = make("div", { class: "strip", role: "group" }, title, solo, mute, gain);
    const scale = make("div", { class: "scale", "aria-hidden": "true" });
    const lane = make("div", { class: "lane" }, image, svg, instead);
    for (const part of [strip, scale, lane]) part.style.gridRow = row + 1;
    return { strip, scale, lane, solo, mute, gain, title, image, svg, instead };
  });
  const region = make("div", { class: "region", hidden: "" });
  const playhead = make("div", { class: "playhead" });
  const timeline = make(
    "div",
    {
      class: "timeline", role: "slider", tabindex: "0", "aria-label": "Position", "aria-valuemin": "0",
      "aria-valuemax": duration.toFixed(1), onpointerdown, onpointermove, onpointerup,
      onpointercancel: () => ((drag = null), refresh()), onfocus: () => tell(),
    },
    region, playhead,
  );
  timeline.style.gridRow = `1 / span ${nRows}`;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((s) => duration / s <= 8) ?? 1200;
  const axis = make("div", { class: "axis", "aria-hidden": "true" });
  for (let t = 0; t <= duration + 1e-6; t += step) {
    const tick = make("span", {}, step < 1 ? t.toFixed(1) : clock(t).replace(/\.0$/, ""));
    tick.style.left = percent(t);
    axis.append(tick);
  }
  axis.style.gridRow = nRows + 1;
  const status = make("div", { class: "status", role: "status" });
  const common = make(
    "span", {}, `all tracks ${decibels < 0 ? "attenuated" : "amplified"} by ${Math.abs(decibels).toFixed(1)} dB`,
  );
  const legend = make("span", { class: "legend" });
  const keys = make(
    "dl", {}, ...HELP.map(([key, what]) => make("div", {}, make("dt", {}, key), make("dd", {}, what))),
  );
  const help = make("details", { "aria-label": "Keys" }, make("summary", {}, "Keys"), keys);
  const root = make(
    "div",
    {
      class: "weaklib-player", role: "region", "aria-label": "Stem player", onkeydown,
      "data-lm-suppress-shortcuts": "true", // JupyterLab would take m, 1 and space for its own
    },
    toolbar,
    make("div", { class: "lanes" }, ...rows.flatMap((row) => [row.strip, row.scale, row.lane]), timeline, axis),
    make("div", { class: "foot" }, status, common, legend, help),
  );
  root.engine = engine; // for the console, and for tests
  el.append(root);

  // pointer
  function timeAt(event) {
    const { left, width } = timeline.getBoundingClientRect();
    return clamp(((event.clientX - left) / width) * duration, 0, duration);
  }
  function onpointerdown(event) {
    if (event.button) return;
    timeline.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, from: timeAt(event), moved: false };
    const row = rows.findIndex(({ lane }) => event.clientY < lane.getBoundingClientRect().bottom);
    choose(row < 0 ? chosen : row);
  }
  function onpointermove(event) {
    if (!drag) return;
    drag.moved ||= Math.abs(event.clientX - drag.x) > 4; // px
    drag.to = timeAt(event);
    if (drag.moved) place([drag.from, drag.to].sort((a, b) => a - b));
  }
  function onpointerup(event) {
    if (!drag) return;
    const { moved, from } = drag;
    drag = null;
    const at = timeAt(event);
    if (moved) return setLoop(...[from, at].sort((a, b) => a - b)) || refresh();
    const loop = model.get("loop");
    if (loop.length && (at < loop[0] || at >= loop[1])) set("loop", []);
    seek(at);
  }

  // keyboard
  function toggleLoop() {
    const loop = model.get("loop");
    set("loop", loop.length ? [] : (lastLoop ?? [0, duration]));
  }
  const letter = (g) => String.fromCharCode(65 + g);
  function toggleBlind() {
    if (names.length < 2) return;
    revealed = blind ? blind.map((name, g) => `${letter(g)} was ${name}`).join(", ") : "";
    blind = blind ? null : shuffled(names);
    if (blind) [heardBefore, heardNow] = [null, blind[0]];
    set("group", blind ? blind[0] : model.get("group"));
    refresh();
  }
  function choose(row) {
    chosen = clamp(row, 0, rowsNow().length - 1);
    refresh();
  }
  function onkeydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's and the notebook's
    event.stopPropagation();
    const { target, shiftKey } = event;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // the same with Caps Lock
    if (target.matches("select")) return;
    if (target.matches("input") && /^(Arrow|Home|End|Page)/.test(key)) return;
    if (target.matches("button, summary") && (key === " " || key === "Enter")) return;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
    const loop = model.get("loop");
    const hop = shiftKey ? 0.1 : 1;
    const actions = {
      " ": () => set("playing", !model.get("playing")),
      ArrowLeft: () => seek(engine.position - hop),
      ArrowRight: () => seek(engine.position + hop),
      Home: () => seek(0),
      End: () => seek(duration),
      ArrowUp: () => choose(chosen - 1),
      ArrowDown: () => choose(chosen + 1),
      s: () => flip("solo", chosen),
      m: () => flip("mute", chosen),
      g: () => set("group", shiftKey ? heardBefore ?? model.get("group") : next(blind ?? names, model.get("group"))),
      b: toggleBlind,
      l: toggleLoop,
      p: () => set("picture", next(pictures, model.get("picture"))),
      n: () => ((withNotes = !withNotes), refresh()),
      "[": () => setLoop(engine.position, loop[1] > engine.position ? loop[1] : duration),
      "]": () => setLoop(loop[0] < engine.position ? loop[0] : 0, engine.position),
    };
    if (digit && digit[1] <= rowsNow().length) {
      flip(shiftKey ? "mute" : "solo", digit[1] - 1);
      choose(digit[1] - 1);
    } else if (Object.hasOwn(actions, key)) actions[key]();
    else return;
    event.preventDefault();
  }

  // drawing
  function urlOf(track, name) {
    const key = `${track} ${name}`;
    const data = tracks[track].pictures[name];
    if (!urls.has(key)) urls.set(key, URL.createObjectURL(new Blob([bytes(data)], { type: "image/png" })));
    return urls.get(key);
  }
  function place(loop) {
    region.hidden = !loop.length;
    if (!loop.length) return;
    region.style.left = percent(loop[0]);
    region.style.width = percent(loop[1] - loop[0]);
  }
  function move() {
    const at = engine.heard;
    playhead.style.left = percent(at);
    time.textContent = `${clock(at)} / ${clock(duration)}`;
  }
  function tell() {
    const at = engine.position.toFixed(1);
    timeline.setAttribute("aria-valuenow", at);
    timeline.setAttribute("aria-valuetext", `${at} of ${duration.toFixed(1)} seconds`);
  }
  function tick() {
    move();
    frame = model.get("playing") ? requestAnimationFrame(tick) : 0;
  }
  function refresh() {
    const [group, playing, shown, loop] = ["group", "playing", "picture", "loop"].map((name) => model.get(name));
    const [solo, mute, gain] = ["solo", "mute", "gain"].map((name) => model.get(name));
    // Blind, what is seen must not tell what is heard: no title, no picture, and one row for all groups.
    const titles = blind ? ["what is heard"] : rowsNow().map((track) => tracks[track].title);
    chosen = Math.min(chosen, titles.length - 1);
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    unloop.setAttribute("aria-pressed", Boolean(loop.length));
    groupButtons.forEach((one, g) => {
      one.textContent = blind ? letter(g) : names[g];
      one.setAttribute("aria-pressed", (blind ?? names)[g] === group);
    });
    blindButton.setAttribute("aria-pressed", Boolean(blind));
    picture.value = shown;
    level.value = model.get("level");
    level.setAttribute("aria-valuetext", `${level.value} dB`);
    if (group !== heardNow) [heardBefore, heardNow] = [heardNow, group];
    const seen = new Set();
    let noted = false;
    rows.forEach((row, r) => {
      row.strip.hidden = row.scale.hidden = row.lane.hidden = r >= titles.length;
      if (row.lane.hidden) return;
      const track = rowsNow()[r];
      const { notes } = tracks[track];
      const title = titles[r];
      const name = shown in tracks[track].pictures ? shown : pictures[0];
      row.title.textContent = row.title.title = title;
      row.strip.setAttribute("aria-label", title);
      row.strip.setAttribute("aria-current", r === chosen);
      row.lane.classList.toggle("silent", !engine.gainOf(track));
      for (const [name, one, on] of [["Solo", row.solo, solo[r]], ["Mute", row.mute, mute[r]]]) {
        one.setAttribute("aria-label", `${name} ${title}`);
        one.setAttribute("aria-pressed", Boolean(on));
      }
      row.gain.value = gain[r];
      row.gain.setAttribute("aria-label", `Gain of ${title}`);
      row.gain.setAttribute("aria-valuetext", `${gain[r]} dB`);
      row.gain.title = `${gain[r]} dB`;
      row.lane.classList.toggle("blind", Boolean(blind));
      row.solo.hidden = row.mute.hidden = row.gain.hidden = Boolean(blind);
      const url = urlOf(track, name);
      if (row.image.getAttribute("src") !== url) row.image.setAttribute("src", url);
      row.image.alt = `${name} of ${title}`;
      row.instead.textContent = blind ? "hidden" : name === shown ? "" : name;
      seen.add(name);
      // Notes are drawn where their fundamental is, if the picture has a place for that.
      const height = heights[name];
      const drawn = height && notes.length && !blind;
      noted ||= drawn;
      row.svg.style.display = withNotes && drawn ? "" : "none";
      row.svg.setAttribute("aria-label", `${notes.length} notes of ${title}`);
      const line = ([onset, offset, pitch]) => `M${onset} ${(1 - height(toHertz(pitch))).toFixed(4)}H${offset}`;
      row.svg.firstChild.setAttribute("d", height ? notes.map(line).join("") : "");
      if (row.scale.dataset.of !== name) {
        row.scale.dataset.of = name;
        row.scale.replaceChildren(...(height ? marksOf(axes[name][0], height) : []).map(([text, at]) => {
          const mark = make("span", {}, text);
          mark.style.bottom = `${100 * at}%`;
          return mark;
        }));
      }
    });
    notesButton.disabled = !noted;
    notesButton.setAttribute("aria-pressed", Boolean(withNotes && noted));
    legend.replaceChildren(...[...seen].flatMap((name) => {
      const [colours, low, high] = legends[name];
      const bar = make("i");
      bar.style.background = colours;
      const text = (words) => make("span", {}, words);
      return [...(seen.size > 1 ? [text(`${name}:`)] : []), text(low), bar, text(high)];
    }));
    if (loop.length) lastLoop = loop;
    if (!drag) place(loop);
    move();
    if (!playing) tell();
    const list = (word, on) => titles.some((_, r) => on[r]) && `${word} ${titles.filter((_, r) => on[r]).join(", ")}`;
    const said = [
      playing && engine.waiting && "the browser waits for a click before it plays",
      names.length > 1 && (blind ? letter(blind.indexOf(group)) : group), revealed, !blind && list("solo", solo),
      !blind && list("muted", mute),
      loop.length && `loop ${clock(loop[0])} to ${clock(loop[1])}`,
    ].filter(Boolean).join("; ");
    if (status.textContent !== said) status.textContent = said; // or a reader would hear it again
    if (playing && !frame && !still) frame = requestAnimationFrame(tick);
  }
  const events = [...STATE, "position"].map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, refresh));
  engine.views.add(refresh);
  refresh();
  return () => {
    cancelAnimationFrame(frame);
    events.forEach((event) => model.off(event, refresh));
    engine.views.delete(refresh);
    if (!engine.views.size && engine.playing) engine.onended();
    urls.forEach((url) => URL.revokeObjectURL(url));
    root.remove();
  };
}

// -------------------------------------------------------------------------------------------------------------- glue

const MIX = ["group", "solo", "mute", "gain", "level"];
const STATE = ["playing", "loop", "picture", ...MIX];

/** Bytes as the widget sends them, or base64 as a page holds them. */
const bytes = (data) =>
  typeof data === "string" ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : data;

/** 16-bit samples, channel after channel, to one array per channel. */
function decode({ audio, channels }) {
  const { buffer, byteOffset, byteLength } = bytes(audio);
  const samples = new Int16Array(buffer.slice(byteOffset, byteOffset + byteLength));
  const all = Float32Array.from(samples).map((x) => x / 32767);
  const length = all.length / channels;
  return Array.from({ length: channels }, (_, c) => all.subarray(c * length, (c + 1) * length));
}

/** Tell Python where the playhead is. */
function report(model, engine) {
  engine.reported = engine.position;
  model.set("position", engine.reported);
  model.save_changes();
}

/** What anywidget calls once for every widget: its views share one engine, so that two of them do not play twice. */
export default function stemPlayer() {
  let engine;
  function initialize({ model }) {
    const { tracks, sr, groups } = model.get("_scene");
    engine = new Engine(tracks.map(decode), sr, Object.values(groups));
    engine.views = new Set();
    engine.waiting = false; // for the click without which a browser plays nothing
    const names = Object.keys(groups);
    const loop = () => model.get("loop");
    let timer, late;
    const mix = () => {
      const { group, ...others } = Object.fromEntries(MIX.map((name) => [name, model.get(name)]));
      engine.set({ group: names.indexOf(group), ...others });
    };
    const wait = (waiting) => {
      if (engine.waiting === waiting) return;
      engine.waiting = waiting;
      engine.views.forEach((refresh) => refresh());
    };
    const toggle = () => {
      clearInterval(timer);
      clearTimeout(late);
      if (model.get("playing")) {
        document.dispatchEvent(new CustomEvent("weaklib:play", { detail: engine }));
        engine.play();
        timer = setInterval(() => report(model, engine), 250);
        late = setTimeout(() => {
          wait(engine.context.state !== "running");
          engine.context.addEventListener("statechange", () => wait(false), { once: true });
        }, 500);
      } else engine.pause();
      report(model, engine);
    };
    const others = ({ detail }) => detail !== engine && halt();
    const halt = () => {
      model.set("playing", false);
      model.save_changes();
    };
    engine.onended = halt;
    MIX.forEach((name) => model.on(`change:${name}`, mix));
    model.on("change:playing", toggle);
    model.on("change:loop", () => engine.repeat(loop().length ? loop() : null));
    model.on("change:position", () => model.get("position") !== engine.reported && engine.seek(model.get("position")));
    document.addEventListener("weaklib:play", others);
    mix();
    engine.repeat(loop().length ? loop() : null);
    engine.seek((engine.reported = model.get("position")));
    if (model.get("playing")) halt(); // a page that is opened again does not begin to play by itself
    return () => {
      clearInterval(timer);
      clearTimeout(late);
      document.removeEventListener("weaklib:play", others);
      engine.close();
    };
  }
  return { initialize, render: ({ model, el }) => view(model, engine, el) };
}

/** Put a player into a page without Python: `state` is what the widget would hold, bytes as base64. */
export function mount(el, state) {
  const listeners = {};
  const model = {
    get: (name) => state[name],
    set(name, value) {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = value;
      listeners[`change:${name}`]?.forEach((listener) => listener());
    },
    save_changes() {},
    on: (event, listener) => (listeners[event] ??= new Set()).add(listener),
    off: (event, listener) => listeners[event]?.delete(listener),
  };
  const player = stemPlayer();
  player.initialize({ model });
  player.render({ model, el });
  el.firstChild.model = model;
  return model;
}
