// What the planes show beyond the crop: whole slices as pictures, fetched when the cursor rests.

import { page, redraw, scene, views } from "./room.js";

const REST_MS = 90;
let timer = 0;

/** Have the pictures that the planes need now, or soon. */
export function refreshBackdrops() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    for (const view of Object.values(views)) load(view);
  }, REST_MS);
}

async function load(view) {
  const { region, window: w } = scene;
  if (!region || !view.exceedsCrop) return;
  const { case_key } = page.entry.read;
  const index = region.low[view.axes.through] + view.index;
  const query = new URLSearchParams({ plane: view.plane, index, low_hu: w.low_hu, high_hu: w.high_hu });
  const address = `/api/cases/${case_key}/slice?${query}`;
  if (view.wanted === address) return;
  view.wanted = address;
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    view.wanted = null; // no network: black until there is one
    return;
  }
  if (view.wanted !== address) return;
  view.backdrop = { image, index };
  redraw();
}

/** Forget the pictures of another case. */
export function dropBackdrops() {
  for (const view of Object.values(views)) view.backdrop = view.wanted = null;
}
