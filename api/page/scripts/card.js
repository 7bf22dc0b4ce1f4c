// A candidate: its crystal, what is predicted of it, why, and where it comes from.
import { html, useState } from "./ui.js";
import { address, useAnswer } from "./server.js";
import { Origin } from "./campaign.js";
import { Bars, Network, SignLegend, Whiskers } from "./charts.js";
import { Crystal } from "./crystal.js";
import { Formula, ProblemLine, UNKNOWN, measured, plain, titled } from "./words.js";

const FORMATS = [["cif", "CIF"], ["poscar", "POSCAR"], ["extxyz", "extXYZ"], ["json", "JSON"]];

export function Card({ place, context }) {
  const { data: card, problem } = useAnswer(`/v1/candidates/${place.argument}`);
  const { data: campaign } = useAnswer(card && `/v1/campaigns/${card.campaign}`);
  if (!card) return html`<${ProblemLine} problem=${problem} /><p class="quiet" aria-busy="true">…</p>`;
  return html`<div class="row"><h1><${Formula} text=${card.formula} /></h1>
      ${card.verdict && html`<span class="badge ${card.verdict}">${card.verdict}</span>`}
      <span class="quiet">score ${plain(card.score)}</span></div>
    ${(card.main_reason || card.reason) && html`<p>${card.main_reason || card.reason}</p>`}
    <div class="columns">
      <${Structures} card=${card} metals=${context.metals} />
      <section class="sheet"><h2>Predictions</h2><${Predictions} card=${card} columns=${context.columns} /></section>
    </div>
    ${card.explanations.map((each) => html`<${Explanation} key=${each.property + each.index + each.order} card=${card} explanation=${each} />`)}
    <div class="columns">
      <section class="sheet"><h2>Provenance</h2><${Compared} card=${card} />${campaign ? html`<${Origin} status=${campaign} />` : html`<p class="quiet">…</p>`}</section>
      ${card.failures.length > 0 && html`<section class="sheet"><h2>Failures</h2>
        ${card.failures.map((each) => html`<p>${each.stage}: ${each.kind}, ${each.reason}</p>`)}</section>`}
    </div>`;
}

// What comparing with known materials says, as far as there were any.
function Compared({ card }) {
  const told = [["Composition", known(card.known_composition)], ["Structure", known(card.known_structure)], ["Hull", card.hull && `of ${card.hull.references}${card.hull.level ? ` (${card.hull.level})` : ", an estimate"}`]].filter(([, what]) => what);
  return told.length > 0 && html`<dl class="compared">${told.map(([title, what]) => html`<dt>${title}</dt><dd>${what}</dd>`)}</dl>`;
}

const known = (name) => name && (name === "new" ? "new" : `known: ${name}`);

function Predictions({ card, columns }) {
  const own = columns.filter(({ name, structure }) => name in card.predictions || (structure && structure in card.predictions));
  const plainly = own.filter(({ name }) => !name.startsWith("structure_") || !columns.some((each) => each.structure === name));
  return html`<div>${plainly.map(({ name, structure, unit, title }) => {
    const values = [
      { from: "composition", name: "composition", ...card.predictions[name] },
      { from: "structure", name: "from-structure", ...(structure && card.predictions[structure]) },
    ];
    return html`<${Whiskers} key=${name} title=${title} unit=${unit} values=${values} />`;
  })}<p class="small quiet">± and the whiskers are one standard deviation.</p></div>`;
}

function Structures({ card, metals }) {
  const [rank, setRank] = useState(0);
  if (!card.structures.length)
    return html`<section class="sheet"><h2>Structure</h2><p class="quiet">The campaign drew no crystal of it.</p></section>`;
  const label = `Crystal of ${card.formula}, rank ${rank}; arrow keys turn it`;
  const file = (form) => address(`/v1/candidates/${card.id}/structure`, { format: form, rank });
  return html`<section class="sheet"><h2>Structure</h2>
    <${Crystal} candidate=${card.id} rank=${rank} metals=${metals} label=${label} />
    <div class="row" style="margin: .6rem 0">${FORMATS.map(([form, title]) => html`<a class="button" href=${file(form)} download=${`${card.formula}-${rank}.${form}`}>${title}</a>`)}</div>
    <div class="scroll"><table><thead><tr><th>rank</th><th class="number">space group</th><th class="number">atoms</th><th class="number">energy / eV/atom</th><th>relaxed</th><th class="number">copies</th><th>flaw</th></tr></thead>
    <tbody>${card.structures.map((each) => html`<tr key=${each.rank}>
      <td><button class="link" aria-pressed=${null} onClick=${() => setRank(each.rank)}>${each.rank === rank ? html`<strong>${each.rank}</strong>` : each.rank}</button></td>
      <td class="number">${each.space_group ?? UNKNOWN}</td><td class="number">${each.nsites}</td><td class="number">${plain(each.energy_per_atom)}</td>
      <td>${each.relaxed ? "yes" : "no"}</td><td class="number">${each.copies}</td><td>${each.flaw || ""}</td></tr>`)}</tbody></table></div>
  </section>`;
}

function Explanation({ card, explanation }) {
  const unit = card.predictions[explanation.property]?.unit || "";
  return html`<section class="sheet"><h2>Why ${titled(explanation.property)} is ${measured(explanation.value)} ${unit}</h2>
    <p class="small quiet">${explanation.index} of order ${explanation.order} over ${explanation.players}; from ${plain(explanation.baseline)} ${unit}, what each part adds${explanation.budget ? `, estimated from ${explanation.budget} coalitions` : ""}.</p>
    <div class="columns"><${Bars} interactions=${explanation.interactions} unit=${unit} /><div style="max-width: 21rem"><${Network} interactions=${explanation.interactions} /></div></div>
    <${SignLegend} property=${explanation.property} /></section>`;
}
