// Follows GET /jobs:watch, and goes on where it was after the connection broke.

import { ApiError, open } from "./api.js";

const SILENCE = 45_000; // The server says something every 15 s.
const FIRST_PAUSE = 500;
const LAST_PAUSE = 8_000;

/**
 * Follow all jobs until `signal` is aborted.
 *
 * `told.job(job)`, `told.state(name)` with one of live, connecting and offline, `told.token(token)`, and
 * `told.gap()` when changes may have been missed.
 */
export async function follow(token, told, signal) {
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      await readOnce(token, signal, (event) => {
        pause = FIRST_PAUSE;
        told.state("live");
        if (event.resumeToken !== undefined) told.token((token = event.resumeToken));
        if (event.job) told.job(event.job);
        if (event.started?.truncated || (event.ended && !event.resumeToken)) told.gap();
      });
      told.state("connecting");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
        // The server does not take the token any more.
        if (token) told.gap();
        told.token((token = ""));
      }
      told.state("offline");
    }
    await sleep(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, LAST_PAUSE);
  }
}

async function readOnce(token, signal, tell) {
  const silence = new AbortController();
  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
  };
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const answer = await open(
      "/jobs:watch",
      { resumeToken: token },
      AbortSignal.any([signal, silence.signal]),
    );
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
