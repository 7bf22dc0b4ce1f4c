// A stage: how far it is and what became of its inputs.
import { html } from "./ui.js";
import { counted, duration } from "./words.js";

const ENDS = [["survived", "survived"], ["rejected", "rejected"], ["duplicate", "duplicate"], ["invalid", "invalid"], ["failed", "failed-part"]];

export function StageBar({ stage }) {
  const total = stage.total || stage.input || 1;
  const said = `${stage.stage}: ${share(stage)}, ${counted(stage.survived)} survived`;
  return html`<div class="bar" role="img" aria-label=${said}>
    ${ENDS.map(([end, name]) => stage[end] > 0 && html`<i class=${name} style=${{ width: `${(100 * stage[end]) / total}%` }}></i>`)}
  </div>`;
}

export function StageLine({ stage }) {
  const told = ENDS.filter(([end]) => stage[end]).map(([end]) => `${counted(stage[end])} ${end}`);
  const pace = [
    stage.rate && `${stage.rate.toLocaleString("en", { maximumSignificantDigits: 3 })}/s`,
    stage.closed ? "closed" : stage.seconds_left !== null && `${duration(stage.seconds_left)} left`,
  ];
  return html`<div class="stage" data-stage=${stage.stage}>
    <strong>${stage.stage}</strong><${StageBar} stage=${stage} />
    <div class="figures small quiet">${[share(stage), ...told, ...pace].filter(Boolean).join(" · ")}</div>
  </div>`;
}

export const Legend = () =>
  html`<div class="legend">${ENDS.map(([end, name]) => html`<span><i class=${name}></i>${end}</span>`)}</div>`;

const share = (stage) =>
  stage.total === null ? counted(stage.input) : `${counted(stage.input)} of ${counted(Math.max(stage.total, stage.input))}`;
