// One plane of a scan on a canvas: CT in its window, outlines of masks, cursor and brush.

import { PLANES, draws, sweep } from "./brush.js";

const COLOURS = {
  mask: "#e6bf3f",
  others: "#5a9fd6",
  structures: "#7f9a8c",
  first: "#e0809a",
  second: "#9c86dd",
};
const ERASER = "#d9706a";
const TEXT = "#b4bdc7";
/** Of every four voxels along an outline, those whose edges are drawn, so that lines on one another show. */
const DASHES = { others: [0, 1], first: [0], second: [2] };
const EDGE = 1.5;

export class View {
  /**
   * @param scene what all views share: region, cursor, window, zoom, shown layers, brush; `camera`
   *   (voxel of the scan in the middle) and `extent` (mm shown) are those of the crop if absent
   */
  constructor(canvas, plane, scene) {
    this.canvas = canvas;
    this.plane = plane;
    this.axes = PLANES[plane];
    this.scene = scene;
    this.pan = [0, 0]; // mm
    this.pointer = null; // voxel under the pointer, while it is on this view
    this.backdrop = null; // {image, index}: the whole slice, shown around the crop
    this.picture = document.createElement("canvas");
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  fit() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.draw();
  }

  get index() {
    return this.scene.cursor[this.axes.through];
  }

  /** Pixels of the canvas per mm. */
  get scale() {
    const { region, zoom, extent } = this.scene;
    const mm = (axis) => extent?.[axis] ?? region.dims[axis] * region.spacing[axis];
    const { across, down } = this.axes;
    return zoom * Math.min(this.canvas.width / mm(across), this.canvas.height / mm(down));
  }

  /** Place on the canvas of a point of the plane, in voxels (corners lie at halves). */
  toCanvas(u, v) {
    const { region, cursor, zoom, camera } = this.scene;
    const { across, down, flip } = this.axes;
    const middle = (axis) => {
      if (camera) return camera[axis] - region.low[axis];
      return zoom > 1 ? cursor[axis] : (region.dims[axis] - 1) / 2;
    };
    const s = this.scale;
    const x = ((u - middle(across)) * region.spacing[across] + this.pan[0]) * s;
    const y = ((v - middle(down)) * region.spacing[down] * (flip ? -1 : 1) + this.pan[1]) * s;
    return [this.canvas.width / 2 + x, this.canvas.height / 2 + y];
  }

  /** Voxel (fractions allowed) of the crop at a place of the page. */
  toVoxel(event) {
    const box = this.canvas.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * this.canvas.width;
    const py = ((event.clientY - box.top) / box.height) * this.canvas.height;
    const { across, down, through } = this.axes;
    const [x0, y0] = this.toCanvas(0, 0);
    const [x1, y1] = this.toCanvas(1, 1);
    const voxel = [0, 0, 0];
    voxel[across] = (px - x0) / (x1 - x0);
    voxel[down] = (py - y0) / (y1 - y0);
    voxel[through] = this.index;
    return voxel;
  }

  /** Whether the plane shows more than the crop holds. */
  get exceedsCrop() {
    const { region } = this.scene;
    const { across, down } = this.axes;
    const [x0, y0] = this.toCanvas(-0.5, -0.5);
    const [x1, y1] = this.toCanvas(region.dims[across] - 0.5, region.dims[down] - 0.5);
    const { width, height } = this.canvas;
    const more = (axis) => region.dims[axis] < region.shape[axis];
    return (
      (more(across) && (x0 > 0 || x1 < width)) ||
      (more(down) && (Math.min(y0, y1) > 0 || Math.max(y0, y1) < height))
    );
  }

