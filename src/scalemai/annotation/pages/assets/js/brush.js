// Which voxels a brush touches. Radii are in mm; voxels need not be cubes.

/** Axes of a plane: across and down the screen, and through it; whether down runs backwards. */
export const PLANES = {
  axial: { across: 0, down: 1, through: 2, flip: false },
  coronal: { across: 0, down: 2, through: 1, flip: true },
  sagittal: { across: 1, down: 2, through: 0, flip: true },
};

/**
 * Call `touch(place)` for every voxel that a brush touches on its way between two points: those
 * whose centres lie within its radius of the line, and the one that its end is in.
 *
 * @param region the crop
 * @param plane name of the plane that is drawn in; a flat brush stays in its slice
 * @param from, to ends in voxels of the crop (centres are whole numbers)
 * @param options radius in mm, and `solid` for a ball instead of a disc
 */
export function sweep(region, plane, from, to, { radius, solid }, touch) {
  const { through } = PLANES[plane];
  const step = region.spacing;
  const low = [];
  const high = [];
  for (let a = 0; a < 3; a++) {
    const reach = radius / step[a];
    low[a] = Math.max(0, Math.ceil(Math.min(from[a], to[a]) - reach));
    high[a] = Math.min(region.dims[a] - 1, Math.floor(Math.max(from[a], to[a]) + reach));
    if (a === through && !solid) low[a] = high[a] = Math.round(from[a]);
  }
  const weight = step.map((mm, a) => (a === through && !solid ? 0 : mm));
  const line = [0, 1, 2].map((a) => (to[a] - from[a]) * weight[a]);
  const length2 = line[0] ** 2 + line[1] ** 2 + line[2] ** 2;
  const limit = radius * radius;
  const nearest = to.map(Math.round); // a brush finer than a voxel still draws one
  for (let z = low[2]; z <= high[2]; z++) {
    const dz = (z - from[2]) * weight[2];
    for (let y = low[1]; y <= high[1]; y++) {
      const dy = (y - from[1]) * weight[1];
      for (let x = low[0]; x <= high[0]; x++) {
        const dx = (x - from[0]) * weight[0];
        const along = dx * line[0] + dy * line[1] + dz * line[2];
        const share = length2 ? Math.min(1, Math.max(0, along / length2)) : 0;
        const away2 =
          (dx - share * line[0]) ** 2 + (dy - share * line[1]) ** 2 + (dz - share * line[2]) ** 2;
        if (away2 <= limit) touch(region.at(x, y, z));
      }
    }
  }
  if (nearest.every((v, a) => v >= 0 && v < region.dims[a])) touch(region.at(...nearest));
}

/** Set or clear what a brush touches; `range` [low, high] in HU limits what is set. How many changed. */
export function stroke(region, mask, plane, from, to, { value, range, ...shape }) {
  let changed = 0;
  sweep(region, plane, from, to, shape, (place) => {
    if (mask[place] === value || !draws(region, place, value, range)) return;
    mask[place] = value;
    changed++;
  });
  return changed;
}

/** Whether a voxel that the brush touches is drawn: an eraser takes all, a brush what is in range. */
export function draws(region, place, value, range) {
  return !value || !range || (region.ct[place] >= range[0] && region.ct[place] <= range[1]);
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
