// The crop follows the cursor through the scan. What is drawn stays: the editor takes it along.

import { fetchRegion } from "./region.js";
import { inScan, page, redraw, scene, views } from "./room.js";

const FINDING_MM = 128;
const AROUND_MM = 40; // of a finding that is larger
const WIDEST_MM = 400;
const WHOLE_MM = 512;
const MOST_VOXELS = 6e6; // what is fetched and drawn without a wait
const NEAR = 0.2; // share of the crop at whose border the next one is fetched

/** Size of a read's crops: a finding with what is around it, or a slab of all that is searched. */
export function cropOf(read) {
  const { shape, spacing_mm: step } = read;
  const count = (axis, mm) => Math.min(shape[axis], Math.max(1, Math.round(mm / step[axis])));
  if (read.unit === "case") {
    const sizeMm = Math.min(WHOLE_MM, Math.max(shape[0] * step[0], shape[1] * step[1]));
    const slices = Math.max(8, Math.floor(MOST_VOXELS / (count(0, sizeMm) * count(1, sizeMm))));
    return { sizeMm, depthMm: Math.min(WHOLE_MM, slices * step[2]) };
  }
  const [low, high] = read.box;
  const longest = Math.max(...step.map((mm, a) => (high[a] - low[a]) * mm));
  let sizeMm = Math.min(WIDEST_MM, Math.max(FINDING_MM, longest + AROUND_MM));
  while (count(0, sizeMm) * count(1, sizeMm) * count(2, sizeMm) > 2 * MOST_VOXELS) sizeMm *= 0.9;
  return { sizeMm, depthMm: sizeMm };
}

let fetching = null;

/** Fetch the next crop once the cursor nears the border of this one. */
export function follow() {
  const { region, cursor } = scene;
  if (!region || fetching) return;
  const ahead = cursor.map((at, a) => {
    const size = region.dims[a];
    const margin = Math.max(2, Math.round(size * NEAR));
    if (at < margin && region.low[a] > 0) return -Math.floor(size / 4);
    if (at >= size - margin && region.low[a] + size < region.shape[a]) return Math.floor(size / 4);
    return 0;
  });
  if (!ahead.some(Boolean)) return;
  const centre = inScan(cursor).map((v, a) => Math.min(region.shape[a] - 1, Math.max(0, v + ahead[a])));
  fetchCrop(centre).catch(() => {}); // without a network there is still the crop that is here
}

/** Put the cursor on a voxel of the scan, wherever it lies. */
export async function jump(voxel) {
  const { region } = scene;
  const place = voxel.map((v, a) => Math.min(region.shape[a] - 1, Math.max(0, Math.round(v))));
  if (!region.has(place)) {
    await fetching?.catch(() => {});
    await fetchCrop(place);
  }
  scene.cursor = place.map((v, a) => v - scene.region.low[a]);
  redraw();
  follow();
}

/** Have so many mm of the scan around a voxel of the crop; whether they were there already. */
export async function ensure(voxel, mm) {
  const { region } = scene;
  const there = voxel.every((v, a) => {
    const reach = mm / region.spacing[a];
    const below = v - reach >= 0 || region.low[a] === 0;
    const above = v + reach < region.dims[a] || region.low[a] + region.dims[a] === region.shape[a];
    return below && above;
  });
  if (!there) await jump(inScan(voxel));
  return there;
}

function fetchCrop(centre) {
  const { entry } = page;
  fetching = fetchRegion(entry.read, centre, entry.crop)
    .then((region) => page.entry === entry && whenStill(() => adopt(entry, region)))
    .finally(() => {
      fetching = null;
    });
  return fetching;
}

let still = [];

/** Do something now, or when the stroke that is under way has ended. */
function whenStill(call) {
  if (!page.drawing) return call();
  return new Promise((resolve) => {
    still.push(() => resolve(call()));
  });
}

/** A stroke has ended. */
export function ended() {
  page.drawing = false;
  const calls = still;
  still = [];
  for (const call of calls) call();
}

function adopt(entry, region) {
  if (page.entry !== entry) return;
  const cursor = inScan(scene.cursor);
  entry.editor.move(region);
  for (const runs of entry.added ?? []) region.paint(region.others, runs, 1);
  entry.region = Promise.resolve(region);
  scene.region = region;
  scene.mask = region.mask;
  scene.cursor = cursor.map((v, a) => Math.min(region.dims[a] - 1, Math.max(0, v - region.low[a])));
  scene.ruler = null;
  for (const view of Object.values(views)) view.pointer = null;
  redraw();
}
