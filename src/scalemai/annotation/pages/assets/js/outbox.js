// Events on their way to the server. They are kept in the browser until the server has
// acknowledged them, and are sent in their order, read by read; sending one twice does nothing. So
// neither a network that is down nor a page that is closed loses a stroke.

import { Refused, post } from "./server.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const AT_ONCE = 50;

function promised(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class Outbox extends EventTarget {
  /** Use `Outbox.open(reader)`. Fires "change", "acknowledged" and "refused". */
  constructor(database) {
    super();
    this.database = database;
    this.sending = null;
    this.wait = FIRST_WAIT_MS;
    this.atOnce = AT_ONCE;
    this.online = true;
    this.adding = 0; // events that are on their way into the browser's database
    this.revisions = new Map(); // read -> revision that the server is known to be at
  }

  static async open(readerId) {
    const request = indexedDB.open(`scalemai-${location.host}-${readerId}`, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("events", { autoIncrement: true });
    };
    const outbox = new Outbox(await promised(request));
    window.addEventListener("online", () => outbox.flush());
    outbox.flush();
    return outbox;
  }

  store(mode) {
    return this.database.transaction("events", mode).objectStore("events");
  }

  /** How many events the server has not acknowledged. */
  async waiting() {
    return this.adding + (await promised(this.store("readonly").count()));
  }

  /** Reads of which something is not acknowledged. */
  async reads() {
    const kept = await promised(this.store("readonly").getAll());
    return [...new Set(kept.map(({ readId }) => readId))];
  }

  /** Keep an event, and send it when its turn comes. */
  async add(read, event) {
    if (!this.revisions.has(read.read_id)) this.revisions.set(read.read_id, read.revision);
    const kept = { readId: read.read_id, lease: read.lease, revision: read.revision, event };
    this.adding++;
    this.dispatchEvent(new Event("change"));
    try {
      const store = this.store("readwrite");
      const added = promised(store.add(kept));
      store.transaction.commit(); // even if the page is closed this instant
      await added;
    } finally {
      this.adding--;
    }
    this.dispatchEvent(new Event("change"));
    this.flush();
  }

  /** Send what is kept; returns when all of it is acknowledged or the network is down. */
  flush() {
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async sendAll() {
    for (;;) {
      const batch = await this.nextBatch();
      if (!batch.length) return;
      const { readId, lease, revision } = batch[0].value;
      const at = this.revisions.get(readId) ?? revision;
      const events = batch.map(({ value }) => value.event);
      try {
        const answer = await post(`/api/reads/${readId}/events`, { lease, revision: at, events });
        await this.remove(batch);
        this.revisions.set(readId, answer.read.revision);
        this.wait = FIRST_WAIT_MS;
        this.atOnce = AT_ONCE;
        this.setOnline(true);
        this.tell("acknowledged", { readId, read: answer.read, events });
      } catch (error) {
        const said = error instanceof Refused && error.status < 500 && error.status !== 401;
        if (said && error.kind === "stale" && error.revision !== at) {
          // An answer of the server was lost, or the page closed before it came. Nobody else
          // writes to a read that is held here, so what is kept goes on from where the server is.
          this.revisions.set(readId, error.revision);
          continue;
        }
        if (said && batch.length > 1) {
          this.atOnce = 1; // so that only what is wrong is refused
          continue;
        }
        if (said) {
          await this.remove(batch);
          this.atOnce = AT_ONCE;
          this.tell("refused", { readId, error, events });
          continue;
        }
        this.setOnline(false);
        await new Promise((resolve) => setTimeout(resolve, this.wait));
        this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
      }
    }
  }

  /** The oldest events that belong to one read. */
  async nextBatch() {
    const store = this.store("readonly");
    const batch = [];
    await new Promise((resolve, reject) => {
      const request = store.openCursor();
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        const mine = cursor && (!batch.length || batch[0].value.readId === cursor.value.readId);
        if (!cursor || !mine || batch.length === this.atOnce) return resolve();
        batch.push({ key: cursor.key, value: cursor.value });
        cursor.continue();
      };
    });
    return batch;
  }

  async remove(batch) {
    const store = this.store("readwrite");
    for (const { key } of batch) store.delete(key);
    await new Promise((resolve, reject) => {
      store.transaction.oncomplete = resolve;
      store.transaction.onerror = () => reject(store.transaction.error);
    });
    this.dispatchEvent(new Event("change"));
  }

  setOnline(online) {
    if (this.online === online) return;
    this.online = online;
    this.dispatchEvent(new Event("change"));
  }

  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
