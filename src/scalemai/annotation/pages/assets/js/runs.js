// Sets of voxels as runs [start, length, start, length, ...]: sorted, none touching the next.

/** Voxels of either set. */
export function plus(a, b) {
  const result = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const fromA = j >= b.length || (i < a.length && a[i] <= b[j]);
    const [start, length] = fromA ? [a[i], a[i + 1]] : [b[j], b[j + 1]];
    if (fromA) i += 2;
    else j += 2;
    const last = result.length - 2;
    if (last >= 0 && start <= result[last] + result[last + 1]) {
      result[last + 1] = Math.max(result[last + 1], start + length - result[last]);
    } else result.push(start, length);
  }
  return result;
}

/** Voxels of the first set that are not in the second. */
export function minus(a, b) {
  const result = [];
  for (let i = 0, j = 0; i < a.length; i += 2) {
    let start = a[i];
    const end = start + a[i + 1];
    while (j < b.length && b[j] + b[j + 1] <= start) j += 2;
    for (let k = j; k < b.length && b[k] < end; k += 2) {
      if (b[k] > start) result.push(start, b[k] - start);
      start = Math.max(start, b[k] + b[k + 1]);
    }
    if (start < end) result.push(start, end - start);
  }
  return result;
}
