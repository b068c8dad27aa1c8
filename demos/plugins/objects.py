"""A catalogue made in code: letters of little cubes. L is red and T green: to a colour-blind eye they are alike.

world.objects = "letters"
"""

import numpy as np
from trimesh.voxel.ops import multibox

from cortical.envs.objects import Catalogue, Mesh, solid

CUBE = 0.02  # metres
RED, GREEN, BLUE, YELLOW = (0.8, 0.2, 0.2), (0.2, 0.8, 0.2), (0.2, 0.3, 0.8), (0.9, 0.8, 0.2)
LETTERS = {
    "L": (RED, ("#..", "#..", "#..", "###")),
    "T": (GREEN, ("###", ".#.", ".#.", ".#.")),
    "U": (BLUE, ("#.#", "#.#", "#.#", "###")),
    "H": (YELLOW, ("#.#", "###", "#.#", "#.#")),
}


def letters() -> Catalogue:
    """The letters by their names; each is built when it is first asked for."""
    return Catalogue(dict.fromkeys(LETTERS, _built))


def _built(name: str) -> Mesh:
    colour, lines = LETTERS[name]
    cells = np.array([[sign == "#" for sign in line] for line in lines])
    return solid(name, multibox(np.argwhere(cells[..., None]) * CUBE, pitch=CUBE), colour)
