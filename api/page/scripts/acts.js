// What somebody who may run campaigns does with one.
import { html, useState } from "./ui.js";
import { ask } from "./server.js";
import { ProblemLine } from "./words.js";

const OPEN = { running: ["pause", "cancel"], paused: ["resume", "cancel"], failed: ["resume"] };

export function Acts({ campaign, context, changed }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const act = (name) => {
    if (name === "cancel" && !window.confirm(`End campaign ${campaign.id} (${campaign.name}) for good?`)) return;
    setBusy(true);
    ask("POST", `/v1/campaigns/${campaign.id}/${name}`)
      .then(() => setProblem(null), setProblem)
      .finally(() => {
        setBusy(false);
        changed();
      });
  };
  if (!context.may_run) return null;
  return html`<div class="row">
    ${(OPEN[campaign.state] || []).map(
      (name) => html`<button key=${name} class=${name === "cancel" ? "danger" : ""} disabled=${busy} onClick=${() => act(name)}
        aria-label=${`${name} campaign ${campaign.id}`}>${name[0].toUpperCase() + name.slice(1)}</button>`,
    )}
    <${ProblemLine} problem=${problem} />
  </div>`;
}
