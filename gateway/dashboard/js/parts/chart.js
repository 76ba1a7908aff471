// A chart over time, drawn by uPlot.

import { h } from "../dom.js";
import { minute } from "../format.js";
import { colour, onChange } from "../theme.js";

const HEIGHT = 182;

/**
 * `series`: {label, colour}, with `bars`, or a line with `marks`. `format`: a value as text.
 *
 * `node()` is for the view; `show(times, values)` draws; `index()` is the minute under the mouse, or null.
 */
export function chart(series, format, { signal, redraw }) {
  const empty = () => h("div", { class: "chart", key: "chart", opaque: true, "aria-hidden": "true" });
  const element = empty();
  const state = { plot: null, data: null, index: null };
  const tellIndex = (index) => {
    if (index !== state.index) redraw();
    state.index = index;
  };
  const build = () => {
    state.plot?.destroy();
    state.plot = null;
    if (!state.data || !element.clientWidth) return;
    state.plot = new uPlot(options(series, format, element.clientWidth - 16, tellIndex), state.data, element);
  };
  const sizes = new ResizeObserver(() => {
    if (state.plot && element.clientWidth)
      state.plot.setSize({ width: element.clientWidth - 16, height: HEIGHT });
    else build();
  });
  sizes.observe(element);
  onChange(build, signal);
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    state.plot?.destroy();
  });
  return {
    // The element itself only once: a view that has it already keeps it.
    node: () => (element.isConnected ? empty() : element),
    index: () => state.index,
    show(times, values) {
      state.data = [times, ...values];
      if (state.plot) state.plot.setData(state.data);
      else build();
    },
  };
}

function options(series, format, width, tellIndex) {
  const text = colour("soft");
  const line = colour("line");
  const axis = { stroke: text, font: "11px Inter, system-ui, sans-serif", ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    padding: [8, 8, 0, 0],
    scales: {
      x: { range: (_, from, to) => [from - 45, to + 45] },
      y: { range: (_, least, most) => [0, niceTop(most)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 60,
        size: 26,
        values: (_, ticks) => ticks.map((each) => minute(each * 1000)),
      },
      {
        ...axis,
        grid: { stroke: line, width: 1 },
        size: 52,
        space: 36,
        values: (_, ticks) => ticks.map(format),
      },
    ],
    series: [{}, ...series.map((each) => drawn(each, colour(each.colour)))],
    hooks: { setCursor: [(plot) => tellIndex(plot.cursor.idx ?? null)] },
  };
}

function drawn({ label, bars, marks = false }, paint) {
  if (!bars)
    return {
      label,
      stroke: paint,
      width: 1.5,
      points: { show: marks, size: 4, fill: paint },
      spanGaps: false,
    };
  return {
    label,
    stroke: paint,
    fill: paint,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [0.7, 14] }),
  };
}

const niceTop = (most) => (most > 0 ? most * 1.1 : 1);
