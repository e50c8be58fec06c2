// What is drawn in the search of a scan, before it is recorded as a lesion: kept in the browser.

const name = (readId) => `sketch ${location.host} ${readId}`;

export function keepSketch(readId, runs) {
  try {
    if (runs.length) localStorage.setItem(name(readId), JSON.stringify(runs));
    else localStorage.removeItem(name(readId));
  } catch {
    // the browser keeps nothing, or no more: the drawing is still on the screen
  }
}

export function keptSketch(readId) {
  try {
    return JSON.parse(localStorage.getItem(name(readId)) ?? "[]");
  } catch {
    return [];
  }
}
