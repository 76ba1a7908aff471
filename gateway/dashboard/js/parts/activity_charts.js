// The two charts of the overview: how many jobs, and how long they take, by minute.

import { h } from "../dom.js";
import { count, duration, minute, seconds } from "../format.js";
import { chart } from "./chart.js";

/** Jobs that were created, completed and failed in each minute. */
export function throughputChart(context) {
  return withLegend("Jobs per minute", context, {
    series: [
      { label: "Failed", colour: "bad", bars: true },
      { label: "Completed", colour: "good", bars: true },
      { label: "Created", colour: "soft" },
    ],
    format: (value) => `${value}`,
    values(minutes, type) {
      const sum = (field) =>
        minutes.map((each) => chosen(each, type).reduce((total, one) => total + (one[field] ?? 0), 0));
      const [created, completed, failed] = ["created", "completed", "failed"].map(sum);
      return {
        told: [failed, completed, created],
        // The bars of failed jobs stand on those of completed ones.
        drawn: [failed.map((each, index) => each + completed[index]), completed, created],
      };
    },
    summary: ([failed, completed]) =>
      `in the last hour ${count(total(completed), "job")} completed, and ${total(failed)} failed`,
  });
}

/** How long jobs waited for their start and how long they ran. With several types: of the slowest one. */
export function latencyChart(context) {
  return withLegend("Time, 95th percentile", context, {
    series: [
      { label: "Wait for the start", colour: "accent", marks: true },
      { label: "Run", colour: "warn", marks: true },
    ],
    format: duration,
    values(minutes, type) {
      const slowest = (field) =>
        minutes.map((each) => {
          const all = chosen(each, type)
            .map((one) => seconds(one[field]?.p95))
            .filter((value) => value !== null);
          return all.length ? Math.max(...all) : null;
        });
      const both = [slowest("startLatency"), slowest("runLatency")];
      return { told: both, drawn: both };
    },
    note: "With all types: of the slowest type.",
    summary: ([start, run]) =>
      `at most ${duration(Math.max(...start, 0))} to the start, and ${duration(Math.max(...run, 0))} to run`,
  });
}

const chosen = (each, type) => (each.activities ?? []).filter((one) => !type || one.type === type);
const total = (values) => values.reduce((sum, each) => sum + each, 0);

function withLegend(title, context, { series, format, values, summary, note }) {
  const drawing = chart(series, format, context);
  let told = null;
  let times = [];
  return {
    show(minutes, type) {
      const found = values(minutes, type);
      told = found.told;
      times = minutes.map((each) => Date.parse(each.startTime));
      drawing.show(
        times.map((each) => each / 1000),
        found.drawn,
      );
    },
    card() {
      const at = told && drawing.index();
      const shown = series.map(({ label, colour }, index) => [
        label,
        colour,
        at === null ? null : told[index][at],
      ]);
      const head = legend(at === null ? null : times[at], shown, format, note);
      const text = told && h("p", { class: "hidden-text" }, `${title}: ${summary(told)}.`);
      const header = h("header", {}, h("h2", {}, title), head);
      return h("section", { class: "card", "aria-label": title }, header, drawing.node(), text);
    },
  };
}

/** The names of the lines, and their values in the minute under the mouse. */
function legend(time, shown, format, note) {
  const value = (number) => (time === null ? "" : ` ${number === null ? "–" : format(number)}`);
  return h(
    "div",
    { class: "legend end", title: note },
    time !== null && h("span", {}, minute(time)),
    shown.map(([label, colour, number]) =>
      h("span", {}, h("i", { style: { "--mark": `var(--${colour})` } }), label + value(number)),
    ),
  );
}
