// One plane of a scan on a canvas: CT in its window, outlines of masks, cursor and brush.

import { PLANES } from "./brush.js";

const COLOURS = { mask: "#ffd447", others: "#57b6ff", structures: "#7bd88f", first: "#ff7b9c", second: "#b18cff" };
const EDGE = 1.5;

export class View {
  /** @param scene what all views share: region, cursor, window, zoom, shown layers, brush */
  constructor(canvas, plane, scene) {
    this.canvas = canvas;
    this.plane = plane;
    this.axes = PLANES[plane];
    this.scene = scene;
    this.pan = [0, 0]; // mm
    this.pointer = null; // voxel under the pointer, while it is on this view
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
    const { region, zoom } = this.scene;
    const { across, down } = this.axes;
    const width = region.dims[across] * region.spacing[across];
    const height = region.dims[down] * region.spacing[down];
    return zoom * Math.min(this.canvas.width / width, this.canvas.height / height);
  }

  /** Place on the canvas of a point of the plane, in voxels (corners lie at halves). */
  toCanvas(u, v) {
    const { region, cursor, zoom } = this.scene;
    const { across, down, flip } = this.axes;
    const middle = (axis) =>
      zoom > 1 ? cursor[axis] : (region.dims[axis] - 1) / 2; // zoomed in, the cursor stays central
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

  draw() {
    const { region, shown } = this.scene;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!region) return;
    this.drawCt(context);
    for (const layer of ["structures", "others", "first", "second", "mask"]) {
      const array = layer === "mask" ? this.scene.mask : region[layer];
      if (array && shown[layer]) this.drawOutline(context, array, layer);
    }
    if (shown.cursor) this.drawCursor(context);
    this.drawBrush(context);
    this.drawRuler(context);
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
    const [x0, y0] = this.toCanvas(-0.5, -0.5);
    const [x1, y1] = this.toCanvas(nu - 0.5, nv - 0.5);
    context.save();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.setTransform((x1 - x0) / nu, 0, 0, (y1 - y0) / nv, x0, y0);
    context.drawImage(this.picture, 0, 0);
    context.restore();
  }

  /** Edges between voxels of different value, as they are: what is drawn is what is stored. */
  drawOutline(context, array, layer) {
    const { region } = this.scene;
    const { across, down, through } = this.axes;
    const strides = [1, region.dims[0], region.dims[0] * region.dims[1]];
    const [nu, nv] = [region.dims[across], region.dims[down]];
    const base = this.index * strides[through];
    const value = (u, v) =>
      u < 0 || v < 0 || u >= nu || v >= nv ? 0 : array[base + u * strides[across] + v * strides[down]];
    context.beginPath();
    for (let v = 0; v <= nv; v++) {
      for (let u = 0; u <= nu; u++) {
        const here = value(u, v);
        if (here !== value(u - 1, v) && v < nv) this.edge(context, u - 0.5, v - 0.5, u - 0.5, v + 0.5);
        if (here !== value(u, v - 1) && u < nu) this.edge(context, u - 0.5, v - 0.5, u + 0.5, v - 0.5);
      }
    }
    context.strokeStyle = COLOURS[layer];
    context.globalAlpha = layer === "structures" ? 0.5 : 0.95;
    context.lineWidth = EDGE * (window.devicePixelRatio || 1);
    context.setLineDash(layer === "others" ? [5, 3] : []);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  edge(context, u0, v0, u1, v1) {
    context.moveTo(...this.toCanvas(u0, v0));
    context.lineTo(...this.toCanvas(u1, v1));
  }

  drawCursor(context) {
    const { cursor } = this.scene;
    const [x, y] = this.toCanvas(cursor[this.axes.across], cursor[this.axes.down]);
    const gap = 14 * (window.devicePixelRatio || 1);
    context.strokeStyle = "rgba(255,255,255,0.35)";
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

  drawBrush(context) {
    const { brush } = this.scene;
    if (!brush.on || !this.pointer) return;
    const [x, y] = this.toCanvas(this.pointer[this.axes.across], this.pointer[this.axes.down]);
    context.strokeStyle = brush.erase ? "#ff6b6b" : COLOURS.mask;
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
    context.strokeStyle = context.fillStyle = "rgba(255,255,255,0.8)";
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
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = ratio;
    context.beginPath();
    context.moveTo(...ends[0]);
    context.lineTo(...ends[1]);
    context.stroke();
    const mm = Math.hypot(...[0, 1, 2].map((a) => (ruler.to[a] - ruler.from[a]) * region.spacing[a]));
    context.fillText(`${mm.toFixed(1)} mm`, ends[1][0] + 6 * ratio, ends[1][1] - 6 * ratio);
  }
}
