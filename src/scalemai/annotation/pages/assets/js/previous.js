// The patient's previous scan beside the current one: the axial slice at the same height in mm.

import { $, inScan, page, scene, views } from "./room.js";
import { get } from "./server.js";

const REST_MS = 60;
let shown = null; // {key, shape, spacing, link, offset, index, image}
let timer = 0;

/** Show the previous scan of a read's case, if there is one. */
export async function showPrevious(read) {
  shown = null;
  const key = read?.previous_key ?? null;
  $("previous-figure").hidden = !key;
  document.body.dataset.previous = key ? "1" : "";
  if (!key) return;
  try {
    const [then, now] = await Promise.all([key, read.case_key].map((k) => get(`/api/cases/${k}`)));
    if (page.entry?.read !== read) return;
    const link = times(inverse(then.affine), now.affine);
    shown = { key, shape: then.shape, spacing: then.spacing_mm, link, offset: 0 };
    refreshPrevious();
  } catch {
    $("at-previous").textContent = "cannot be shown";
  }
}

/** Scroll it alone, when the patient lay otherwise. */
export function shift(slices) {
  if (!shown) return;
  shown.offset += slices;
  refreshPrevious();
}

/** Draw it for where the cursor is now; its slice is fetched when the cursor rests. */
export function refreshPrevious() {
  if (!shown || !scene.region) return;
  const place = apply(shown.link, inScan(scene.cursor));
  const index = Math.round(place[2]) + shown.offset;
  const there = index >= 0 && index < shown.shape[2];
  const moved = shown.offset ? ` (${shown.offset > 0 ? "+" : ""}${shown.offset})` : "";
  $("at-previous").textContent = there ? `${index + 1} / ${shown.shape[2]}${moved}` : "ends here";
  draw(place, there);
  clearTimeout(timer);
  if (there) timer = setTimeout(() => load(index), REST_MS);
}

async function load(index) {
  const mine = shown;
  if (!mine || !scene.region) return;
  const { low_hu, high_hu } = scene.window;
  const query = new URLSearchParams({ plane: "axial", index, low_hu, high_hu });
  const address = `/api/cases/${mine.key}/slice?${query}`;
  if (mine.address === address) return;
  mine.address = address;
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    mine.address = null;
    return;
  }
  if (shown !== mine || mine.address !== address) return;
  mine.image = image;
  refreshPrevious();
}

function draw(place, there) {
  const canvas = $("previous");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  const context = canvas.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (!there || !shown.image) return;
  const { axial } = views;
  const s = axial.scale; // the same size on the screen as the scan beside it
  const [cx, cy] = axial.toCanvas(scene.cursor[0], scene.cursor[1]);
  const x = canvas.width / 2 + cx - axial.canvas.width / 2;
  const y = canvas.height / 2 + cy - axial.canvas.height / 2;
  const mm = [0, 1].map((a) => shown.spacing[a] * s);
  context.imageSmoothingQuality = "high";
  context.drawImage(
    shown.image,
    x - (place[0] + 0.5) * mm[0],
    y - (place[1] + 0.5) * mm[1],
    shown.shape[0] * mm[0],
    shown.shape[1] * mm[1],
  );
  context.strokeStyle = "rgba(180,189,199,0.28)";
  context.beginPath();
  context.moveTo(x - 24 * ratio, y);
  context.lineTo(x - 10 * ratio, y);
  context.moveTo(x + 10 * ratio, y);
  context.lineTo(x + 24 * ratio, y);
  context.moveTo(x, y - 24 * ratio);
  context.lineTo(x, y - 10 * ratio);
  context.moveTo(x, y + 10 * ratio);
  context.lineTo(x, y + 24 * ratio);
  context.stroke();
}

function apply(m, v) {
  return [0, 1, 2].map((r) => m[r][0] * v[0] + m[r][1] * v[1] + m[r][2] * v[2] + m[r][3]);
}

function times(a, b) {
  return [0, 1, 2].map((r) =>
    [0, 1, 2, 3].map((c) => a[r][0] * b[0][c] + a[r][1] * b[1][c] + a[r][2] * b[2][c] + (c === 3 ? a[r][3] : 0)),
  );
}

function inverse(m) {
  const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
  const column = (c) => [m[0][c], m[1][c], m[2][c]];
  const [a, b, c] = [0, 1, 2].map(column);
  const rows = [cross(b, c), cross(c, a), cross(a, b)];
  const volume = a.reduce((sum, v, n) => sum + v * rows[0][n], 0);
  return rows.map((row) => {
    const line = row.map((v) => v / volume);
    return [...line, -line.reduce((sum, v, n) => sum + v * m[n][3], 0)];
  });
}
