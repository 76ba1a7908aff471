// What happens to jobs, told as it happens, by one event stream for all tabs of the browser.
//
// A browser opens six connections to a host. A stream in each tab would use them up, so one tab, the leader,
// has the stream and tells the others. The holder of a lock is the leader. When its tab is closed, another
// one gets the lock and goes on with the latest token.

import { follow } from "./event_stream.js";

const PAUSE = 200; // Milliseconds between two messages to tabs and pages.
const MOST = 2000; // Jobs that one message has, and that are kept.

const listeners = { jobs: new Set(), gap: new Set(), state: new Set() };
const latest = new Map();
const channel = new BroadcastChannel("jobs");
// Over plain HTTP browsers have no locks, except for localhost. So each tab has a stream of its own there.
const isShared = Boolean(navigator.locks);
const connected = { state: "connecting", token: "" };

/** "live", "connecting" or "offline". */
export const state = () => connected.state;

/** Listen to `jobs` (a list of states), `gap` (changes may have been missed) or `state`. */
export function on(kind, listener, signal) {
  listeners[kind].add(listener);
  signal?.addEventListener("abort", () => listeners[kind].delete(listener));
}

/** The job as the stream has last told it, if that is newer than `job`. */
export function newest(job) {
  const told = latest.get(job.id);
  return told && told.revision > job.revision ? { ...job, ...told } : job;
}

export function start() {
  if (isShared) channel.onmessage = ({ data }) => receive(data);
  if (isShared) channel.postMessage({ kind: "hello" });
  if (isShared) navigator.locks.request("jobs-stream", lead);
  else lead();
}

function lead() {
  const waiting = new Map();
  let timer = null;
  let overflow = false;
  let flushed = 0;
  const flush = () => {
    clearTimeout(timer);
    timer = null;
    flushed = Date.now();
    tell({ kind: "jobs", jobs: [...waiting.values()], token: connected.token });
    waiting.clear();
    if (overflow) tell({ kind: "gap" });
    overflow = false;
  };
  // The timers of a hidden tab are slow, so what comes from the network also flushes.
  const flushSoon = () => {
    if (Date.now() - flushed >= PAUSE) flush();
    else timer ??= setTimeout(flush, PAUSE);
  };
  isLeader = true;
  return follow(
    "/jobs:watch",
    { resumeToken: connected.token },
    {
      job(job) {
        waiting.delete(job.id);
        waiting.set(job.id, job);
        if (waiting.size > MOST) {
          waiting.delete(waiting.keys().next().value);
          overflow = true;
        }
        flushSoon();
      },
      token: (token) => (connected.token = token),
      gap: () => tell({ kind: "gap" }),
      state(now) {
        if (waiting.size) flushSoon();
        if (now !== connected.state) tell({ kind: "state", state: now });
      },
    },
    new AbortController().signal,
  );
}

let isLeader = false;

function tell(message) {
  if (isShared) channel.postMessage(message);
  receive(message);
}

function receive(message) {
  if (message.kind === "hello") {
    if (isLeader) channel.postMessage({ kind: "state", state: connected.state });
    return;
  }
  if (message.token !== undefined) connected.token = message.token;
  if (message.kind === "state") connected.state = message.state;
  for (const job of message.jobs ?? []) remember(job);
  for (const listener of listeners[message.kind] ?? []) listener(message.jobs);
}

function remember(job) {
  latest.delete(job.id);
  latest.set(job.id, job);
  if (latest.size > MOST) latest.delete(latest.keys().next().value);
}
