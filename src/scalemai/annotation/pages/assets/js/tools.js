// What keys and buttons do to the mask and to what is shown.

import { list } from "./caselist.js";
import { ensure, follow, jump } from "./crops.js";
import { plain, refreshSaved, refreshTools, say } from "./panel.js";
import { count, goHome, leave, reload, send } from "./reads.js";
import { $, active, inScan, page, pointed, redraw, scene, views } from "./room.js";
import { keepSketch } from "./sketches.js";
import { get } from "./server.js";
import { rangeAt } from "./view.js";

const GROW_MM = 40;
const [SMALLEST_MM, LARGEST_MM] = [0.5, 30];
const [NARROWEST_HU, WIDEST_HU] = [5, 200];
const NEAREST = 12;

export const tools = {
  edit: () => change({ on: !scene.brush.on || scene.brush.erase, erase: false }),
  erase: () => change({ on: true, erase: !(scene.brush.on && scene.brush.erase) }),
  solid: () => change({ solid: !scene.brush.solid }),
  threshold: () => change({ alike: !scene.brush.alike }),
  smaller: () => resize(-1),
  larger: () => resize(1),
  narrower: () => setWithin(scene.brush.within - 5),
  broader: () => setWithin(scene.brush.within + 5),
  dab,
  fill: () => page.editor?.fill(active().plane, active().index),
  interpolate: () => propose("interpolate"),
  smooth: () => propose("smooth"),
  grow: async () => {
    await ensure(pointed(), GROW_MM);
    await propose("grow", { at: inScan(pointed()), radius_mm: GROW_MM });
  },
  first: () => takeOver("first"),
  second: () => takeOver("second"),
  split,
  merge,
  add,
  undo: () => page.editor?.undo(),
  redo: () => page.editor?.redo(),
  hide: () => {
    const { shown } = scene;
    for (const layer of ["others", "first", "second", "mask"]) shown[layer] = !shown.mask;
    redraw();
    refreshTools();
  },
  organs: () => {
    scene.shown.structures = !scene.shown.structures;
    redraw();
    refreshTools();
  },
  centre: async () => {
    if (!page.entry) return;
    goHome();
    await jump(page.entry.read.centre);
  },
  whole: () => {
    if (!page.entry) return;
    const { shape, spacing } = scene.region;
    const all = shape.map((n, a) => n * spacing[a]);
    if (scene.extent.every((mm, a) => mm === all[a])) goHome();
    else {
      goHome();
      scene.extent = all;
      scene.camera = shape.map((n) => (n - 1) / 2);
    }
    redraw();
  },
  measure: () => {
    page.measuring = !page.measuring;
    $("hint").textContent = page.measuring ? "Drag to measure; L ends it." : "";
    refreshTools();
  },
  scan: () => window.open(`/browse#${page.entry?.read.case_key ?? ""}`, "_blank", "noopener"),
  help: () => $("help").showModal(),
};

function change(brush) {
  Object.assign(scene.brush, brush);
  redraw();
  refreshTools();
}

function resize(direction) {
  const { radius } = scene.brush;
  setRadius(radius + direction * (radius >= 6 ? 2 : 0.5));
}

export function setRadius(mm) {
  change({ radius: Math.min(LARGEST_MM, Math.max(SMALLEST_MM, mm)) });
}

export function setWithin(hu) {
  change({ within: Math.min(WIDEST_HU, Math.max(NARROWEST_HU, hu)) });
}

/** What a stroke that begins at a voxel does until it ends. */
export function brushAt(voxel) {
  const { region, brush } = scene;
  const erase = brush.erase !== brush.swapped;
  const { radius, solid } = brush;
  return { radius, solid, value: erase ? 0 : 1, range: erase ? undefined : rangeAt(region, brush, voxel) };
}

/** Touch the cursor with the brush once: drawing by keys alone. */
function dab() {
  if (!page.editor) return;
  if (!scene.brush.on) {
    say("Take the brush first: E.");
    return;
  }
  const options = brushAt(scene.cursor);
  page.editor.begin();
  page.editor.draw(active().plane, scene.cursor, scene.cursor, options);
  page.editor.end(options.value ? "brush" : "eraser");
}

