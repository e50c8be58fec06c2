// Reads come on the screen, are decided, and go; every event has the time that it took.

import { askConfidence, askReason, close } from "./asking.js";
import { dropBackdrops } from "./backdrop.js";
import { showCase } from "./caselist.js";
import { Editor } from "./editor.js";
import { button, plain, refreshSaved, refreshTools, say, showFacts } from "./panel.js";
import { showPrevious } from "./previous.js";
import { $, page, redraw, scene, views } from "./room.js";
import { keepSketch, keptSketch } from "./sketches.js";
import { chooseWindow } from "./windows.js";

const AGAIN_MS = 15_000;
const MOST_PAST = 20;

let counted;
restartCounts();

function restartCounts() {
  counted = { slices: new Set(), keys: 0, strokes: 0, began: new Date().toISOString() };
}

/** Count a key, a stroke, or a slice that was shown. */
export function count(kind, what) {
  if (kind === "slices") counted.slices.add(what);
  else counted[kind]++;
}

/** Give an event to the outbox, with the time that it took; its id. */
export function send(event) {
  const id = crypto.randomUUID();
  const { slices, keys, strokes, began } = counted;
  const ended = new Date().toISOString();
  const work = { ...page.watch.lap(), slices_viewed: slices.size, strokes, keys, began, ended };
  restartCounts();
  page.outbox.add(page.entry.read, { event_id: id, ...event, ...work });
  return id;
}

/** What the editor did: an event of a finding; of a search only once it is recorded as a lesion. */
function edited(event) {
  if (event.action === "edit") count("strokes");
  const { read, editor } = page.entry;
  if (read.unit === "finding") return send(event);
  queueMicrotask(() => {
    keepSketch(read.read_id, editor.runs());
    refreshSaved();
  });
  return crypto.randomUUID();
}

export async function show(entry) {
  say("");
  close();
  page.entry = entry;
  dropBackdrops();
  if (!entry) return showNothing("Nothing to read", "the queue is empty for now");
  const region = await entry.load();
  if (page.entry !== entry) return undefined;
  const { read } = entry;
  const whole = read.unit === "case";
  const fresh = !entry.editor;
  scene.region = region;
  scene.mask = region.mask;
  scene.cursor = read.centre.map((c, a) => Math.min(region.dims[a] - 1, Math.max(0, c - region.low[a])));
  const [from, size] = whole ? [[0, 0, 0], region.shape] : [region.low, region.dims];
  entry.home ??= {
    camera: size.map((n, a) => from[a] + (n - 1) / 2),
    extent: size.map((n, a) => n * region.spacing[a]),
  };
  goHome();
  scene.ruler = null;
  scene.brush.on = whole;
  scene.brush.erase = false;
  chooseWindow(read.structure);
  const changed = () => {
    redraw();
    refreshTools();
  };
  entry.editor ??= new Editor(read, region, { send: edited, changed });
  page.editor = entry.editor;
  restartCounts();
  count("slices", `axial ${region.low[2] + scene.cursor[2]}`);
  page.watch.restart();
  $("finding").textContent = whole ? "Search the whole scan" : plain(read.structure);
  const { waiting } = page.queue;
  $("where").textContent = waiting ? `${read.case_name} · ${waiting} more` : read.case_name;
  for (const act of ["accept", "reject", "unsure", "split"]) button(act).hidden = whole;
  for (const act of ["add", "close", "grow"]) button(act).hidden = !whole;
  showFacts(read);
  showCase(entry);
  showPrevious(read);
  if (fresh && whole) restoreSketch(entry);
  changed();
  refreshSaved();
  document.body.dataset.unit = read.unit;
  document.body.dataset.read = read.read_id;
  if (fresh) send({ action: "open" });
  return undefined;
}

function showNothing(title, text) {
  scene.region = scene.mask = page.editor = null;
  $("finding").textContent = title;
  $("where").textContent = text;
  $("facts").replaceChildren();
  $("earlier").hidden = true;
  showCase(null);
  showPrevious(null);
  document.body.dataset.read = "";
  document.body.dataset.unit = "";
  redraw();
  refreshTools();
  setTimeout(() => !page.entry && advance(), AGAIN_MS);
}

function restoreSketch({ read, editor, region }) {
  const runs = keptSketch(read.read_id);
  if (!runs.length) return;
  editor.begin();
  scene.region.paint(scene.mask, runs, 1);
  editor.known = runs;
  editor.end("earlier drawing");
}

/** Show all of the crop, or of the scan. */
export function goHome() {
  const { home } = page.entry;
  scene.camera = [...home.camera];
  scene.extent = home.extent;
  scene.zoom = 1;
  for (const view of Object.values(views)) view.pan = [0, 0];
}

export async function advance() {
  try {
    await show(await page.queue.next());
  } catch (error) {
    page.entry = null;
    showNothing("No network", "the next ones come when it is back");
    if (error.status) say(error.message);
  }
}

const of = (unit) => page.entry?.read.unit === unit;

export const decisions = {
  accept: () => of("finding") && decide("accept"),
  reject: () => of("finding") && askReason((reason) => decide("reject", { reason })),
  unsure: () => of("finding") && decide("unsure"),
  close: () => of("case") && decide("close"),
  skip,
  back,
};

async function decide(action, more = {}) {
  if (action === "accept" && page.editor.isEmpty()) return say("The mask is empty: reject it, or undo.");
  if (action === "close" && !page.editor.isEmpty()) {
    return say("A drawing is not recorded yet: record it with S, or undo it.");
  }
  if (page.me.review.ask_confidence && action !== "close" && !more.confidence) {
    return askConfidence((confidence) => decide(action, { ...more, confidence }));
  }
  const id = send({ action, ...more });
  page.past = [...page.past, { entry: page.entry, id }].slice(-MOST_PAST);
  page.queue.current = null;
  return advance();
}

/** Open the last decision again. */
async function back() {
  const last = page.past.pop();
  if (!last) return;
  page.queue.again(last.entry);
  page.entry = last.entry;
  page.watch.restart();
  restartCounts();
  last.undo = send({ action: "undo", about: last.id });
  page.takenBack = last.undo;
  await show(last.entry);
}

async function skip() {
  if (!page.entry) return;
  send({ action: "release" });
  await leave();
}

/** Go on after this read became another's, or several. */
export async function leave() {
  page.queue.current = null;
  await advance();
}

/** Show the read anew, with what the server has made of it. */
export async function reload() {
  const { entry } = page;
  entry.fetch();
  const region = await entry.load();
  if (page.entry !== entry) return;
  entry.editor = new Editor(entry.read, region, { send: edited, changed: page.editor.changed });
  await show(entry);
}

/** The server did not take what was done. */
export async function refused({ readId, error, events }) {
  if (readId !== page.entry?.read.read_id) return say(`Not recorded: ${error.message}`);
  const reopened = events.some(({ event_id }) => event_id === page.takenBack);
  await (error.kind === "lease" || reopened ? leave() : reload());
  return say(`Not recorded: ${error.message}`);
}
