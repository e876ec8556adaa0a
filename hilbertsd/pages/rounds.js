"use strict";

// The slider: figures that plotly draws in the colours of the style sheet.
const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

const ROUND_COLOURS = 5;

function roundColour(part) {
  const place = part * (ROUND_COLOURS - 1);
  const below = Math.min(Math.floor(place), ROUND_COLOURS - 2);
  const [from, to] = [below, below + 1].map(stop => colour("round-" + stop).match(/[0-9a-f]{2}/gi).map(x => parseInt(x, 16)));
  return `rgb(${from.map((value, k) => Math.round(value + (place - below) * (to[k] - value))).join()})`;
}

function roleColour(role, part) {
  if (role === "round" || role === "ring") return roundColour(part);
  if (role === "reference" || role === "guide") return colour(role);
  return colour(role === "data" ? "ink" : role);
}

function axisColours() {
  return {color: colour("muted"), gridcolor: colour("grid"), linecolor: colour("edge")};
}

function themed(layout) {
  const font = {color: colour("ink"), family: getComputedStyle(document.body).fontFamily, size: 12};
  return {
    ...layout, font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: {...layout.xaxis, ...axisColours()}, yaxis: {...layout.yaxis, ...axisColours()},
    hoverlabel: {bgcolor: colour("card"), bordercolor: colour("edge"), font},
  };
}

for (const box of document.querySelectorAll(".rounds")) {
  const content = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const slider = box.querySelector("input"), output = box.querySelector("output");
  const numbers = [...box.querySelectorAll(".numbers dd")], plots = [...box.querySelectorAll(".plot")];
  const part = step => content.rounds.length > 1 ? step / (content.rounds.length - 1) : 0;

  const traces = ({data, moving}, step) => data.map((trace, place) => {
    const own = roleColour(trace.meta, part(step)), versions = moving[place] || {};
    const at = {};
    for (const axis of Object.keys(versions)) at[axis] = versions[axis][step];
    return {
      ...trace, ...at, line: {...trace.line, color: own},
      marker: {...trace.marker, color: own, line: {...(trace.marker.line || {}), color: own}},
    };
  });

  const draw = step => content.panels.map((panel, place) =>
    Plotly.react(plots[place], traces(panel, step), themed(panel.layout), {displayModeBar: false, responsive: true}));

  const show = () => {
    const step = Number(slider.value), round = content.rounds[step];
    output.textContent = round;
    slider.setAttribute("aria-valuetext", "round " + round);
    numbers.forEach((cell, place) => { cell.textContent = content.numbers[step][place]; });
    return Promise.all(draw(step)).then(() => { box.dataset.drawn = round; });
  };

  let asked = false; // a slider moves faster than figures are drawn
  slider.addEventListener("input", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; show(); });
  });
  const printed = on => { document.documentElement.classList.toggle("printed", on); show(); };
  window.addEventListener("beforeprint", () => printed(true));
  window.addEventListener("afterprint", () => printed(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
