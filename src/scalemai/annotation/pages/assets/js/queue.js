// Reads that this page holds: the one on the screen and the next ones, whose crops are fetched ahead.

import { cropOf } from "./crops.js";
import { fetchRegion } from "./region.js";
import { post } from "./server.js";

const AHEAD = 3;

/** A read with its crop. */
class Entry {
  constructor(read) {
    this.read = read;
    this.crop = cropOf(read);
    this.fetch();
  }

  fetch() {
    this.region = fetchRegion(this.read, this.read.centre, this.crop);
    this.region.catch(() => {}); // whoever shows it hears of it
    return this.region;
  }

  /** The crop, fetched again if the network was down. */
  async load() {
    try {
      return await this.region;
    } catch {
      return this.fetch();
    }
  }
}

export class Queue {
  constructor(leaseMs, outbox) {
    this.outbox = outbox;
    this.current = null;
    this.held = []; // entries
    this.waiting = 0;
    this.refilling = null;
    this.beat = setInterval(() => this.keep(), Math.max(5000, leaseMs / 4));
  }

  /** The next read with its crop; null if the queue is empty. */
  async next() {
    if (!this.held.length) await this.refill();
    this.current = this.held.shift() ?? null;
    this.refill().catch(() => {}); // it is for later
    return this.current;
  }

  refill() {
    this.refilling ??= this.claim().finally(() => {
      this.refilling = null;
    });
    return this.refilling;
  }

  async claim() {
    // What is decided but not yet acknowledged is still ours, and must not come again. A read may
    // be decided while the outbox is looked at, so what was held before that counts, too.
    const before = this.ids();
    const leaving = await this.outbox.reads();
    const holding = [...new Set([...before, ...leaving, ...this.ids()])];
    const count = AHEAD + (this.current ? 0 : 1) - this.held.length;
    if (count <= 0) return;
    const { reads, waiting } = await post("/api/claims", { count, holding });
    this.waiting = waiting;
    for (const read of reads) this.held.push(new Entry(read));
  }

  ids() {
    return this.all().map(({ read }) => read.read_id);
  }

  all() {
    return this.current ? [this.current, ...this.held] : this.held;
  }

  /** Put a read back on the screen, after its decision was taken back. */
  again(entry) {
    if (this.current) this.held.unshift(this.current);
    this.current = entry;
  }

  async keep() {
    for (const { read } of this.all()) {
      try {
        const body = { lease: read.lease };
        const { lease_until_ms } = await post(`/api/reads/${read.read_id}/heartbeat`, body);
        read.lease_until_ms = lease_until_ms;
      } catch {
        // the next request about it will say what is wrong
      }
    }
  }

  /** Give back what was fetched ahead, when the page is left. */
  leave() {
    clearInterval(this.beat);
    for (const { read } of this.held) {
      const body = { lease: read.lease };
      post(`/api/reads/${read.read_id}/release`, body, { keepalive: true }).catch(() => {});
    }
  }
}
