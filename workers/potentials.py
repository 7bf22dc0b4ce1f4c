"""The universal potential: CHGNet energies, descriptors and relaxation."""

import io
import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
import torch
from chgnet.graph import CrystalGraph
from chgnet.model import CHGNet
from pymatgen.core import Element

from workers.crystal_graphs import build_graph
from workers.crystals import Crystal, flaw, matrix
from workers.errors import CrystalError
from workers.relaxation import Relaxed, Slope, reason, relax

HEAVIEST = 94  # CHGNet embeds the elements up to plutonium


@dataclass(frozen=True, slots=True)
class Described:
    """What CHGNet knows of a crystal: energy in eV/atom, crystal features (64), and by atom its features (n, 64),
    energy (n) in eV and magnetic moment (n) in μB."""

    energy: float
    crystal: np.ndarray
    atoms: np.ndarray
    site_energies: np.ndarray
    moments: np.ndarray


class Potential:
    """CHGNet 0.3.0 on one device. Each crystal is computed alone, so that its answer cannot depend on its neighbours:
    in batches matrix products round differently, and on a processor they gain less than a fifth."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        with redirect_stdout(io.StringIO()):  # CHGNet prints its size whatever its verbose flag says
            self._model = CHGNet.load(use_device=device, verbose=False)
        self._model.eval().requires_grad_(False)

    def energies(self, crystals: Sequence[Crystal]) -> list[float]:
        """Energies in eV/atom; infinite where refusal says why, so that such a crystal ranks last."""
        return [self._energy(crystal) for crystal in crystals]

    def refusal(self, crystal: Crystal) -> str | None:
        """Why the potential cannot measure the crystal, or None."""
        try:
            self._graph(crystal)
        except CrystalError as exc:
            return reason(exc)
        return None

    def relax(self, crystals: Sequence[Crystal], steps: int = 30, fmax: float = 0.05) -> list[Relaxed]:
        """Relaxed crystals, forces in eV/Å; one that cannot be measured comes back as it is, with its flaw."""
        return [self._relax(crystal, steps, fmax) for crystal in crystals]

    @torch.no_grad()
    def describe(self, crystal: Crystal) -> Described:
        """The crystal as the potential sees it; raises CrystalError."""
        outputs = dict.fromkeys(("return_site_energies", "return_atom_feas", "return_crystal_feas"), True)
        answer = self._model([self._graph(crystal)], task="em", **outputs)
        return Described(
            energy=float(answer["e"]),
            crystal=answer["crystal_fea"][0].cpu().numpy() / len(crystal.species),
            atoms=answer["atom_fea"][0].cpu().numpy(),
            site_energies=answer["site_energies"][0].cpu().numpy(),
            moments=answer["m"][0].cpu().numpy(),
        )

    @torch.no_grad()
    def _energy(self, crystal: Crystal) -> float:
        try:
            return float(self._model([self._graph(crystal)])["e"])
        except CrystalError:
            return math.inf

    def _relax(self, crystal: Crystal, steps: int, fmax: float) -> Relaxed:
        try:
            numbers = _numbers(crystal)
            return relax(crystal, lambda coords, lattice: self.slope(numbers, coords, lattice), steps, fmax)
        except CrystalError as exc:
            return Relaxed(crystal, math.inf, 0, False, reason(exc))

    def slope(self, numbers: Sequence[int], coords: np.ndarray, lattice: np.ndarray) -> Slope:
        """Energy and gradients of a cell of atomic numbers (n), fractional coordinates (n, 3) and lattice (3, 3) in Å;
        raises CrystalError."""
        graph = build_graph(numbers, coords, lattice).to(self._device)
        with warnings.catch_warnings():  # CHGNet makes a plain number of the volume, which it then does not use
            warnings.filterwarnings("ignore", "Converting a tensor", UserWarning)
            energy = self._model([graph])["e"].sum() * len(numbers)
        by_coords, by_lattice = torch.autograd.grad(energy, [graph.atom_frac_coord, graph.lattice])
        return Slope(float(energy), by_coords.double().cpu().numpy(), by_lattice.double().cpu().numpy())

    def _graph(self, crystal: Crystal) -> CrystalGraph:
        return build_graph(_numbers(crystal), np.asarray(crystal.coords), matrix(crystal)).to(self._device)


def _numbers(crystal: Crystal) -> list[int]:
    """Atomic numbers of a crystal that the potential can measure; raises CrystalError."""
    if problem := flaw(crystal):
        raise CrystalError(crystal.formula, problem)
    numbers = [int(Element(symbol).Z) for symbol in crystal.species]
    if max(numbers) > HEAVIEST:
        raise CrystalError(crystal.formula, "an element heavier than plutonium, which CHGNet does not know")
    return numbers
