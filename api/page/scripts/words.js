// Numbers, moments and formulas as people read them.
import { html } from "./ui.js";

export const UNKNOWN = "–";
const MINUS = "\u2212";

export const counted = (number) => number.toLocaleString("en");

export function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

// As many digits as the deviation leaves: 1.34 ± 0.12.
export function measured(value, std) {
  if (value === null || value === undefined) return UNKNOWN;
  if (!std) return plain(value);
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(std))));
  return `${fixed(value, digits)} ± ${fixed(std, digits)}`;
}

export function plain(value, digits = 3) {
  if (value === null || value === undefined) return UNKNOWN;
  const size = Math.abs(value);
  if (size && (size < 0.5 * 10 ** -digits || size >= 1e6)) return value.toExponential(2).replace("-", MINUS);
  return fixed(value, size >= 100 ? 1 : digits);
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} d`;
}

export const moment = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

export const titled = (name) => name.replaceAll("_", " ");

export const withUnit = (title, unit) => (unit ? `${title} / ${unit}` : title);

export const Formula = ({ text }) =>
  html`<span class="formula">${text.split(/(\d+\.?\d*)/).map((part, place) => (place % 2 ? html`<sub>${part}</sub>` : part))}</span>`;

export const ProblemLine = ({ problem }) => problem && html`<p class="problem" role="alert">${problem.message}</p>`;