  draw() {
    const { region, shown } = this.scene;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!region) return;
    this.drawBackdrop(context);
    this.drawCt(context);
    for (const layer of ["structures", "others", "mask", "first", "second"]) {
      const array = layer === "mask" ? this.scene.mask : region[layer];
      if (array && shown[layer]) this.drawOutline(context, array, layer);
    }
    if (shown.cursor) this.drawCursor(context);
    this.drawBrush(context);
    this.drawRuler(context);
  }

  drawBackdrop(context) {
    const { region } = this.scene;
    const { across, down, through, flip } = this.axes;
    if (!this.backdrop || this.backdrop.index !== region.low[through] + this.index) return;
    const from = (axis) => -region.low[axis] - 0.5;
    const to = (axis) => region.shape[axis] - region.low[axis] - 0.5;
    const [x0, y0] = this.toCanvas(from(across), flip ? to(down) : from(down));
    const [x1, y1] = this.toCanvas(to(across), flip ? from(down) : to(down));
    context.drawImage(this.backdrop.image, x0, y0, x1 - x0, y1 - y0);
  }

  drawCt(context) {
    const { region, window: w } = this.scene;
    const { across, down } = this.axes;
    const [nu, nv] = [region.dims[across], region.dims[down]];
    this.picture.width = nu;
    this.picture.height = nv;
    const target = this.picture.getContext("2d");
    const image = target.createImageData(nu, nv);
    const pixels = new Uint32Array(image.data.buffer);
    const gain = 255 / (w.high_hu - w.low_hu);
    const strides = [1, region.dims[0], region.dims[0] * region.dims[1]];
    const first = this.index * strides[this.axes.through];
    for (let v = 0, n = 0; v < nv; v++) {
      let place = first + v * strides[down];
      for (let u = 0; u < nu; u++, n++, place += strides[across]) {
        const grey = Math.min(255, Math.max(0, (region.ct[place] - w.low_hu) * gain)) | 0;
        pixels[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
      }
    }
    target.putImageData(image, 0, 0);
    context.save();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    this.inVoxels(context);
    context.drawImage(this.picture, -0.5, -0.5);
    context.restore();
  }

  /** Let what is drawn next be in voxels of the plane. */
  inVoxels(context) {
    const [x0, y0] = this.toCanvas(0, 0);
    const [x1, y1] = this.toCanvas(1, 1);
    context.setTransform(x1 - x0, 0, 0, y1 - y0, x0, y0);
  }

  /** Edges between voxels of different value, as they are: what is drawn is what is stored. */
  drawOutline(context, array, layer) {
    const { region } = this.scene;
    const { across, down, through } = this.axes;
    const strides = [1, region.dims[0], region.dims[0] * region.dims[1]];
    const [nu, nv] = [region.dims[across], region.dims[down]];
    const [du, dv] = [strides[across], strides[down]];
    const dashes = DASHES[layer];
    context.save();
    this.inVoxels(context);
    context.beginPath();
    for (let v = 0; v < nv; v++) {
      let place = this.index * strides[through] + v * dv;
      for (let u = 0; u < nu; u++, place += du) {
        const here = array[place];
        if (dashes && !dashes.includes((u + v) % 4)) continue;
        if (u && here !== array[place - du]) {
          context.moveTo(u - 0.5, v - 0.5);
          context.lineTo(u - 0.5, v + 0.5);
        }
        if (v && here !== array[place - dv]) {
          context.moveTo(u - 0.5, v - 0.5);
          context.lineTo(u + 0.5, v - 0.5);
        }
      }
    }
    context.restore(); // so that lines are equally wide whatever the spacing
    const organ = layer === "structures";
    context.strokeStyle = COLOURS[layer];
    context.globalAlpha = organ ? 0.45 : 0.95;
    context.lineWidth = (organ ? 1 : EDGE) * (window.devicePixelRatio || 1);
    context.stroke();
    context.globalAlpha = 1;
  }

  drawCursor(context) {
    const { cursor } = this.scene;
    const [x, y] = this.toCanvas(cursor[this.axes.across], cursor[this.axes.down]);
    const gap = 14 * (window.devicePixelRatio || 1);
    context.strokeStyle = "rgba(180,189,199,0.28)";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(x - gap, y);
    context.moveTo(x + gap, y);
    context.lineTo(this.canvas.width, y);
    context.moveTo(x, 0);
    context.lineTo(x, y - gap);
    context.moveTo(x, y + gap);
    context.lineTo(x, this.canvas.height);
    context.stroke();
  }

  /** The brush, and the voxels that it would change in this slice. */
  drawBrush(context) {
    const { region, brush, mask } = this.scene;
    if (!brush.on || !this.pointer) return;
    const erase = brush.erase !== Boolean(brush.swapped);
    const [value, colour] = erase ? [0, ERASER] : [1, COLOURS.mask];
    const { across, down, through } = this.axes;
    const strides = [1, region.dims[0], region.dims[0] * region.dims[1]];
    const range = rangeAt(region, brush, this.pointer);
    context.save();
    this.inVoxels(context);
    context.fillStyle = colour;
    context.globalAlpha = 0.3;
    sweep(region, this.plane, this.pointer, this.pointer, { radius: brush.radius, solid: false }, (place) => {
      if (mask[place] === value || !draws(region, place, value, range)) return;
      const along = (axis) => Math.floor(place / strides[axis]) % region.dims[axis];
      if (along(through) === this.index) context.fillRect(along(across) - 0.5, along(down) - 0.5, 1, 1);
    });
    context.restore();
    const [x, y] = this.toCanvas(this.pointer[across], this.pointer[down]);
    context.strokeStyle = colour;
    context.lineWidth = EDGE;
    context.beginPath();
    context.arc(x, y, brush.radius * this.scale, 0, 2 * Math.PI);
    context.stroke();
  }

  /** A measured line, and a bar of 10 mm. */
  drawRuler(context) {
    const s = this.scale;
    const ratio = window.devicePixelRatio || 1;
    const y = this.canvas.height - 12 * ratio;
    context.strokeStyle = context.fillStyle = TEXT;
    context.lineWidth = 2 * ratio;
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.beginPath();
    context.moveTo(12 * ratio, y);
    context.lineTo(12 * ratio + 10 * s, y);
    context.stroke();
    context.fillText("10 mm", 12 * ratio, y - 5 * ratio);
    const { ruler, region } = this.scene;
    if (!ruler || ruler.plane !== this.plane || ruler.from[this.axes.through] !== this.index) return;
    const ends = [ruler.from, ruler.to].map((p) => this.toCanvas(p[this.axes.across], p[this.axes.down]));
    context.lineWidth = ratio;
    context.beginPath();
    context.moveTo(...ends[0]);
    context.lineTo(...ends[1]);
    context.stroke();
    const mm = Math.hypot(...[0, 1, 2].map((a) => (ruler.to[a] - ruler.from[a]) * region.spacing[a]));
    context.fillText(`${mm.toFixed(1)} mm`, ends[1][0] + 6 * ratio, ends[1][1] - 6 * ratio);
  }
}

/** The HU that a brush which draws only what is alike sets, from the voxel under the pointer. */
export function rangeAt(region, brush, voxel) {
  if (!brush.alike) return undefined;
  const nearest = voxel.map((v, a) => Math.min(region.dims[a] - 1, Math.max(0, Math.round(v))));
  const hu = region.ct[region.at(...nearest)];
  return [hu - brush.within, hu + brush.within];
}
