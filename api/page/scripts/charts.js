// Bars, whiskers and networks as SVG.
import { html } from "./ui.js";
import { fixed, measured, titled, withUnit } from "./words.js";

const WIDTH = 400;
const sign = (value) => (value < 0 ? "lowers" : "raises");

// A property twice: from the composition and from the structure, each with its standard deviation.
export function Whiskers({ title, unit, values }) {
  const known = values.filter(({ value }) => value !== null && value !== undefined);
  const spread = [0, ...known.flatMap(({ value, std }) => [value - (std || 0), value + (std || 0)])];
  const scale = scaleOf(Math.min(...spread), Math.max(...spread), 104, WIDTH - 118);
  const foot = 24 + 26 * known.length;
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${foot + 18}" role="img" aria-label=${`${title}: ${known.map((each) => `${each.from} ${measured(each.value, each.std)}`).join(", ")}`}>
    <text x="0" y="14" font-weight="600">${withUnit(title, unit)}</text>
    <line class="axis" x1=${scale(0)} x2=${scale(0)} y1="22" y2=${foot} /><text class="quiet" x=${scale(0)} y=${foot + 11} text-anchor="middle" font-size="10">0</text>
    ${known.map(({ from, name, value, std }, row) => {
      const y = 34 + 26 * row;
      return html`<g><text x="12" y=${y + 4} class="quiet">${from}</text>
        <line class="axis" x1="104" x2=${WIDTH - 118} y1=${y} y2=${y} />
        ${std && html`<line class="whisker" x1=${scale(value - std)} x2=${scale(value + std)} y1=${y} y2=${y} />
          <line class="whisker" x1=${scale(value - std)} x2=${scale(value - std)} y1=${y - 4} y2=${y + 4} />
          <line class="whisker" x1=${scale(value + std)} x2=${scale(value + std)} y1=${y - 4} y2=${y + 4} />`}
        <circle class=${name} cx=${scale(value)} cy=${y} r="4.5" />
        <text x=${WIDTH - 106} y=${y + 4}>${measured(value, std)}</text></g>`;
    })}
  </svg>`;
}

// What single players and sets of them add, the strongest first.
export function Bars({ interactions, unit, most = 14 }) {
  const shown = [...interactions].filter(({ players }) => players.length).sort((one, other) => Math.abs(other.value) - Math.abs(one.value)).slice(0, most);
  const ends = shown.flatMap(({ value, error }) => [value - (error || 0), value + (error || 0), 0]);
  const scale = scaleOf(Math.min(...ends), Math.max(...ends), 96, WIDTH - 62);
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${22 * shown.length + 8}" role="img" aria-label=${shown.map(({ players, value }) => `${players.join(" × ")} ${fixed(value, 3)} ${unit}`).join("; ")}>
    <line class="axis" x1=${scale(0)} x2=${scale(0)} y1="0" y2=${22 * shown.length + 4} />
    ${shown.map(({ players, value, error }, row) => {
      const y = 6 + 22 * row;
      return html`<g><text x="90" y=${y + 12} text-anchor="end">${players.join(" × ")}</text>
        <rect class=${sign(value)} x=${Math.min(scale(0), scale(value))} y=${y} width=${Math.max(1, Math.abs(scale(value) - scale(0)))} height="15" rx="2" />
        ${error && html`<line class="whisker" x1=${scale(value - error)} x2=${scale(value + error)} y1=${y + 7.5} y2=${y + 7.5} />`}
        <text x=${WIDTH - 56} y=${y + 12}>${value > 0 ? "+" : ""}${fixed(value, 3)}</text></g>`;
    })}
  </svg>`;
}

// Players on a circle, as large as what they add alone; lines as thick as what pairs add.
export function Network({ interactions }) {
  const alone = new Map(interactions.filter(({ players }) => players.length === 1).map(({ players, value }) => [players[0], value]));
  const names = [...new Set(interactions.flatMap(({ players }) => players))];
  const pairs = interactions.filter(({ players }) => players.length === 2);
  const most = (values) => Math.max(1e-12, ...values.map(Math.abs));
  const [largest, strongest] = [most([...alone.values()]), most(pairs.map(({ value }) => value))];
  const at = (name) => {
    const turn = (2 * Math.PI * names.indexOf(name)) / names.length - Math.PI / 2;
    return [150 + 100 * Math.cos(turn), 145 + 100 * Math.sin(turn)];
  };
  return html`<svg class="chart" viewBox="0 0 300 290" role="img" aria-label="Network of interactions">
    ${pairs.map(({ players, value }) => {
      const [[x1, y1], [x2, y2]] = players.map(at);
      return html`<line class=${sign(value)} x1=${x1} y1=${y1} x2=${x2} y2=${y2} stroke-width=${0.6 + (9 * Math.abs(value)) / strongest} stroke-opacity="0.65">
        <title>${players.join(" × ")} ${fixed(value, 3)}</title></line>`;
    })}
    ${names.map((name) => {
      const [x, y] = at(name);
      const value = alone.get(name) || 0;
      const r = 15 + 13 * Math.sqrt(Math.abs(value) / largest);
      return html`<g><circle class="node" cx=${x} cy=${y} r=${r} /><circle class=${sign(value)} cx=${x} cy=${y} r=${r} fill-opacity="0.3" />
        <text x=${x} y=${y + 4} text-anchor="middle" font-weight="600">${name}</text><title>${name} ${fixed(value, 3)}</title></g>`;
    })}
  </svg>`;
}

export const SignLegend = ({ property }) => html`<div class="legend">
  <span><i style=${{ background: "var(--raises)" }}></i>raises ${titled(property)}</span>
  <span><i style=${{ background: "var(--lowers)" }}></i>lowers it</span></div>`;

export function scaleOf(low, high, from, to) {
  const span = high - low || Math.abs(high) || 1;
  const start = high === low ? low - span / 2 : low;
  return (value) => from + ((value - start) / span) * (to - from);
}
