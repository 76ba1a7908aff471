// Calls of the REST API. All go to the host that the page came from.

import * as token from "./token.js";

const PATIENCE = 20_000;
let skew = 0;

/** A call failed. `reason` is the API's stable word, `status` the HTTP status; 0: there was no answer. */
export class ApiError extends Error {
  constructor(status, message, reason = "", fields = []) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.fields = fields;
  }
}

/** The present time by the server's clock, in milliseconds. */
export const now = () => Date.now() + skew;

/** The answer's JSON. Raises ApiError. `query` values may be lists. */
export async function call(method, path, { query, body, headers, signal } = {}) {
  const answer = await send(path + asQuery(query), {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]),
  });
  learnTime(answer);
  const text = await answer.text();
  if (!answer.ok) throw errorOf(answer.status, text);
  return text ? JSON.parse(text) : {};
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body, headers) => call("POST", path, { body, headers });

/** A call of the workers' port. The header is what the gateway knows the dashboard by. */
export function fleet(name, body) {
  const headers = { "x-requested-with": "dashboard" };
  return call(body === undefined ? "GET" : "POST", `/ui/api/${name}`, { body, headers });
}

/** The answer to a request whose body is read bit by bit. Raises ApiError. */
export async function open(path, query, signal) {
  const answer = await send(path + asQuery(query), { signal });
  if (!answer.ok) throw errorOf(answer.status, await answer.text());
  return answer;
}

export function asQuery(query) {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    [value]
      .flat()
      .filter((each) => each !== undefined && each !== null && each !== "")
      .map((each) => [name, each]),
  );
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

async function send(url, options) {
  const proof = token.headers();
  try {
    const headers = { ...options.headers, ...proof };
    const answer = await fetch(url, { cache: "no-store", ...options, headers });
    token.note(answer.status, proof);
    return answer;
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
    throw new ApiError(0, "The gateway does not answer.");
  }
}

function errorOf(status, text) {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy in between has answered.
  }
  const details = Array.isArray(body.details) ? body.details : [];
  const reason = details.map((each) => each.reason).find(Boolean) ?? "";
  const fields = details.flatMap((each) => each.fieldViolations ?? []);
  return new ApiError(status, body.message || `The server answered with status ${status}.`, reason, fields);
}

/** Small differences are those of the header, which has whole seconds. */
function learnTime(answer) {
  const date = Date.parse(answer.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  const difference = date + 500 - Date.now();
  skew = Math.abs(difference) > 2000 ? difference : 0;
}
