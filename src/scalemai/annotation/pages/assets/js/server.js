// What pages ask of the server. Every answer that is no success is an error with its kind.

export class Refused extends Error {
  /** @param {number} status @param {{error?: string, message?: string, revision?: number}} said */
  constructor(status, said) {
    super(said.message || `the server answered ${status}`);
    this.status = status;
    this.kind = said.error || "request";
    this.revision = said.revision;
  }
}

async function answered(response) {
  if (response.ok) return response;
  let said = {};
  try {
    said = await response.json();
  } catch {
    // no JSON: a proxy's page, say
  }
  if (response.status === 401) window.location.assign("/login");
  throw new Refused(response.status, said);
}

/** JSON of an address. */
export async function get(address) {
  return (await answered(await fetch(address))).json();
}

/** Raw bytes of an address. */
export async function getBytes(address) {
  return (await answered(await fetch(address))).arrayBuffer();
}

/** JSON that a request is answered with. */
export async function post(address, body, { keepalive = false } = {}) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-ScaleMAI": "1" },
    body: JSON.stringify(body),
    keepalive,
  });
  return (await answered(response)).json();
}
