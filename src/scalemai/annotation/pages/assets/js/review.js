// The reading page: shows a read, takes keys and strokes, and tells the server what was done.

import { PLANES } from "./brush.js";
import { Editor } from "./editor.js";
import { KEYS, meaning } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Queue } from "./queue.js";
import { fetchRegion } from "./region.js";
import { get, post } from "./server.js";
import { Stopwatch } from "./stopwatch.js";
import { View } from "./view.js";

const CROP_MM = 128;
const WIDEST_MM = 400;
const ALIKE_HU = 30;
const $ = (id) => document.getElementById(id);

const scene = {
  region: null,
  mask: null,
  cursor: [0, 0, 0],
  window: null,
  zoom: 1,
  shown: { mask: true, others: true, structures: false, first: true, second: true, cursor: true },
  brush: { on: false, erase: false, solid: false, alike: false, radius: 4 },
  ruler: null,
};
const page = { me: null, queue: null, outbox: null, watch: null, entry: null, editor: null, past: [], slices: new Set(), keys: 0, strokes: 0, began: "", sizeMm: CROP_MM, pending: null, measuring: false };
const views = {};

// ---------------------------------------------------------------- drawing and saying

function redraw() {
  for (const [plane, view] of Object.entries(views)) {
    view.draw();
    if (scene.region) {
      const { through } = PLANES[plane];
      $(`at-${plane}`).textContent = `${scene.region.low[through] + scene.cursor[through] + 1} / ${scene.region.shape[through]}`;
    }
  }
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function refreshTools() {
  const { brush } = scene;
  const pressed = { edit: brush.on, erase: brush.erase, solid: brush.solid, threshold: brush.alike };
  for (const [act, on] of Object.entries(pressed)) button(act).setAttribute("aria-pressed", on);
  $("radius").value = brush.radius;
  $("radius-mm").textContent = `${brush.radius} mm`;
  const { editor } = page;
  button("undo").disabled = !editor?.canUndo;
  button("redo").disabled = !editor?.canRedo;
  $("undo-name").textContent = editor?.done.at(-1)?.name ?? "";
  $("redo-name").textContent = editor?.undone.at(-1)?.name ?? "";
  button("back").disabled = !page.past.length;
}

function button(act) {
  return document.querySelector(`button[data-act="${act}"]`);
}

async function refreshNetwork() {
  const waiting = await page.outbox.waiting();
  document.body.dataset.waiting = waiting;
  if (!waiting) $("network").textContent = "";
  else if (!page.outbox.online) $("network").textContent = `offline · ${waiting} kept here`;
}

function facts(read) {
  const rows = [];
  const mm = (value) => `${value.toFixed(1)} mm`;
  if (read.sizes.diameter_mm) rows.push(["longest axial", mm(read.sizes.diameter_mm)]);
  if (read.sizes.perpendicular_mm) rows.push(["across it", mm(read.sizes.perpendicular_mm)]);
  if (read.sizes.volume_mm3) rows.push(["volume", `${(read.sizes.volume_mm3 / 1000).toFixed(2)} mL`]);
  if (read.sizes.mean_hu !== undefined) rows.push(["mean", `${Math.round(read.sizes.mean_hu)} HU`]);
  if (read.sizes.site) rows.push(["site", read.sizes.site]);
  if (read.step > 1) rows.push(["read", read.step === 2 ? "second" : "adjudication"]);
  $("facts").replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }),
  );
}

// ---------------------------------------------------------------- reads

function newId() {
  return crypto.randomUUID();
}

/** Give an event to the outbox, with the time that it took; its id. */
function send(event) {
  const { watch, slices, keys, strokes, began } = page;
  const id = newId();
  const whole = {
    event_id: id,
    ...event,
    ...watch.lap(),
    slices_viewed: slices.size,
    strokes,
    keys,
    began,
    ended: new Date().toISOString(),
  };
  page.slices = new Set();
  page.keys = page.strokes = 0;
  page.began = whole.ended;
  page.outbox.add(page.entry.read, whole);
  return id;
}

