// One campaign: live progress, rates, the funnel, its spec and its models.
import { html } from "./ui.js";
import { useStatus } from "./server.js";
import { link } from "./routes.js";
import { Acts } from "./acts.js";
import { Legend, StageLine } from "./funnel.js";
import { ProblemLine, counted, moment } from "./words.js";

export function Campaign({ place, context }) {
  const id = Number(place.argument);
  const { data, problem, again } = useStatus(id);
  if (!data) return html`<${ProblemLine} problem=${problem} /><p class="quiet" aria-busy="true">…</p>`;
  return html`<div class="row"><h1>${data.name}</h1><span class="badge ${data.state}" role="status">${data.state}</span>
      <span class="space"></span><${Acts} campaign=${data} context=${context} changed=${again} /></div>
    <${ProblemLine} problem=${problem} />
    <section class="sheet"><h2>Funnel</h2>
      ${data.stages.map((stage) => html`<${StageLine} key=${stage.stage} stage=${stage} />`)}
      <${Legend} />${lines(data)}</section>
    <div class="row sheet">
      <a class="button" href=${link("candidates", { campaign: id })}>Candidates</a>
      <a class="button" href=${link("scatter", { campaign: id })}>Scatter</a>
      <a class="button" href="/v1/campaigns/${id}/report.html" target="_blank" rel="noopener">Report</a>
      <a class="button" href="/v1/candidates.csv?campaign=${id}">CSV</a>
      <a class="button" href="/v1/candidates.parquet?campaign=${id}">Parquet</a>
    </div>
    <div class="columns">
      <section class="sheet"><h2>Origin</h2><${Origin} status=${data} /></section>
      <section class="sheet"><h2>Spec</h2><pre tabindex="0">${JSON.stringify(data.spec, null, 2)}</pre></section>
    </div>`;
}

function lines(status) {
  const { source, failures } = status;
  const told = [];
  if (source.input) told.push(`${counted(source.input)} lines: ${counted(source.unique)} unique, ${counted(source.invalid)} invalid, ${counted(source.duplicate)} duplicate`);
  for (const [kind, number] of Object.entries(failures)) told.push(`${counted(number)} ${kind}`);
  return told.length > 0 && html`<p class="small quiet">${told.join(" · ")}</p>`;
}

export function Origin({ status }) {
  return html`<dl>
    <dt>Campaign</dt><dd><a href=${link(`campaign/${status.id}`)}>${status.id}: ${status.name}</a></dd>
    <dt>Began</dt><dd>${moment(status.created_at)}</dd>
    ${status.finished_at && html`<dt>Ended</dt><dd>${moment(status.finished_at)}</dd>`}
    <dt>Seed</dt><dd>${status.seed}</dd>
    <dt>Code</dt><dd class="code">${status.code_version}</dd>
    ${Object.entries(status.models).map(([role, id]) => html`<dt>Model: ${role}</dt><dd class="code" title=${id}>${id.slice(0, 16)}…</dd>`)}
  </dl>`;
}
