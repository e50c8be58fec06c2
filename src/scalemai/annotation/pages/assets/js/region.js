// A crop of a scan with its masks, as the server sends it. Arrays run along x first; x grows to the
// patient's left, y to his back, z to his head. Voxels have numbers in the whole scan:
// x + nx * (y + ny * z). Nothing here knows where in the patient a voxel lies; the server does.

import { getBytes } from "./server.js";

const ARRAYS = { int16: Int16Array, uint8: Uint8Array };

export class Region {
  constructor(header, layers) {
    this.low = header.low; // its first voxel in the scan
    this.dims = header.dims;
    this.spacing = header.spacing_mm;
    this.shape = header.shape; // of the whole scan
    this.revision = header.revision;
    this.structureNames = header.structures;
    this.ct = layers.ct;
    this.mask = layers.mask;
    this.others = layers.others;
    this.structures = layers.structures;
    this.first = layers.first; // the two earlier reads, for who settles them
    this.second = layers.second;
  }

  get size() {
    return this.dims[0] * this.dims[1] * this.dims[2];
  }

  /** Place of a voxel of the crop in its arrays. */
  at(x, y, z) {
    return x + this.dims[0] * (y + this.dims[1] * z);
  }

  /** Whether a voxel, by its indices in the whole scan, is in the crop. */
  has(voxel) {
    return voxel.every((v, a) => v >= this.low[a] && v < this.low[a] + this.dims[a]);
  }

  /** Runs [start, length, ...] of the voxels of a mask, numbered in the scan. */
  runs(mask) {
    const places = [];
    for (let place = 0; place < mask.length; place++) if (mask[place]) places.push(place);
    return this.numbered(places);
  }

  /** The patch from one mask of the crop to another. */
  patch(before, after) {
    const set = [];
    const clear = [];
    for (let place = 0; place < after.length; place++) {
      if (after[place] !== before[place]) (after[place] ? set : clear).push(place);
    }
    return { set: this.numbered(set), clear: this.numbered(clear) };
  }

  /** Runs of ascending places of the crop, numbered in the scan. */
  numbered(places) {
    const [nx, ny] = this.dims;
    const [sx, sy] = this.shape;
    const pairs = [];
    let end = -1;
    for (const place of places) {
      const x = this.low[0] + (place % nx);
      const y = this.low[1] + (Math.floor(place / nx) % ny);
      const z = this.low[2] + Math.floor(place / (nx * ny));
      const number = x + sx * (y + sy * z);
      if (number === end) pairs[pairs.length - 1]++;
      else pairs.push(number, 1);
      end = number + 1;
    }
    return pairs;
  }

  /** Write `value` to the voxels of runs that lie in the crop. */
  paint(mask, pairs, value) {
    const [nx, ny, nz] = this.dims;
    const [sx, sy] = this.shape;
    for (let n = 0; n < pairs.length; n += 2) {
      for (let number = pairs[n]; number < pairs[n] + pairs[n + 1]; number++) {
        const x = (number % sx) - this.low[0];
        const y = (Math.floor(number / sx) % sy) - this.low[1];
        const z = Math.floor(number / (sx * sy)) - this.low[2];
        if (x >= 0 && y >= 0 && z >= 0 && x < nx && y < ny && z < nz) {
          mask[this.at(x, y, z)] = value;
        }
      }
    }
  }
}

/** A crop from the bytes of the server: two uint32 (length of the header, 0), header, arrays. */
export function parseRegion(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const layers = {};
  let offset = 8 + length;
  for (const { name, type, bytes } of header.layers) {
    const Kind = ARRAYS[type];
    layers[name] = new Kind(buffer.slice(offset, offset + bytes));
    offset += bytes;
  }
  return new Region(header, layers);
}

/** The crop around a voxel of a read, so wide in the axial plane and so deep through it. */
export async function fetchRegion(read, centre, { sizeMm, depthMm = sizeMm }) {
  const [i, j, k] = centre;
  const query = new URLSearchParams({ i, j, k, size_mm: sizeMm, depth_mm: depthMm });
  return parseRegion(await getBytes(`/api/reads/${read.read_id}/region?${query}`));
}
