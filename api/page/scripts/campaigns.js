// All campaigns, newest first, each with its funnel.
import { html, useState } from "./ui.js";
import { address, useAnswer } from "./server.js";
import { link } from "./routes.js";
import { Acts } from "./acts.js";
import { Legend, StageBar } from "./funnel.js";
import { ProblemLine, counted, moment } from "./words.js";

const SHOWN = 20;
const LOOK = 2000; // milliseconds

export function Campaigns({ context }) {
  const [before, setBefore] = useState([]);
  const { data, problem, again } = useAnswer(address("/v1/campaigns", { limit: SHOWN, before: before.at(-1) }), LOOK);
  return html`<div class="row"><h1>Campaigns</h1><span class="space"></span>
      ${context.may_run && html`<a class="button" href="#/new">New campaign</a>`}</div>
    <${ProblemLine} problem=${problem} />
    <section class="sheet">
      ${data && data.data.length === 0 && html`<p class="quiet">There is none yet. <a href="#/new">Start the first.</a></p>`}
      ${data && data.data.map((each) => html`<${Line} key=${each.id} brief=${each} context=${context} changed=${again} />`)}
      ${data && data.data.length > 0 && html`<${Legend} />`}
    </section>
    <div class="row">
      ${before.length > 0 && html`<button onClick=${() => setBefore(before.slice(0, -1))}>Newer</button>`}
      ${data && data.next && html`<button onClick=${() => setBefore([...before, data.next])}>Older</button>`}
    </div>`;
}

function Line({ brief, context, changed }) {
  const alive = brief.state === "running" || brief.state === "paused";
  const { data } = useAnswer(`/v1/campaigns/${brief.id}`, alive ? LOOK : 0);
  return html`<article class="campaign-line" data-campaign=${brief.id}>
    <div><a href=${link(`campaign/${brief.id}`)}><strong>${brief.name}</strong></a>
      <div class="small quiet">${brief.id} · ${moment(brief.created_at)}</div></div>
    <div><span class="badge ${brief.state}">${brief.state}</span></div>
    <div class="bars">${data && data.stages.map((stage) => html`<${StageBar} key=${stage.stage} stage=${stage} />`)}
      <div class="small quiet">${data && told(data)}</div></div>
    <div class="acts"><${Acts} campaign=${brief} context=${context} changed=${changed} /></div>
  </article>`;
}

function told(status) {
  const steps = status.stages.map((stage) => `${stage.stage} ${counted(stage.input)} → ${counted(stage.survived)}`);
  return steps.join(" · ");
}
