// What is asked of candidates: a filter, elements that must or must not be there, a campaign.
import { html, useState } from "./ui.js";
import { useAnswer } from "./server.js";
import { Periodic, marked, marksOf } from "./periodic.js";

const quoted = (symbols) => symbols.map((symbol) => `"${symbol}"`).join(", ");
const split = (text) => (text ? text.split(",") : []);

// The OPTIMADE filter that a query of the address spells.
export function filterOf({ filter, has, not }) {
  const parts = [];
  if (filter) parts.push(has || not ? `(${filter})` : filter);
  if (has) parts.push(`elements HAS ALL ${quoted(split(has))}`);
  if (not) parts.push(`NOT elements HAS ANY ${quoted(split(not))}`);
  return parts.join(" AND ");
}

export function Asking({ query, change, context, children }) {
  const [text, setText] = useState(query.filter || "");
  const [told, setTold] = useState(query.filter);
  if (told !== query.filter) {
    setTold(query.filter);
    setText(query.filter || ""); // the address changed
  }
  const marks = marksOf(query.has, query.not);
  const mark = (next) => change({ has: marked(next, "first").join(","), not: marked(next, "second").join(",") });
  const submit = (event) => {
    event.preventDefault();
    change({ filter: text.trim() });
  };
  const chosen = [query.has && `with ${split(query.has).join(", ")}`, query.not && `without ${split(query.not).join(", ")}`].filter(Boolean).join("; ");
  return html`<form class="sheet" role="search" onSubmit=${submit}>
    <div class="row ends">
      <label class="wide"><span>OPTIMADE filter</span><input name="filter" class="code" value=${text} spellcheck="false" autocapitalize="off"
        placeholder='band_gap >= 1.1 AND elements HAS "Te"' onInput=${(event) => setText(event.target.value)} /></label>
      <${CampaignChoice} chosen=${query.campaign} change=${change} />
      ${children}
      <button class="main">Apply</button>
      ${(query.filter || chosen) && html`<button type="button" onClick=${() => change({ filter: "", has: "", not: "" })}>Clear</button>`}
    </div>
    <details open=${Boolean(chosen)}><summary>Elements${chosen && `: ${chosen}`}</summary>
      <p class="small quiet">Once: it must be there. Twice: it must not. Arrow keys move, Enter marks.</p>
      <${Periodic} elements=${context.elements} marks=${marks} names=${{ first: "must be there", second: "must not be there" }}
        change=${mark} label="Elements of the candidates" />
    </details>
  </form>`;
}

function CampaignChoice({ chosen, change }) {
  const { data } = useAnswer("/v1/campaigns?limit=100");
  const known = data ? data.data : [];
  const listed = !chosen || known.some(({ id }) => String(id) === chosen);
  return html`<label><span>Campaign</span><select name="campaign" value=${chosen || ""} onChange=${(event) => change({ campaign: event.target.value })}>
    <option value="">all</option>
    ${!listed && html`<option value=${chosen}>${chosen}</option>`}
    ${known.map(({ id, name }) => html`<option key=${id} value=${String(id)}>${id}: ${name}</option>`)}
  </select></label>`;
}
