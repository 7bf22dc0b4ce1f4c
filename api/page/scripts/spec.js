// The spec that a form spells; what is left empty is left to the server.
import { marked } from "./periodic.js";

export function specOf(form) {
  const spec = { source: sourceOf(form) };
  if (form.name) spec.name = form.name;
  if (form.seed !== "") spec.seed = number(form.seed);
  const predict = said({ where: form.where.trim(), score: form.score.trim() });
  if (Object.keys(predict).length) spec.predict = predict;
  if (form.structures !== "0") spec.csp = said({ top: number(form.top), structures: number(form.structures) });
  if (form.explain !== "0") spec.explain = said({ top: number(form.explain), property: form.property });
  return spec;
}

function sourceOf({ kind, marks, formulas, file, ...counts }) {
  if (kind === "list") return { kind, formulas: words(formulas) };
  if (kind === "file") return { kind, path: file ? file.name : "" };
  return said({
    kind, cations: marked(marks, "first"), anions: marked(marks, "second"), max_atoms: number(counts.max_atoms),
    cation_counts: words(counts.cations).map(number), anion_counts: words(counts.anions).map(number),
  });
}

// Text that is no number goes as it is: the server says what it expects.
const number = (text) => (text === "" ? "" : Number.isFinite(Number(text)) ? Number(text) : text);

const words = (text) => text.split(/[\s,;]+/).filter(Boolean);

const said = (table) => Object.fromEntries(Object.entries(table).filter(([, value]) => value !== ""));
