// Atoms of a supercell in Cartesian coordinates, from a structure as pymatgen writes it.

const NEAR = 1e-3; // of a cell's edge: an atom there also stands on the opposite face

const ORIGIN = [0, 0, 0];
const sum = (...vectors) => vectors.reduce(([x, y, z], [u, v, w]) => [x + u, y + v, z + w], ORIGIN);
const times = (vector, factor) => vector.map((value) => value * factor);

// n × n × n cells with the atoms on all their faces, as [symbol, [x, y, z]] in Å.
export function supercell({ lattice, sites }, n) {
  return sites.flatMap(({ species, abc }) => {
    const inside = abc.map((value) => (value % 1) + (value % 1 < -NEAR ? 1 : 0)).map((value) => (value > 1 - NEAR ? value - 1 : value));
    const steps = inside.map((value) => [...Array(n + (value < NEAR ? 1 : 0)).keys()].map((step) => value + step));
    const [first, second, third] = steps;
    return first.flatMap((a) => second.flatMap((b) => third.map((c) => [species[0].element, sum(...[a, b, c].map((value, axis) => times(lattice.matrix[axis], value)))])));
  });
}

// The twelve edges of a box of n × n × n cells, each from one corner to another.
export function edges({ lattice }, n) {
  const [a, b, c] = lattice.matrix.map((vector) => times(vector, n));
  return [[a, b, c], [b, a, c], [c, a, b]].flatMap(([along, one, other]) =>
    [ORIGIN, one, other, sum(one, other)].map((start) => [start, sum(start, along)]),
  );
}

export const xyz = (atoms) => [atoms.length, "", ...atoms.map(([symbol, place]) => `${symbol} ${place.join(" ")}`)].join("\n");
