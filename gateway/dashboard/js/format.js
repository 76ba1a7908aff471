// How numbers, times and names are written.

const NUMBERS = new Intl.NumberFormat();
const STEPS = [
  [86400, "d"],
  [3600, "h"],
  [60, "m"],
];

export const STATUSES = ["queued", "processing", "completed", "failed", "cancelled"];
export const ENDED = new Set(["completed", "failed", "cancelled"]);
const WORDS = {
  queued: "Queued",
  processing: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const statusWord = (status) => WORDS[status] ?? status;

export function number(value, capped = false) {
  return NUMBERS.format(value ?? 0) + (capped ? "+" : "");
}

/** "1 job", "2 jobs". */
export function count(value, one, many = `${one}s`, capped = false) {
  return `${number(value, capped)} ${value === 1 && !capped ? one : many}`;
}

/** Seconds of a duration of the API, such as "1.5s"; null if there is none. */
export function seconds(duration) {
  return typeof duration === "string" && duration.endsWith("s") ? Number.parseFloat(duration) : null;
}

/** Seconds in one or two units: "350 ms", "1.2 s", "4 m 10 s". */
export function duration(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.max(value, 0);
  if (size < 1) return `${Math.round(size * 1000)} ms`;
  if (size < 10) return `${(Math.floor(size * 10) / 10).toFixed(1)} s`;
  if (size < 60) return `${Math.floor(size)} s`;
  for (const [unit, name] of STEPS) {
    if (size < unit) continue;
    const smaller = STEPS[STEPS.findIndex((step) => step[0] === unit) + 1] ?? [1, "s"];
    const rest = Math.floor((size % unit) / smaller[0]);
    return `${Math.floor(size / unit)} ${name}${rest ? ` ${rest} ${smaller[1]}` : ""}`;
  }
  return "–";
}

/** Whole seconds, for a time that goes on while somebody looks. */
export function running(value) {
  return value !== null && value >= 1 && value < 10 ? `${Math.floor(value)} s` : duration(value);
}

/** "12 s ago", "in 3 m". */
export function ago(time, now) {
  if (!time) return "–";
  const age = (now - Date.parse(time)) / 1000;
  if (age < -1) return `in ${running(Math.ceil(-age))}`;
  return age < 1 ? "just now" : `${running(Math.floor(age)).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A moment in the reader's own time zone, to the millisecond. */
export function moment(time) {
  if (!time) return "–";
  const date = new Date(time);
  const day = date.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
  return `${day}, ${clock(time)}`;
}

export function clock(time) {
  const date = new Date(time);
  const pad = (value, size = 2) => String(value).padStart(size, "0");
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map((each) => pad(each));
  return `${parts.join(":")}.${pad(date.getMilliseconds(), 3)}`;
}

export const minute = (time) => clock(time).slice(0, 5);

/** The two ends of an id. Its begin is the time of creation, so only the end tells jobs apart. */
export function shortId(id) {
  return id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id;
}

/** The name in a worker's id, `name/incarnation`. */
export const workerName = (id) => (id ?? "").replace(/\/[^/]*$/, "");

/** How long a job has run, or ran; in seconds. */
export function runTime(job, now) {
  if (!job.startTime || job.status === "queued") return null;
  const end = job.endTime ? Date.parse(job.endTime) : now;
  return Math.max(end - Date.parse(job.startTime), 0) / 1000;
}

export const isUuid = (text) => /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text);
