// Any two numbers of candidates against each other; what is selected goes on as a filter.
import { html, useMemo, useState } from "./ui.js";
import { address, useAnswer } from "./server.js";
import { go, link } from "./routes.js";
import { Asking, filterOf } from "./asking.js";
import { whole } from "./extent.js";
import { Plot } from "./plot.js";
import { Formula, ProblemLine, counted, plain, titled, withUnit } from "./words.js";

const AXES = { x: "band_gap", y: "e_above_hull" };
const SHOWN = 12;

export function Scatter({ place, context }) {
  const query = { ...AXES, ...place.query };
  const change = (news) => go("scatter", { ...query, ...news });
  const asked = { x: query.x, y: query.y, filter: filterOf(query), campaign: query.campaign };
  const { data, problem, busy } = useAnswer(address("/v1/candidates/points", asked));
  const units = Object.fromEntries(context.columns.flatMap(({ name, std, unit }) => [[name, unit], [std, unit]]));
  const title = (name) => withUnit(titled(name), units[name]);
  return html`<h1>Scatter</h1>
    <${Asking} query=${query} change=${change} context=${context}>
      ${["x", "y"].map((axis) => html`<label key=${axis}><span>${axis} axis</span><select name=${axis} value=${query[axis]} onChange=${(event) => change({ [axis]: event.target.value })}>
        ${context.axes.map((name) => html`<option key=${name} value=${name}>${titled(name)}</option>`)}</select></label>`)}
    <//>
    <${ProblemLine} problem=${problem} />
    ${data && html`<${Selecting} key=${address("", asked)} data=${data} query=${query} titles=${[title(query.x), title(query.y)]} busy=${busy} />`}`;
}

function Selecting({ data, query, titles, busy }) {
  const [box, setBox] = useState(null);
  const inside = useMemo(() => data.points.filter((point) => box && within(box, point)), [data, box]);
  const before = filterOf(query);
  const filter = box && [before && `(${before})`, ...conditions(query, box)].filter(Boolean).join(" AND ");
  const edge = (name) => (event) => {
    const value = Number.parseFloat(event.target.value);
    setBox({ ...(box || outward(whole(data.points))), ...(Number.isFinite(value) && { [name]: value }) });
  };
  if (!data.points.length) return html`<p class="sheet quiet">No candidate has both.</p>`;
  return html`<section class="sheet ${busy ? "busy" : ""}">
    <p class="small quiet" role="status">${data.exact ? `All ${counted(data.points.length)} points.` : `${counted(data.points.length)} points, drawn at random from more.`} Drag to select, or type a range.</p>
    <${Plot} points=${data.points} titles=${titles} box=${box} select=${(drawn) => setBox(outward(drawn))} open=${(point) => go(`candidate/${point.id}`)} />
    <div class="fields">${["x0", "x1", "y0", "y1"].map((name) => html`<label key=${name}><span>${name[0]} ${name[1] === "0" ? "from" : "to"}</span>
      <input type="number" step="any" name=${name} value=${box ? box[name] : ""} onChange=${edge(name)} /></label>`)}</div>
    ${box && html`<p class="row"><strong>${counted(inside.length)} selected</strong>
      <a class="button" href=${link("candidates", { filter, campaign: query.campaign })}>Show in the table</a>
      <button onClick=${() => setBox(null)}>Clear</button></p>
      <p class="code small">${filter}</p>
      <ul class="row small" style="list-style: none; padding: 0">${inside.slice(0, SHOWN).map((point) => html`<li><a href=${link(`candidate/${point.id}`)}><${Formula} text=${point.formula} /></a> <span class="quiet">(${plain(point.x)}, ${plain(point.y)})</span></li>`)}
        ${inside.length > SHOWN && html`<li class="quiet">and ${counted(inside.length - SHOWN)} more</li>`}</ul>`}
  </section>`;
}

const within = ({ x0, x1, y0, y1 }, { x, y }) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

// Five digits of each edge, none of which leaves a point out.
function outward({ x0, x1, y0, y1 }) {
  const rounded = (value, way) => {
    const step = 10 ** (Math.floor(Math.log10(Math.abs(value) || 1)) - 4);
    return Number((way(value / step) * step).toPrecision(8));
  };
  return { x0: rounded(x0, Math.floor), x1: rounded(x1, Math.ceil), y0: rounded(y0, Math.floor), y1: rounded(y1, Math.ceil) };
}

const conditions = ({ x, y }, box) => [
  `${x} >= ${box.x0}`, `${x} <= ${box.x1}`, `${y} >= ${box.y0}`, `${y} <= ${box.y1}`,
];
