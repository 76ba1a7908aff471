// The fields for what a job can have besides its payload.

import { h } from "../dom.js";

export class JobOptions {
  labels = h("input", { type: "text", id: "labels", placeholder: "team=search, env=prod" });
  tries = h("input", { type: "number", id: "tries", min: "1", max: "100", placeholder: "3" });
  limit = h("input", { type: "number", id: "limit", min: "0.01", step: "any", placeholder: "none" });
  start = h("input", { type: "datetime-local", id: "start" });
  element = h(
    "details",
    {},
    h("summary", {}, "Options"),
    h(
      "div",
      { class: "fields two", style: { "margin-top": "10px" } },
      field("Labels", this.labels),
      field("Tries", this.tries),
      field("Time limit, seconds", this.limit),
      field("Not before", this.start),
    ),
  );

  /** As fields of POST /jobs. Raises Error for labels that are none. */
  value() {
    const pairs = this.labels.value
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean)
      .map(pair);
    const chosen = {};
    if (pairs.length) chosen.labels = Object.fromEntries(pairs);
    if (this.tries.value) chosen.retryPolicy = { maxAttempts: Number(this.tries.value) };
    if (this.limit.value) chosen.timeout = `${this.limit.value}s`;
    if (this.start.value) chosen.scheduleTime = new Date(this.start.value).toISOString();
    return chosen;
  }
}

const field = (name, input) => h("div", { class: "field" }, h("label", { for: input.id }, name), input);

function pair(text) {
  const place = text.indexOf("=");
  if (place < 1) throw new Error(`Labels: "${text}" is not key=value.`);
  return [text.slice(0, place), text.slice(place + 1)];
}
