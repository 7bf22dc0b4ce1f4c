// The periodic table: each element is unmarked, marked one way, or marked the other.
import { html } from "./ui.js";

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// marks: {symbol: "first" | "second"}; names: how each mark is read out; equal: the second does not say "without".
export function Periodic({ elements, marks, names, change, label, equal }) {
  const turn = (symbol) => {
    const next = { undefined: "first", first: "second" }[marks[symbol]];
    const { [symbol]: _, ...others } = marks;
    change(next ? { ...others, [symbol]: next } : others);
  };
  const places = Object.entries(elements);
  const focus = places.find(([symbol]) => marks[symbol])?.[0] ?? places[0][0]; // one stop of the tab key
  return html`<div class="scroll"><div class=${equal ? "periodic sorts" : "periodic"} role="group" aria-label=${label} onKeyDown=${(event) => walk(event, elements)}>
    ${places.map(
      ([symbol, [row, column]]) => html`<button key=${symbol} type="button" data-symbol=${symbol} class=${marks[symbol] || ""}
        tabindex=${symbol === focus ? 0 : -1} style=${{ gridRow: row, gridColumn: column }} onClick=${() => turn(symbol)}
        aria-label=${marks[symbol] ? `${symbol}, ${names[marks[symbol]]}` : symbol}>${symbol}</button>`,
    )}
  </div></div>`;
}

function walk(event, elements) {
  const step = MOVES[event.key];
  const from = elements[event.target.dataset.symbol];
  if (!step || !from) return;
  event.preventDefault();
  const ahead = Object.entries(elements)
    .map(([symbol, place]) => [symbol, ...along(from, place, step)])
    .filter(([, forward, aside]) => forward > 0 && aside < 2)
    .sort((one, other) => one[1] + 20 * one[2] - other[1] - 20 * other[2]);
  if (ahead.length) event.currentTarget.querySelector(`[data-symbol=${ahead[0][0]}]`).focus();
}

function along([row, column], [otherRow, otherColumn], [down, right]) {
  const forward = (otherRow - row) * down + (otherColumn - column) * right;
  const aside = down ? Math.abs(otherColumn - column) : Math.abs(otherRow - row);
  return [forward, aside];
}

export const marked = (marks, mark) => Object.keys(marks).filter((symbol) => marks[symbol] === mark);

export const marksOf = (first, second) =>
  Object.fromEntries([...words(first).map((symbol) => [symbol, "first"]), ...words(second).map((symbol) => [symbol, "second"])]);

const words = (text) => (text ? text.split(/[\s,]+/).filter(Boolean) : []);