async function show(entry) {
  say("");
  closeReasons();
  page.entry = entry;
  if (!entry) {
    scene.region = scene.mask = page.editor = null;
    $("finding").textContent = "Nothing to read";
    $("where").textContent = "the queue is empty for now";
    $("facts").replaceChildren();
    document.body.dataset.read = "";
    redraw();
    refreshTools();
    return;
  }
  const region = await entry.region;
  const { read } = entry;
  const fresh = !entry.mask;
  entry.mask ??= region.mask;
  region.mask = entry.mask;
  scene.region = region;
  scene.mask = region.mask;
  scene.cursor = read.centre.map((c, a) => Math.min(region.dims[a] - 1, Math.max(0, c - region.low[a])));
  scene.zoom = 1;
  scene.ruler = null;
  scene.brush.on = read.unit === "case";
  for (const view of Object.values(views)) view.pan = [0, 0];
  entry.editor ??= new Editor(read, region, {
    send: (event) => {
      page.strokes += event.action === "edit" ? 1 : 0;
      return send(event);
    },
    changed: () => {
      redraw();
      refreshTools();
    },
  });
  page.editor = entry.editor;
  page.slices = new Set([`axial ${scene.cursor[2]}`]);
  page.keys = page.strokes = 0;
  page.began = new Date().toISOString();
  page.watch.restart();
  const whole = read.unit === "case";
  $("finding").textContent = whole ? "Search the whole scan" : (read.structure ?? "").replaceAll("_", " ");
  $("where").textContent = `${read.case_name} · ${page.queue.waiting} waiting`;
  for (const act of ["accept", "reject", "unsure"]) button(act).hidden = whole;
  for (const act of ["add", "close"]) button(act).hidden = !whole;
  facts(read);
  redraw();
  refreshTools();
  document.body.dataset.read = read.read_id;
  document.body.dataset.unit = read.unit;
  if (fresh) send({ action: "open" });
}

async function advance() {
  const entry = await page.queue.next();
  await show(entry);
}

async function decide(action, more = {}) {
  if (!page.entry) return;
  if (page.me.review.ask_confidence && action !== "close" && more.confidence === undefined) {
    askConfidence(action, more);
    return;
  }
  if (action === "accept" && page.editor.isEmpty()) {
    say("The mask is empty: reject it, or undo.");
    return;
  }
  const id = send({ action, ...more });
  page.past.push({ entry: page.entry, id });
  page.past = page.past.slice(-20);
  page.queue.current = null;
  await advance();
}

async function back() {
  const last = page.past.pop();
  if (!last) return;
  page.queue.again(last.entry);
  page.entry = last.entry;
  page.watch.restart();
  send({ action: "undo", about: last.id });
  await show(last.entry);
}

async function skip() {
  if (!page.entry) return;
  send({ action: "release" });
  page.queue.current = null;
  await page.outbox.flush();
  await advance();
}

// ---------------------------------------------------------------- reasons, confidence

function askReason() {
  const list = $("reasons");
  list.replaceChildren(
    ...page.me.reasons.map((reason, n) => {
      const item = document.createElement("li");
      const choice = document.createElement("button");
      choice.type = "button";
      choice.append(reason.replaceAll("_", " "), Object.assign(document.createElement("kbd"), { textContent: n + 1 }));
      choice.addEventListener("click", () => reject(n));
      item.append(choice);
      return item;
    }),
  );
  list.hidden = false;
  page.pending = "reason";
  list.querySelector("button").focus();
}

function reject(n) {
  const reason = page.me.reasons[n];
  if (!reason) return;
  closeReasons();
  decide("reject", { reason });
}

function askConfidence(action, more) {
  const field = $("confidence");
  for (const old of field.querySelectorAll("button")) old.remove();
  for (let level = 1; level <= 5; level++) {
    const choice = document.createElement("button");
    choice.type = "button";
    choice.textContent = level;
    choice.addEventListener("click", () => confident(level));
    field.append(choice);
  }
  field.hidden = false;
  page.pending = { action, more };
}

function confident(level) {
  const { action, more } = page.pending;
  closeReasons();
  decide(action, { ...more, confidence: level });
}

function closeReasons() {
  $("reasons").hidden = true;
  $("confidence").hidden = true;
  page.pending = null;
}

// ---------------------------------------------------------------- what keys and buttons do

