// A new campaign: from elements, formulas, a file that is dropped, or a spec as TOML; checked while it is typed.
import { html, useEffect, useState } from "./ui.js";
import { address, ask } from "./server.js";
import { go } from "./routes.js";
import { Periodic, marked } from "./periodic.js";
import { ProblemLine, counted, titled } from "./words.js";
import { specOf } from "./spec.js";

const KINDS = { enumerate: "Elements", list: "Formulas", file: "File", toml: "TOML spec" };
const PAUSE = 350; // milliseconds after the last key
const TOML = "application/toml";
const START = {
  kind: "enumerate", marks: {}, max_atoms: "20", cations: "1, 2, 3", anions: "1", formulas: "", file: null, toml: "", name: "", seed: "0",
  where: "e_above_hull <= 0.1", score: "", top: "20", structures: "8", explain: "10", property: "band_gap",
};

export function Create({ context }) {
  const [form, setForm] = useState(START);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const change = (news) => setForm((old) => ({ ...old, ...news }));
  const check = useCheck(form);
  const submit = (event) => {
    event.preventDefault();
    setBusy(true);
    send(form)
      .then((status) => go(`campaign/${status.id}`))
      .catch(setProblem)
      .finally(() => setBusy(false));
  };
  const text = (name) => ({ name, value: form[name], onInput: (event) => change({ [name]: event.target.value }) });
  if (!context.may_run) return html`<h1>New campaign</h1><p class="problem">This token may look, not run; a token with the role run is expected.</p>`;
  return html`<h1>New campaign</h1><form class="sheet" onSubmit=${submit}>
    <fieldset><legend>Compositions</legend>
      <div class="choices" role="group" aria-label="Where compositions come from">${Object.entries(KINDS).map(([kind, title]) => html`<button key=${kind} type="button" aria-pressed=${String(form.kind === kind)} onClick=${() => change({ kind })}>${title}</button>`)}</div>
      <${Source} form=${form} change=${change} text=${text} elements=${context.elements} />
    </fieldset>
    ${form.kind !== "toml" && html`<${Stages} text=${text} explained=${context.explained} change=${change} form=${form} />`}
    <${Flaws} check=${check} />
    <${ProblemLine} problem=${problem} />
    <button class="main" disabled=${busy || check?.form !== form || check.flaws.length > 0}>${busy ? "Starting…" : "Start"}</button>
  </form>`;
}

function Source({ form, change, text, elements }) {
  if (form.kind === "enumerate")
    return html`<p class="small quiet">Charge-balanced compositions. Once: <b>${marked(form.marks, "first").join(" ") || "cations"}</b>; twice: <b>${marked(form.marks, "second").join(" ") || "anions"}</b>.</p>
      <div><${Periodic} elements=${elements} marks=${form.marks} names=${{ first: "cation", second: "anion" }} change=${(marks) => change({ marks })} label="Cations and anions" equal /></div>
      <div class="fields" style="margin-top: .7rem">
        <label><span>Cations in a formula</span><input ...${text("cations")} /></label>
        <label><span>Anions in a formula</span><input ...${text("anions")} /></label>
        <label><span>Most atoms in a formula</span><input type="number" min="2" ...${text("max_atoms")} /></label></div>`;
  if (form.kind === "list")
    return html`<label><span>Formulas, apart by spaces or lines; at most 1,000</span><textarea class="code" spellcheck="false" ...${text("formulas")}></textarea></label>`;
  if (form.kind === "toml")
    return html`<${Drop} accept=".toml" told="A spec as \`sluice screen\` takes it" take=${async (file) => change({ toml: await file.text() })} />
      <label><span>TOML</span><textarea class="code" rows="14" spellcheck="false" ...${text("toml")}></textarea></label>`;
  return html`<${Drop} accept=".csv,.tsv,.txt,.parquet,.gz,.zst" told=${form.file ? `${form.file.name}, ${counted(form.file.size)} bytes` : "CSV (the column formula, else the first), text with a formula a line, or Parquet; .gz and .zst too"}
    take=${(file) => change({ file, name: form.name || file.name })} />`;
}

