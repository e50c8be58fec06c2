// Mouse, pen and finger on a plane: draw, measure, window, pan, put the cursor.

import { ended, ensure, follow, jump } from "./crops.js";
import { refreshTools, say } from "./panel.js";
import { inScan, page, redraw, scene } from "./room.js";
import { brushAt, move, zoom } from "./tools.js";

const BESIDE_MM = 10; // what must be there around the brush before a stroke begins
const PEN_ERASER = 32;

export function listen(view) {
  const { canvas } = view;
  let drag = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (!scene.region || drag) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    const voxel = view.toVoxel(event);
    view.pointer = voxel;
    drag = begin(view, event, voxel);
  });

  canvas.addEventListener("pointermove", (event) => {
    page.watch.input();
    if (!scene.region) return;
    // Between two frames a pointer moves several times; a quick curve must not become a chord.
    const moves = drag?.kind === "brush" ? (event.getCoalescedEvents?.() ?? []) : [];
    for (const one of moves.length ? moves : [event]) follows(view, drag, one);
    redraw();
  });

  const finish = () => {
    if (drag?.kind === "brush") {
      page.editor.end(drag.options.value ? "brush" : "eraser");
      ended();
    }
    if (drag?.kind === "cursor") follow();
    drag = null;
    redraw();
    refreshTools();
  };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => {
    view.pointer = null;
    redraw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      page.watch.input();
      event.preventDefault();
      if (!scene.region) return;
      if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, view.toVoxel(event));
      else move(view, [0, 0, event.deltaY < 0 ? 1 : -1]);
    },
    { passive: false },
  );
}

function begin(view, event, voxel) {
  const from = { x: event.clientX, y: event.clientY };
  if (page.measuring) {
    const at = voxel.map((v, a) => (a === view.axes.through ? view.index : v));
    scene.ruler = { plane: view.plane, from: at, to: at };
    return { kind: "measure", from: at };
  }
  if (event.button === 2) return { kind: "window", ...from, start: { ...scene.window } };
  if (event.button === 1 || event.ctrlKey) return { kind: "pan", ...from, start: [...view.pan] };
  if (!scene.brush.on) {
    putCursor(view, voxel);
    return { kind: "cursor" };
  }
  scene.brush.swapped = event.shiftKey || Boolean(event.buttons & PEN_ERASER);
  const options = brushAt(voxel);
  if (!canDraw(voxel, options.radius)) return null;
  page.drawing = true;
  page.editor.begin();
  page.editor.draw(view.plane, voxel, voxel, options);
  return { kind: "brush", at: voxel, options };
}

/** Whether the crop holds what a stroke here may touch; if not, it is fetched and nothing drawn. */
function canDraw(voxel, radius) {
  const { region } = scene;
  const near = voxel.map((v, a) => Math.min(region.dims[a] - 1, Math.max(0, v)));
  const outside = voxel.some((v, a) => Math.abs(v - near[a]) > 0.5);
  if (outside) {
    jump(inScan(voxel)).then(() => say(""), (error) => say(error.message));
    say("Fetching that part of the scan; then draw.");
    return false;
  }
  ensure(near, radius + BESIDE_MM).catch(() => {});
  return true;
}

function follows(view, drag, event) {
  const voxel = view.toVoxel(event);
  view.pointer = voxel;
  if (!drag) {
    scene.brush.swapped = event.shiftKey;
    return;
  }
  if (drag.kind === "brush") {
    page.editor.draw(view.plane, drag.at, voxel, drag.options);
    drag.at = voxel;
  } else if (drag.kind === "measure") {
    const to = voxel.map((v, a) => (a === view.axes.through ? view.index : v));
    scene.ruler = { plane: view.plane, from: drag.from, to };
  } else if (drag.kind === "pan") {
    const mm = view.canvas.width / view.canvas.clientWidth / view.scale;
    view.pan = [drag.start[0] + (event.clientX - drag.x) * mm, drag.start[1] + (event.clientY - drag.y) * mm];
  } else if (drag.kind === "window") {
    const { low_hu, high_hu } = drag.start;
    const width = Math.max(10, high_hu - low_hu + 2 * (event.clientX - drag.x));
    const level = (high_hu + low_hu) / 2 + (event.clientY - drag.y);
    scene.window = { low_hu: level - width / 2, high_hu: level + width / 2 };
  } else putCursor(view, voxel);
}

function putCursor(view, voxel) {
  const { across, down } = view.axes;
  const { region } = scene;
  if (![across, down].every((a) => voxel[a] > -1 && voxel[a] < region.dims[a])) {
    jump(inScan(voxel)).catch((error) => say(error.message));
    return;
  }
  for (const axis of [across, down]) {
    scene.cursor[axis] = Math.min(region.dims[axis] - 1, Math.max(0, Math.round(voxel[axis])));
  }
}