const acts = {
  accept: () => page.entry?.read.unit === "finding" && decide("accept"),
  reject: () => page.entry?.read.unit === "finding" && askReason(),
  unsure: () => page.entry?.read.unit === "finding" && decide("unsure"),
  close: () => page.entry?.read.unit === "case" && decide("close"),
  skip,
  back,
  edit: () => toggle("on"),
  erase: () => toggle("erase"),
  solid: () => toggle("solid"),
  threshold: () => toggle("alike"),
  smaller: () => resize(-1),
  larger: () => resize(1),
  fill: () => page.editor?.fill(active().plane, active().index),
  interpolate: () => tool("interpolate"),
  smooth: () => tool("smooth"),
  grow: () => {
    const voxel = active().pointer ?? scene.cursor;
    const at = voxel.map((v, a) => Math.round(v) + scene.region.low[a]);
    return tool("grow", { at, radius_mm: 40 });
  },
  split: async () => {
    if (page.entry?.read.unit !== "finding") return;
    const pieces = await page.editor.pieces();
    if (pieces.length < 2) return say("It is in one piece and has no neck.");
    send({ action: "split", pieces });
    page.queue.current = null;
    await page.outbox.flush();
    await advance();
  },
  merge: async () => {
    const { region } = scene;
    const voxel = (active().pointer ?? scene.cursor).map((v, a) => Math.round(v) + region.low[a]);
    const inside = (box) => voxel.every((v, a) => v >= box[0][a] && v < box[1][a]);
    const { findings } = await get(`/api/cases/${page.entry.read.case_key}`);
    const other = findings.find((f) => f.finding_id !== page.entry.read.finding_id && inside(f.box));
    if (!other) return say("There is no other finding under the pointer.");
    send({ action: "merge", others: [other.finding_id] });
    await page.outbox.flush();
    await reload();
  },
  add: () => {
    if (page.entry?.read.unit !== "case" || page.editor.isEmpty()) return say("Outline the lesion first.");
    const structure = lesionUnder();
    send({ action: "add", structure, patch: { set: page.editor.runs(), clear: [] } });
    scene.mask.forEach((value, place) => {
      if (value) scene.region.others[place] = 1;
    });
    scene.mask.fill(0);
    page.editor.done = page.editor.undone = [];
    say(`Recorded as ${structure.replaceAll("_", " ")}.`);
    redraw();
    refreshTools();
  },
  undo: () => page.editor?.undo(),
  redo: () => page.editor?.redo(),
  hide: () => {
    scene.shown.mask = scene.shown.others = !scene.shown.mask;
    redraw();
  },
  organs: () => {
    scene.shown.structures = !scene.shown.structures;
    redraw();
  },
  centre: () => {
    const { read } = page.entry;
    scene.cursor = read.centre.map((c, a) => c - scene.region.low[a]);
    scene.zoom = 1;
    for (const view of Object.values(views)) view.pan = [0, 0];
    redraw();
  },
  wider: async () => {
    page.sizeMm = Math.min(WIDEST_MM, page.sizeMm * 2);
    await reload();
  },
  measure: () => {
    page.measuring = !page.measuring;
    $("hint").textContent = page.measuring ? "Drag to measure; L ends it." : "";
  },
  scan: () => window.open(`/browse#${page.entry?.read.case_key ?? ""}`, "_blank", "noopener"),
  help: () => $("help").showModal(),
};

function toggle(name) {
  scene.brush[name] = !scene.brush[name];
  if (name === "erase") scene.brush.on = true;
  redraw();
  refreshTools();
}

function resize(direction) {
  const { brush } = scene;
  brush.radius = Math.min(30, Math.max(0.5, brush.radius + direction * (brush.radius >= 6 ? 2 : 0.5)));
  redraw();
  refreshTools();
}

async function tool(name, more) {
  if (!page.editor) return;
  if (page.entry.read.unit === "finding" && name === "grow") scene.brush.on = true;
  if (!(await page.editor.propose(name, more))) say("Nothing changed.");
}

/** The lesion structure of the organ in which the mask lies for the most part. */
function lesionUnder() {
  const { region } = scene;
  const votes = new Map();
  scene.mask.forEach((value, place) => {
    const number = value && region.structures[place];
    if (number) votes.set(number, (votes.get(number) ?? 0) + 1);
  });
  const best = [...votes].sort((a, b) => b[1] - a[1])[0];
  const name = best ? region.structureNames[best[0] - 1] : "";
  return page.me.lesions?.[name] ?? page.me.lesions?.[""] ?? "liver_lesion";
}

