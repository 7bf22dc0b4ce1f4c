// Points on a canvas between two axes, with a box that the pointer draws.
import { html, useEffect, useRef, useState } from "./ui.js";
import { scaleOf } from "./charts.js";
import { whole } from "./extent.js";
import { plain } from "./words.js";

const EDGE = { left: 62, right: 14, top: 12, bottom: 46 };
const NEAR = 9; // pixels
const LEAST = 4; // pixels of a box; less is a click
const TICKS = 6;

export function Plot({ points, titles, box, select, open }) {
  const canvas = useRef(null);
  const drag = useRef(null);
  const [near, setNear] = useState(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const again = () => setTurn((old) => old + 1);
    const watcher = new ResizeObserver(again);
    watcher.observe(canvas.current);
    window.addEventListener("theme", again);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);
    return () => {
      watcher.disconnect();
      window.removeEventListener("theme", again);
      dark.removeEventListener("change", again);
    };
  }, []);
  const space = () => frameOf(points, canvas.current.clientWidth, canvas.current.clientHeight);
  useEffect(() => paint(canvas.current, points, titles, box, space()), [points, box, turn, ...titles]);
  const at = ({ clientX, clientY }) => {
    const { left, top } = canvas.current.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const down = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = at(event);
  };
  const move = (event) => {
    const place = at(event);
    if (drag.current && far(drag.current, place)) select(boxOf(drag.current, place, space()));
    else setNear(nearest(points, place, space()));
  };
  const up = (event) => {
    const [from, to] = [drag.current, at(event)];
    drag.current = null;
    const found = nearest(points, to, space());
    if (from && !far(from, to) && found) open(found.point);
  };
  return html`<div class="plot" onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => { drag.current = null; }} onPointerLeave=${() => setNear(null)}>
    <canvas ref=${canvas} role="img" aria-label=${`${titles[1]} against ${titles[0]}, ${points.length} points`}></canvas>
    ${near && html`<div class="tip" style=${{ left: `${Math.min(near.x + 10, canvas.current.clientWidth - 170)}px`, top: `${near.y - 30}px` }}>${near.point.formula} (${plain(near.point.x)}, ${plain(near.point.y)})</div>`}
  </div>`;
}

const far = ([x, y], [otherX, otherY]) => Math.hypot(x - otherX, y - otherY) >= LEAST;

function frameOf(points, width, height) {
  const { x0, x1, y0, y1 } = whole(points);
  const [padX, padY] = [(x1 - x0 || 1) * 0.03, (y1 - y0 || 1) * 0.04];
  const spanX = [x0 - padX, x1 + padX];
  const spanY = [y0 - padY, y1 + padY];
  const [left, right, top, bottom] = [EDGE.left, width - EDGE.right, EDGE.top, height - EDGE.bottom];
  return {
    left, right, top, bottom, spanX, spanY,
    x: scaleOf(...spanX, left, right), y: scaleOf(...spanY, bottom, top),
    toX: scaleOf(left, right, ...spanX), toY: scaleOf(bottom, top, ...spanY),
  };
}

function boxOf([x, y], [otherX, otherY], space) {
  const inX = (value) => space.toX(Math.min(space.right, Math.max(space.left, value)));
  const inY = (value) => space.toY(Math.min(space.bottom, Math.max(space.top, value)));
  const [x0, x1] = [inX(x), inX(otherX)].sort((one, other) => one - other);
  const [y0, y1] = [inY(y), inY(otherY)].sort((one, other) => one - other);
  return { x0, x1, y0, y1 };
}

function nearest(points, [x, y], space) {
  let best = null;
  let least = NEAR;
  for (const point of points) {
    const away = Math.hypot(space.x(point.x) - x, space.y(point.y) - y);
    if (away < least) [best, least] = [point, away];
  }
  return best && { point: best, x: space.x(best.x), y: space.y(best.y) };
}

function paint(canvas, points, titles, box, space) {
  const [width, height, dots] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
  canvas.width = width * dots;
  canvas.height = height * dots;
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  const probe = (role) => resolved(canvas, role);
  axes(pen, space, titles, probe("--text"), probe("--line"));
  pen.fillStyle = probe("--accent");
  pen.globalAlpha = points.length > 1500 ? 0.35 : 0.65;
  for (const { x, y } of points) {
    pen.beginPath();
    pen.arc(space.x(x), space.y(y), 2.6, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  if (box) frame(pen, box, space, probe("--gold"));
}

// A custom property may hold light-dark(…), which a canvas does not read.
function resolved(canvas, role) {
  canvas.style.color = `var(${role})`;
  return getComputedStyle(canvas).color;
}

function axes(pen, space, [titleX, titleY], text, line) {
  pen.font = "12px system-ui, sans-serif";
  pen.lineWidth = 1;
  pen.textAlign = "center";
  for (const value of ticks(...space.spanX)) {
    rule(pen, line, space.x(value), space.top, space.x(value), space.bottom);
    write(pen, text, plain(value, 2), space.x(value), space.bottom + 17);
  }
  pen.textAlign = "right";
  for (const value of ticks(...space.spanY)) {
    rule(pen, line, space.left, space.y(value), space.right, space.y(value));
    write(pen, text, plain(value, 2), space.left - 7, space.y(value) + 4);
  }
  pen.textAlign = "center";
  write(pen, text, titleX, (space.left + space.right) / 2, space.bottom + 38);
  pen.save();
  pen.translate(14, (space.top + space.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  write(pen, text, titleY, 0, 0);
  pen.restore();
}

function ticks(low, high) {
  const raw = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
}

function rule(pen, colour, x0, y0, x1, y1) {
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function write(pen, colour, text, x, y) {
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function frame(pen, { x0, x1, y0, y1 }, space, colour) {
  const [left, top] = [space.x(x0), space.y(y1)];
  pen.strokeStyle = pen.fillStyle = colour;
  pen.globalAlpha = 0.15;
  pen.fillRect(left, top, space.x(x1) - left, space.y(y0) - top);
  pen.globalAlpha = 1;
  pen.strokeRect(left, top, space.x(x1) - left, space.y(y0) - top);
}