function Drop({ accept, told, take }) {
  const [over, setOver] = useState(false);
  const hold = (is) => (event) => {
    event.preventDefault();
    setOver(is);
  };
  const drop = (event) => {
    hold(false)(event);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  };
  return html`<div class="drop ${over ? "over" : ""}" onDragOver=${hold(true)} onDragLeave=${hold(false)} onDrop=${drop}>
    <p>Drop a file here, or choose one: <input type="file" aria-label="File" accept=${accept} style="width: auto; max-width: 100%" onChange=${(event) => event.target.files.length && take(event.target.files[0])} /></p>
    <p class="small quiet">${told}</p></div>`;
}

function Stages({ text, explained, change, form }) {
  return html`<fieldset><legend>What survives</legend><div class="fields">
      <label style="grid-column: 1 / -1"><span>Filter over what is predicted</span><input class="code" spellcheck="false" ...${text("where")} placeholder="band_gap >= 1.1 AND band_gap <= 1.6" /></label>
      <label style="grid-column: 1 / -1"><span>Score, the largest first</span><input class="code" spellcheck="false" ...${text("score")} placeholder="-e_above_hull" /></label></div></fieldset>
    <fieldset><legend>What the best get</legend><div class="fields">
      <label><span>Crystals for the best</span><input type="number" min="1" ...${text("top")} /></label>
      <label><span>Structures of each</span><input type="number" min="0" ...${text("structures")} /></label>
      <label><span>Explanations for the best</span><input type="number" min="0" ...${text("explain")} /></label>
      <label><span>Explained property</span><select name="property" value=${form.property} onChange=${(event) => change({ property: event.target.value })}>
        ${explained.map((name) => html`<option key=${name} value=${name}>${titled(name)}</option>`)}</select></label></div></fieldset>
    <fieldset><legend>Name and seed</legend><div class="fields">
      <label><span>Name</span><input ...${text("name")} placeholder="campaign" /></label>
      <label><span>Seed</span><input type="number" min="0" ...${text("seed")} /></label></div></fieldset>`;
}

function Flaws({ check }) {
  if (!check) return html`<p class="quiet" role="status">…</p>`;
  if (check.flaws.length) return html`<ul class="flaws" role="alert">${check.flaws.map((flaw) => html`<li class="problem">${flaw}</li>`)}</ul>`;
  return html`<p class="quiet" role="status">${check.size === null ? "The spec is sound." : `The spec is sound: ${counted(check.size)} compositions.`}</p>`;
}

// What the server says of the form as it stands, once the keys rest.
function useCheck(form) {
  const [state, set] = useState(null);
  useEffect(() => {
    const gone = new AbortController();
    const wait = setTimeout(() => {
      ask("POST", "/page/spec", { ...bodyOf(form), signal: gone.signal })
        .then((found) => set({ form, ...(form.kind === "file" && !form.file ? { flaws: ["source: a file is expected"], size: null } : found) }))
        .catch((problem) => gone.signal.aborted || set({ form, flaws: [problem.message], size: null }));
    }, PAUSE);
    return () => {
      clearTimeout(wait);
      gone.abort();
    };
  }, [form]);
  return state;
}

const bodyOf = (form) => (form.kind === "toml" ? { body: form.toml, type: TOML } : { body: specOf(form) });

function send(form) {
  if (form.kind !== "file") return ask("POST", "/v1/campaigns", { ...bodyOf(form), headers: { "Idempotency-Key": key() } });
  const { source, ...spec } = specOf(form);
  return ask("POST", address("/v1/uploads", { filename: form.file.name, spec: JSON.stringify(spec) }), { body: form.file, type: "application/octet-stream" });
}

const key = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
