// Follows an event stream of the API, and goes on where it was after the connection broke.

import { ApiError, open } from "./api.js";

const SILENCE = 45_000; // The server says something every 15 s.
const FIRST_PAUSE = 500;
const LAST_PAUSE = 8_000;

/**
 * Follow what `path` tells until `signal` is aborted. `query.resumeToken`: where to begin.
 *
 * Calls `told.token(token)`, and if they are there `told.job(job)`, `told.log(log)`, `told.ended(ended)`,
 * `told.state(name)` with one of live, connecting and offline, and `told.gap()` when changes may have been
 * missed.
 */
export async function follow(path, query, told, signal) {
  let pause = FIRST_PAUSE;
  let token = query.resumeToken;
  while (!signal.aborted) {
    try {
      await readOnce(path, { ...query, resumeToken: token }, signal, (event) => {
        pause = FIRST_PAUSE;
        told.state?.("live");
        if (event.resumeToken !== undefined) told.token((token = event.resumeToken));
        if (event.job) told.job?.(event.job);
        if (event.log) told.log?.(event.log);
        if (event.started?.truncated || (event.ended && !event.resumeToken)) told.gap?.();
        if (event.ended) told.ended?.(event.ended);
      });
      told.state?.("connecting");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        // The server does not take the token any more.
        if (token) told.gap?.();
        told.token((token = ""));
      }
      told.state?.("offline");
    }
    await sleep(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, LAST_PAUSE);
  }
}

async function readOnce(path, query, signal, tell) {
  const silence = new AbortController();
  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
  };
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const answer = await open(path, query, AbortSignal.any([signal, silence.signal]));
    const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await lines.read();
      if (done) return;
      restart();
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const line of parts) if (line.startsWith("data:")) tell(JSON.parse(line.slice(5)));
    }
  } finally {
    clearTimeout(timer);
  }
}

function sleep(time, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