/** Fetch the crop again: wider, about the cursor, or with what the server made of it. */
async function reload() {
  await page.outbox.flush();
  const { read } = page.entry;
  const centre = scene.cursor.map((c, a) => c + scene.region.low[a]);
  page.entry.region = fetchRegion(read, centre, page.sizeMm);
  page.entry.mask = page.entry.editor = null;
  const region = await page.entry.region;
  page.entry.mask = region.mask; // it is no new opening of the read
  const before = page.watch;
  await show(page.entry);
  page.watch = before;
  scene.cursor = centre.map((c, a) => c - region.low[a]);
  redraw();
}

function active() {
  return Object.values(views).find((view) => view.pointer) ?? views.axial;
}

async function act(name, detail) {
  say("");
  try {
    await acts[name]?.(detail);
  } catch (error) {
    say(error.message);
  }
}

// ---------------------------------------------------------------- keys

function onKey(event) {
  page.watch.input();
  page.keys++;
  if ($("help").open || event.target.matches("input, textarea, select")) return;
  if (page.pending) {
    const digit = Number(event.key);
    if (event.key === "Escape") closeReasons();
    else if (digit && page.pending === "reason") reject(digit - 1);
    else if (digit && page.pending.action && digit <= 5) confident(digit);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  const name = meaning(event);
  if (!name) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (name === "scroll") scroll(active(), event.key === "ArrowUp" ? 1 : -1);
  else if (name === "zoom") zoom(event.key === "-" ? 1 / 1.25 : 1.25);
  else if (name === "window") setWindow(page.me.windows.find((w) => w.key === event.key));
  else act(name);
}

function scroll(view, steps) {
  if (!scene.region) return;
  const { through } = view.axes;
  scene.cursor[through] = Math.min(scene.region.dims[through] - 1, Math.max(0, scene.cursor[through] + steps));
  page.slices.add(`${view.plane} ${scene.cursor[through]}`);
  redraw();
}

function zoom(factor) {
  scene.zoom = Math.min(12, Math.max(1, scene.zoom * factor));
  redraw();
}

function setWindow(preset) {
  if (!preset) return;
  scene.window = { ...preset };
  for (const other of $("window").children) other.setAttribute("aria-pressed", other.dataset.key === preset.key);
  redraw();
}

// ---------------------------------------------------------------- pointer

function listen(view) {
  const { canvas } = view;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (!scene.region) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    const voxel = view.toVoxel(event);
    view.pointer = voxel;
    if (page.measuring) {
      const at = voxel.map((v, a) => (a === view.axes.through ? view.index : v));
      drag = { kind: "measure", from: at };
      scene.ruler = { plane: view.plane, from: at, to: at };
    } else if (event.button === 2) {
      drag = { kind: "window", x: event.clientX, y: event.clientY, start: { ...scene.window } };
    } else if (event.button === 1 || event.ctrlKey) {
      drag = { kind: "pan", x: event.clientX, y: event.clientY, start: [...view.pan] };
    } else if (scene.brush.on) {
      const erase = scene.brush.erase !== event.shiftKey;
      drag = { kind: "brush", at: voxel, options: brushOptions(voxel, erase) };
      page.editor.begin();
      page.editor.draw(view.plane, voxel, voxel, drag.options);
    } else {
      drag = { kind: "cursor" };
      moveCursor(view, voxel);
    }
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    page.watch.input();
    if (!scene.region) return;
    const voxel = view.toVoxel(event);
    view.pointer = voxel;
    if (!drag) {
      if (scene.brush.on) view.draw();
      return;
    }
    if (drag.kind === "brush") {
      page.editor.draw(view.plane, drag.at, voxel, drag.options);
      drag.at = voxel;
      view.draw();
    } else if (drag.kind === "measure") {
      scene.ruler = { plane: view.plane, from: drag.from, to: voxel.map((v, a) => (a === view.axes.through ? view.index : v)) };
      view.draw();
    } else if (drag.kind === "pan") {
      const ratio = view.canvas.width / view.canvas.clientWidth;
      view.pan = [
        drag.start[0] + ((event.clientX - drag.x) * ratio) / view.scale,
        drag.start[1] + ((event.clientY - drag.y) * ratio) / view.scale,
      ];
      view.draw();
    } else if (drag.kind === "window") {
      const width = Math.max(10, drag.start.high_hu - drag.start.low_hu + 2 * (event.clientX - drag.x));
      const level = (drag.start.high_hu + drag.start.low_hu) / 2 + (event.clientY - drag.y);
      scene.window = { low_hu: level - width / 2, high_hu: level + width / 2 };
      redraw();
    } else moveCursor(view, voxel);
  });
  const finish = () => {
    if (drag?.kind === "brush") page.editor.end(drag.options.value ? "brush" : "eraser");
    drag = null;
    redraw();
    refreshTools();
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => {
    view.pointer = null;
    view.draw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      page.watch.input();
      event.preventDefault();
      if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      else scroll(view, event.deltaY < 0 ? 1 : -1);
    },
    { passive: false },
  );
}

