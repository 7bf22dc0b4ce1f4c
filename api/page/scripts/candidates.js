// The table of candidates: a page of rows at a time, each beginning where the last one ended.
import { html, useState } from "./ui.js";
import { address, useAnswer } from "./server.js";
import { go, link } from "./routes.js";
import { Asking, filterOf } from "./asking.js";
import { Formula, ProblemLine, UNKNOWN, counted, measured, plain, titled } from "./words.js";

const ROWS = 50;

export function Candidates({ place, context }) {
  const { query } = place;
  const sort = query.sort || "-score";
  const change = (news) => go("candidates", { ...query, ...news });
  const asked = { filter: filterOf(query), campaign: query.campaign, sort };
  return html`<h1>Candidates</h1>
    <${Asking} query=${query} change=${change} context=${context} />
    <${Pages} key=${address("", asked)} asked=${asked} context=${context} sortBy=${(name) => change({ sort: name })} />`;
}

function Pages({ asked, context, sortBy }) {
  const [cursors, setCursors] = useState([]);
  const [total, setTotal] = useState(null);
  const first = cursors.length === 0;
  const { data, problem, busy } = useAnswer(address("/v1/candidates", { ...asked, limit: ROWS, cursor: cursors.at(-1), count: first ? "true" : "" }));
  if (data && data.total && data.total !== total) setTotal(data.total);
  const { sort, ...rest } = asked;
  return html`<${ProblemLine} problem=${problem} />
    ${data && html`<section class="sheet">
      <div class="row">
        <span role="status">${total && `${total.exact ? "" : "about "}${counted(total.number)} candidates`}</span>
        <span class="space"></span>
        ${["csv", "jsonl", "parquet"].map((form) => html`<a class="small" href=${address(`/v1/candidates.${form}`, asked)}>${form}</a>`)}
        <a class="small" href=${link("scatter", rest)}>scatter</a>
      </div>
      <${Table} rows=${data.data} sort=${sort} sortBy=${sortBy} context=${context} busy=${busy} />
      <div class="row">
        <button disabled=${first || busy} onClick=${() => setCursors(cursors.slice(0, -1))}>Previous</button>
        <span class="small quiet">${busy ? "…" : `rows ${counted(cursors.length * ROWS + 1)}–${counted(cursors.length * ROWS + data.data.length)}`}</span>
        <button disabled=${!data.next || busy} onClick=${() => setCursors([...cursors, data.next])}>Next</button>
      </div></section>`}`;
}

function Table({ rows, sort, sortBy, context, busy }) {
  const shown = context.columns.filter(({ name }) => rows.some((row) => row[name] !== null && row[name] !== undefined));
  if (!rows.length) return html`<p class="quiet">No candidate fits.</p>`;
  return html`<div class="scroll"><table class="candidates ${busy ? "busy" : ""}">
    <thead><tr>
      <${Head} name="formula" sort=${sort} sortBy=${sortBy} up=${true} />
      <${Head} name="score" sort=${sort} sortBy=${sortBy} number=${true} />
      <${Head} name="verdict" sort=${sort} sortBy=${sortBy} up=${true} />
      <${Head} name="space_group" sort=${sort} sortBy=${sortBy} number=${true} />
      ${shown.map(({ name, unit }) => html`<${Head} key=${name} name=${name} unit=${unit} sort=${sort} sortBy=${sortBy} number=${true} />`)}
    </tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id}>
      <td><a href=${link(`candidate/${row.id}`)}><${Formula} text=${row.formula} /></a></td>
      <td class="number">${plain(row.score, 4)}</td>
      <td>${row.verdict ? html`<span class="badge ${row.verdict}">${row.verdict}</span>` : UNKNOWN}</td>
      <td class="number">${row.space_group ?? UNKNOWN}</td>
      ${shown.map(({ name, std }) => html`<td key=${name} class="number">${measured(row[name], row[std])}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

function Head({ name, unit, sort, sortBy, number, up }) {
  const sorted = sort.replace("-", "") === name;
  const falling = sort.startsWith("-");
  const next = sorted ? (falling ? name : `-${name}`) : up ? name : `-${name}`;
  return html`<th scope="col" class=${number ? "number" : ""} aria-sort=${sorted ? (falling ? "descending" : "ascending") : null}>
    <button onClick=${() => sortBy(next)}>${titled(name)}${unit && html`<br /><span class="quiet">${unit}</span>`}${sorted ? (falling ? " ▾" : " ▴") : ""}</button></th>`;
}
