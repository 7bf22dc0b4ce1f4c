// A crystal that can be turned: 3Dmol.js draws it, arrow keys turn it too.
import { html, useEffect, useRef, useState } from "./ui.js";
import { edges, supercell, xyz } from "./lattice.js";
import { address, ask } from "./server.js";
import { ProblemLine } from "./words.js";

const LIBRARY = "/page/vendored/3dmol.js";
const TURNS = { ArrowLeft: [-12, "y"], ArrowRight: [12, "y"], ArrowUp: [-12, "x"], ArrowDown: [12, "x"] };
const SPHERE = 0.3; // of an atom's van der Waals radius
const STICK = 0.13; // Å
const EDGE = 0.035; // Å
const ROOM = 0.88; // of the frame, for the edges
const UNCOLOURED = 0xff1493;

let library = null; // half a megabyte, loaded when the first crystal is looked at

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = LIBRARY;
    script.onload = () => resolve(window.$3Dmol);
    script.onerror = () => reject(new Error(`${LIBRARY} did not load`));
    document.head.append(script);
  });
  return library;
}

export function Crystal({ candidate, rank, metals, label }) {
  const frame = useRef(null);
  const viewer = useRef(null);
  const [cells, setCells] = useState(1);
  const [bonds, setBonds] = useState(true);
  const [shown, setShown] = useState({ elements: [], problem: null });
  useEffect(() => {
    let gone = false;
    Promise.all([load(), ask("GET", address(`/v1/candidates/${candidate}/structure`, { format: "json", rank }))])
      .then(([tools, structure]) => {
        if (gone) return;
        viewer.current ??= tools.createViewer(frame.current, { backgroundAlpha: 0 });
        setShown({ elements: draw(tools, viewer.current, structure, cells, bonds && new Set(metals)), problem: null });
      })
      .catch((problem) => gone || setShown({ elements: [], problem }));
    return () => { gone = true; };
  }, [candidate, rank, cells, bonds]);
  useEffect(() => () => viewer.current?.removeAllModels(), []);
  const turn = (event) => {
    const step = TURNS[event.key];
    if (!step || !viewer.current) return;
    event.preventDefault();
    viewer.current.rotate(...step);
  };
  return html`<${ProblemLine} problem=${shown.problem} />
    <div class="crystal" ref=${frame} tabindex="0" role="img" aria-label=${label} data-drawn=${shown.elements.length > 0 ? `${cells}` : null} onKeyDown=${turn}></div>
    <div class="legend">${shown.elements.map(([symbol, colour]) => html`<span><i style=${{ background: colour }}></i>${symbol}</span>`)}</div>
    <div class="row" role="group" aria-label="View">
      ${[1, 2, 3].map((many) => html`<button aria-pressed=${String(cells === many)} onClick=${() => setCells(many)}>${many}×${many}×${many}</button>`)}
      <label class="row"><input type="checkbox" checked=${bonds} onChange=${(event) => setBonds(event.target.checked)} />bonds</label>
      <button onClick=${() => viewer.current && whole(viewer.current)}>Whole</button>
    </div>`;
}

// bonds: false, or the metals, which are not drawn as bonded to one another.
function draw(tools, viewer, structure, cells, bonds) {
  viewer.removeAllModels();
  viewer.removeAllShapes();
  const atoms = supercell(structure, cells);
  const model = viewer.addModel(xyz(atoms), "xyz");
  for (const many of new Set([1, cells])) box(viewer, edges(structure, many));
  if (bonds) unbind(model.selectedAtoms({}), bonds);
  const sphere = { scale: SPHERE, colorscheme: "Jmol" };
  viewer.setStyle({}, bonds ? { sphere, stick: { radius: STICK, colorscheme: "Jmol" } } : { sphere });
  viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
  viewer.rotate(-76, "x");
  viewer.rotate(-24, "z");
  whole(viewer);
  const symbols = [...new Set(atoms.map(([symbol]) => symbol))].sort();
  return symbols.map((symbol) => [symbol, `#${(tools.elementColors.Jmol[symbol] ?? UNCOLOURED).toString(16).padStart(6, "0")}`]);
}

// Cesium atoms lie within twice their covalent radius of one another in any salt: what is drawn as bonded is chemistry.
function unbind(atoms, metals) {
  if (atoms.every(({ elem }) => metals.has(elem))) return;
  const apart = new Set(atoms.filter(({ elem }) => metals.has(elem)).map(({ index }) => index));
  for (const atom of atoms.filter(({ index }) => apart.has(index))) {
    const kept = atom.bonds.map((other) => !apart.has(other));
    atom.bondOrder = atom.bondOrder.filter((_, place) => kept[place]);
    atom.bonds = atom.bonds.filter((_, place) => kept[place]);
  }
}

function whole(viewer) {
  viewer.zoomTo();
  viewer.zoom(ROOM);
  viewer.render();
}

function box(viewer, lines) {
  const point = ([x, y, z]) => ({ x, y, z });
  for (const [start, end] of lines) viewer.addCylinder({ start: point(start), end: point(end), radius: EDGE, color: "gray" });
}