async function propose(tool, more) {
  if (page.editor && !(await page.editor.propose(tool, more))) say("Nothing changed.");
}

function takeOver(name) {
  const mask = scene.region?.[name];
  if (!mask) return;
  if (!page.editor.take(mask, `take ${name}`)) say(`The mask is that of the ${name} read already.`);
}

async function split() {
  if (page.entry?.read.unit !== "finding") return;
  const pieces = await page.editor.pieces();
  if (pieces.length < 2) {
    say("It is in one piece and has no neck.");
    return;
  }
  send({ action: "split", pieces });
  await page.outbox.flush();
  await leave();
}

async function merge() {
  if (page.entry?.read.unit !== "finding") return;
  const voxel = inScan(pointed());
  const inside = (box) => voxel.every((v, a) => v >= box[0][a] && v < box[1][a]);
  const { findings } = await get(`/api/cases/${page.entry.read.case_key}`);
  const other = findings.find((f) => f.finding_id !== page.entry.read.finding_id && inside(f.box));
  if (!other) {
    say("There is no other finding under the pointer.");
    return;
  }
  send({ action: "merge", others: [other.finding_id] });
  await page.outbox.flush();
  await reload();
}

/** Record what was drawn in a search as a lesion of its own. */
function add() {
  const { entry, editor } = page;
  if (entry?.read.unit !== "case") return;
  if (editor.isEmpty()) {
    say("Outline the lesion first.");
    return;
  }
  const structure = lesionUnder();
  const runs = editor.runs();
  send({ action: "add", structure, patch: { set: runs, clear: [] } });
  entry.added = [...(entry.added ?? []), runs];
  scene.region.paint(scene.region.others, runs, 1);
  entry.marked = [
    ...(entry.marked ?? []),
    { name: plain(structure), said: "added by you", centre: middleOf(runs) },
  ];
  list(entry);
  editor.clear();
  keepSketch(entry.read.read_id, []);
  refreshSaved();
  say(`Recorded as ${plain(structure)}.`);
}

/** A voxel in the midst of runs. */
function middleOf(runs) {
  const { shape } = scene.region;
  const n = 2 * Math.floor(runs.length / 4);
  const number = runs[n] + Math.floor(runs[n + 1] / 2);
  return [number % shape[0], Math.floor(number / shape[0]) % shape[1], Math.floor(number / (shape[0] * shape[1]))];
}

/** The lesion structure of the organ in which the mask lies for the most part. */
function lesionUnder() {
  const { region, mask } = scene;
  const votes = new Map();
  mask.forEach((value, place) => {
    const number = value && region.structures[place];
    if (number) votes.set(number, (votes.get(number) ?? 0) + 1);
  });
  const best = [...votes].sort((a, b) => b[1] - a[1])[0];
  const name = best ? region.structureNames[best[0] - 1] : "";
  return page.me.lesions?.[name] ?? page.me.lesions?.[""] ?? "liver_lesion";
}

/** Move the cursor by voxels of the view's plane, [across, down, through]. */
export function move(view, steps) {
  if (!scene.region) return;
  const { across, down, through, flip } = view.axes;
  const by = [0, 0, 0];
  by[across] = steps[0];
  by[down] = flip ? -steps[1] : steps[1];
  by[through] = steps[2];
  const { region } = scene;
  scene.cursor = scene.cursor.map((v, a) => Math.min(region.dims[a] - 1, Math.max(0, v + by[a])));
  if (steps[2]) count("slices", `${view.plane} ${region.low[through] + scene.cursor[through]}`);
  redraw();
  follow();
}

/** Nearer or farther, with a voxel of the crop staying where it is on the screen. */
export function zoom(factor, fixed = scene.cursor) {
  if (!scene.region) return;
  const before = scene.zoom;
  scene.zoom = Math.min(NEAREST, Math.max(1, before * factor));
  if (scene.zoom === 1) goHome();
  else {
    const at = inScan(fixed);
    scene.camera = scene.camera.map((c, a) => at[a] + ((c - at[a]) * before) / scene.zoom);
  }
  redraw();
}
