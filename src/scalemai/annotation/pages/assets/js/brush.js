// Which voxels a brush touches. Radii are in mm; voxels need not be cubes.

/** Axes of a plane: across and down the screen, and through it; whether down runs backwards. */
export const PLANES = {
  axial: { across: 0, down: 1, through: 2, flip: false },
  coronal: { across: 0, down: 2, through: 1, flip: true },
  sagittal: { across: 1, down: 2, through: 0, flip: true },
};

/**
 * Set or clear the voxels whose centres lie within a radius of a line between two points.
 *
 * @param region the crop
 * @param mask its mask, changed in place
 * @param plane name of the plane that is drawn in; a flat brush stays in its slice
 * @param from, to ends in voxels of the crop (centres are whole numbers)
 * @param options radius in mm, `solid` for a ball instead of a disc, `value` 1 or 0, and
 *   `range` [low, high] in HU that voxels must lie in to be set
 * @returns how many voxels changed
 */
export function stroke(region, mask, plane, from, to, { radius, solid, value, range }) {
  const { through } = PLANES[plane];
  const step = region.spacing;
  const low = [];
  const high = [];
  for (let a = 0; a < 3; a++) {
    const reach = a === through && !solid ? 0 : radius / step[a];
    low[a] = Math.max(0, Math.ceil(Math.min(from[a], to[a]) - reach));
    high[a] = Math.min(region.dims[a] - 1, Math.floor(Math.max(from[a], to[a]) + reach));
    if (a === through && !solid) low[a] = high[a] = Math.round(from[a]);
  }
  const line = [0, 1, 2].map((a) => (to[a] - from[a]) * step[a]);
  const length2 = line.reduce((sum, d) => sum + d * d, 0);
  const limit = radius * radius;
  let changed = 0;
  const set = (place) => {
    if (mask[place] === value) return;
    if (value && range && (region.ct[place] < range[0] || region.ct[place] > range[1])) return;
    mask[place] = value;
    changed++;
  };
  for (let z = low[2]; z <= high[2]; z++) {
    for (let y = low[1]; y <= high[1]; y++) {
      for (let x = low[0]; x <= high[0]; x++) {
        const at = [(x - from[0]) * step[0], (y - from[1]) * step[1], (z - from[2]) * step[2]];
        if (!solid) at[through] = 0;
        const along = at.reduce((sum, d, a) => sum + d * (a === through && !solid ? 0 : line[a]), 0);
        const share = length2 ? Math.min(1, Math.max(0, along / length2)) : 0;
        let distance2 = 0;
        for (let a = 0; a < 3; a++) {
          const d = at[a] - share * (a === through && !solid ? 0 : line[a]);
          distance2 += d * d;
        }
        if (distance2 <= limit) set(region.at(x, y, z));
      }
    }
  }
  const nearest = to.map(Math.round); // a brush finer than a voxel still draws one
  if (nearest.every((v, a) => v >= 0 && v < region.dims[a])) set(region.at(...nearest));
  return changed;
}

/** Fill what the mask encloses in one slice of a plane; how many voxels were set. */
export function fillSlice(region, mask, plane, index) {
  const { across, down, through } = PLANES[plane];
  const [nu, nv] = [region.dims[across], region.dims[down]];
  const place = (u, v) => {
    const voxel = [0, 0, 0];
    voxel[across] = u;
    voxel[down] = v;
    voxel[through] = index;
    return region.at(...voxel);
  };
  const outside = new Uint8Array(nu * nv);
  const stack = [];
  const visit = (u, v) => {
    if (u < 0 || v < 0 || u >= nu || v >= nv || outside[u + nu * v] || mask[place(u, v)]) return;
    outside[u + nu * v] = 1;
    stack.push(u, v);
  };
  for (let u = 0; u < nu; u++) {
    visit(u, 0);
    visit(u, nv - 1);
  }
  for (let v = 0; v < nv; v++) {
    visit(0, v);
    visit(nu - 1, v);
  }
  while (stack.length) {
    const v = stack.pop();
    const u = stack.pop();
    visit(u + 1, v);
    visit(u - 1, v);
    visit(u, v + 1);
    visit(u, v - 1);
  }
  let changed = 0;
  for (let v = 0; v < nv; v++) {
    for (let u = 0; u < nu; u++) {
      const at = place(u, v);
      if (!outside[u + nu * v] && !mask[at]) {
        mask[at] = 1;
        changed++;
      }
    }
  }
  return changed;
}
