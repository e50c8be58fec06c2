// What is on the screen and what it is about: the one state that the parts of the page share.

export const scene = {
  region: null, // the crop
  mask: null,
  cursor: [0, 0, 0], // voxel of the crop
  camera: null, // voxel of the whole scan that is in the middle of the planes
  extent: null, // mm that the planes show along each axis
  window: null,
  zoom: 1,
  shown: { mask: true, others: true, structures: true, first: true, second: true, cursor: true },
  brush: { on: false, erase: false, swapped: false, solid: false, alike: false, radius: 4, within: 30 },
  ruler: null,
};

export const page = {
  me: null,
  queue: null,
  outbox: null,
  watch: null,
  entry: null, // the read on the screen: {read, region, editor, ...}
  editor: null,
  past: [], // what was decided, for taking it back
  measuring: false,
  drawing: false, // a stroke is under way
};

/** Views of the planes, by name. */
export const views = {};

/** What is called before each drawing of the views. */
export const onDraw = [];

export const $ = (id) => document.getElementById(id);

let scheduled = 0;

/** Draw all planes with the next frame of the screen, once however often it is asked for. */
export function redraw() {
  scheduled ||= requestAnimationFrame(() => {
    scheduled = 0;
    for (const call of onDraw) call();
    for (const view of Object.values(views)) view.draw();
  });
}

/** The view under the pointer or with the focus; the axial one otherwise. */
export function active() {
  const all = Object.values(views);
  return (
    all.find((view) => view.pointer) ??
    all.find((view) => view.canvas === document.activeElement) ??
    views.axial
  );
}

/** Where tools work: the voxel under the pointer, or the cursor; of the crop. */
export function pointed() {
  const { region, cursor } = scene;
  const place = (active().pointer ?? cursor).map(Math.round);
  return place.every((v, a) => v >= 0 && v < region.dims[a]) ? place : [...cursor];
}

/** A voxel of the crop as one of the whole scan. */
export function inScan(voxel) {
  return voxel.map((v, a) => v + scene.region.low[a]);
}
