"use strict";

// The slider: puts the points of the round where they belong in the figures, in the colour of the round.
const ROUND_COLOURS = 5;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

function roundColour(part) {
  const place = part * (ROUND_COLOURS - 1);
  const below = Math.min(Math.floor(place), ROUND_COLOURS - 2);
  const [from, to] = [below, below + 1].map(stop => colour("round-" + stop).match(/[0-9a-f]{2}/gi).map(x => parseInt(x, 16)));
  return `rgb(${from.map((value, k) => Math.round(value + (place - below) * (to[k] - value))).join()})`;
}

// Points [x, y] of a round; null where one of the numbers is none.
function placed(curve, step) {
  const at = axis => Array.isArray(curve[axis][0]) ? curve[axis][step] : curve[axis];
  const ys = at("y");
  return at("x").map((x, k) => x === null || ys[k] === null ? null : [x, ys[k]]);
}

function move(group, points) {
  const line = group.querySelector(":scope > path"), markers = group.querySelectorAll("use");
  if (line) {
    line.setAttribute("d", points.map((point, k) =>
      point === null ? "" : (k && points[k - 1] !== null ? "L" : "M") + point.join(" ")).join(""));
  }
  markers.forEach((marker, k) => {
    marker.style.visibility = points[k] === null ? "hidden" : "";
    if (points[k] === null) return;
    marker.setAttribute("x", points[k][0]);
    marker.setAttribute("y", points[k][1]);
  });
}

for (const box of document.querySelectorAll(".rounds")) {
  const content = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const slider = box.querySelector("input"), output = box.querySelector("output");
  const numbers = [...box.querySelectorAll(".numbers dd")];

  const show = () => {
    const step = Number(slider.value), round = content.rounds[step];
    output.textContent = round;
    slider.setAttribute("aria-valuetext", "round " + round);
    numbers.forEach((cell, place) => { cell.textContent = content.numbers[step][place]; });
    box.style.setProperty("--now", roundColour(content.rounds.length > 1 ? step / (content.rounds.length - 1) : 0));
    for (const [identifier, curve] of Object.entries(content.moving)) {
      move(document.getElementById(identifier), placed(curve, step));
    }
    box.dataset.drawn = round;
  };

  slider.addEventListener("input", show);
  const printed = on => { document.documentElement.classList.toggle("printed", on); show(); };
  window.addEventListener("beforeprint", () => printed(true));
  window.addEventListener("afterprint", () => printed(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