function brushOptions(voxel, erase) {
  const { region, brush } = scene;
  const options = { radius: brush.radius, solid: brush.solid, value: erase ? 0 : 1 };
  const nearest = voxel.map((v, a) => Math.min(region.dims[a] - 1, Math.max(0, Math.round(v))));
  if (brush.alike && !erase) {
    const hu = region.ct[region.at(...nearest)];
    options.range = [hu - ALIKE_HU, hu + ALIKE_HU];
  }
  return options;
}

function moveCursor(view, voxel) {
  const { across, down } = view.axes;
  for (const axis of [across, down]) {
    scene.cursor[axis] = Math.min(scene.region.dims[axis] - 1, Math.max(0, Math.round(voxel[axis])));
  }
  redraw();
}

// ---------------------------------------------------------------- start

async function start() {
  page.me = await get("/api/me");
  document.title = $("title").textContent = page.me.review.title;
  $("reader").textContent = page.me.reader.name;
  scene.window = { ...page.me.windows[0] };
  $("window").replaceChildren(
    ...page.me.windows.map((preset) => {
      const choice = document.createElement("button");
      choice.type = "button";
      choice.dataset.key = preset.key;
      choice.append(preset.name, Object.assign(document.createElement("kbd"), { textContent: preset.key }));
      choice.addEventListener("click", () => setWindow(preset));
      return choice;
    }),
  );
  setWindow(page.me.windows[0]);
  const rows = KEYS.map(({ keys, ctrl, help }) => {
    const row = document.createElement("tr");
    const key = document.createElement("td");
    key.append(...keys.map((k) => Object.assign(document.createElement("kbd"), { textContent: (ctrl ? "Ctrl " : "") + k })));
    const text = document.createElement("td");
    text.textContent = help;
    row.append(key, text);
    return row;
  });
  $("help").querySelector("table").replaceChildren(...rows);
  page.watch = new Stopwatch(page.me.review.idle_ms);
  page.outbox = await Outbox.open(page.me.reader.id);
  page.outbox.addEventListener("change", refreshNetwork);
  page.outbox.addEventListener("refused", ({ detail }) => {
    say(`Not recorded: ${detail.error.message}`);
    if (detail.readId === page.entry?.read.read_id) reload().catch(() => advance());
  });
  await page.outbox.flush();
  page.queue = new Queue(CROP_MM, page.me.review.lease_ms, page.outbox);
  for (const plane of Object.keys(PLANES)) {
    views[plane] = new View($(plane), plane, scene);
    listen(views[plane]);
  }
  document.addEventListener("keydown", onKey, { capture: true });
  for (const choice of document.querySelectorAll("button[data-act]")) {
    choice.addEventListener("click", () => {
      page.watch.input();
      act(choice.dataset.act);
    });
  }
  $("radius").addEventListener("input", (event) => {
    scene.brush.radius = Number(event.target.value);
    refreshTools();
  });
  $("help-button").addEventListener("click", () => act("help"));
  $("logout").addEventListener("click", async () => {
    await page.outbox.flush();
    page.queue.leave();
    await post("/api/logout", {});
    window.location.assign("/login");
  });
  window.addEventListener("pagehide", () => page.queue.leave());
  await advance();
  document.body.dataset.ready = "1";
}

start().catch((error) => say(error.message));
