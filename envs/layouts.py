"""Where the patches of an eye look: its receptive fields, as data.

    grid    as dense everywhere: a cross of 5, a square of k x k, else a spiral
    rings   the gaze, and around it rings of 6, 12, 18 ... patches, `spread` apart
    fovea   dense at the gaze and ever coarser outwards: patches at eccentricity E lie spread (1 + E / h) apart, as
            the cortex magnifies the fovea by M(E) = M0 / (1 + E / h) (Horton & Hoyt, Archives of Ophthalmology 109,
            1991); so n patches lie within E where n = 2 pi (h / spread)^2 [ln(1 + u) - u / (1 + u)], u = E / h
    a file  an array of one's own, (columns, 2) degrees right of and below the gaze, .npy or .csv; a third number, if
            there is one, is the patch's own width in degrees: a wide one sees as many pixels, but coarsely; and a
            fourth how many times the noise it has, 1 as all others

Angles to the right and down are two numbers of one turn (see `bodies.gaze_turn`): their length is the eccentricity.
"""

import math
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import root_scalar

from cortical.configs.schema import LAYOUTS

GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
HALVED = 4.0
"""Spreads from the gaze at which patches of a fovea lie twice as far apart as at the gaze: h / spread."""
WIDEST = 75.0
"""Degrees from the gaze: no patch of rings, of a fovea or of a file looks further aside."""
BROADEST = 12.0
"""Degrees: how wide a patch is at most."""


def patch_angles(columns: int, spread: float, layout: str = "grid") -> np.ndarray:
    """Where the patches look, (columns, 2) radians to the right of and below the gaze.

    spread : degrees between neighbours: of a fovea at the gaze, of a file's nothing
    layout : grid, rings, fovea, or a file as in `from_file`. Of a grid, 1 is the gaze; 5 the gaze and `spread`
        degrees above, below, left and right of it; k x k a square of that pitch, row by row from the upper left; any
        other number a spiral from the gaze outwards, as dense.

    Raises ValueError for a number of columns below 0, a layout that there isn't, one that is too wide, a bad file.
    """
    if columns < 0:
        raise ValueError(f"an eye has 0 columns (no eye) or more, not {columns}")
    if columns == 0:
        return np.zeros((0, 2))
    if layout == "grid":
        return _grid(columns) * math.radians(spread)
    if layout not in LAYOUTS:
        return np.radians(from_file(layout, columns)[:, :2])
    reach = _rings(columns) if layout == "rings" else _fovea(columns)
    widest = spread * float(np.linalg.norm(reach, axis=1).max(initial=0.0))
    if widest > WIDEST:
        raise ValueError(
            f'layout = "{layout}": {columns} patches {spread:g} degrees apart reach {widest:.0f} degrees from the '
            f"gaze, more than {WIDEST:g}: lower the spread or the number of columns"
        )
    return reach * math.radians(spread)


def patch_widths(columns: int, field_of_view: float, layout: str = "grid") -> np.ndarray:
    """How wide each patch is, (columns,) radians: as a file says, or `field_of_view` degrees.

    Raises ValueError for a width that isn't above 0 and at most 12 degrees, and for a bad file.
    """
    if not 0.0 < field_of_view <= BROADEST:
        raise ValueError(f"a patch is at most {BROADEST:g} degrees wide, not field_of_view={field_of_view}")
    if columns and layout not in LAYOUTS and (own := from_file(layout, columns)).shape[1] > 2:
        return np.radians(own[:, 2])
    return np.full(columns, math.radians(field_of_view))


def patch_noises(columns: int, layout: str = "grid") -> np.ndarray:
    """How many times the noise each patch has, (columns,): as a file says, or 1. Raises ValueError for a bad file."""
    if columns and layout not in LAYOUTS and (own := from_file(layout, columns)).shape[1] > 3:
        return own[:, 3]
    return np.ones(columns)


def from_file(path: str | Path, columns: int | None = None) -> np.ndarray:
    """An array of one's own, float64 degrees: (columns, 2) to the right of and below the gaze, or (columns, 3) with the
    width of each patch, or (columns, 4) with how many times the noise it has, too.

    path : an .npy file of numbers (nothing in it is run), or a .csv file, two to four numbers a line, heading allowed
    columns : how many patches it must have; None: any number, but one

    Raises ValueError where it can't be read, has another shape, or holds a NaN, an angle of more than 75 degrees, a
    width that isn't above 0 and at most 12, or a negative or infinite multiple of the noise.
    """
    where = Path(path).expanduser()
    degrees = _read(where)
    if degrees.dtype.kind not in "fiu" or degrees.ndim != 2 or degrees.shape[1] not in (2, 3, 4) or not len(degrees):
        raise ValueError(
            f"{where} must hold numbers (columns, 2), degrees to the right of and below the gaze, or (columns, 3) with "
            f"each patch's width, or (columns, 4) with its noise, too, not {degrees.shape} {degrees.dtype}"
        )
    if columns is not None and len(degrees) != columns:
        raise ValueError(f"{where} places {len(degrees)} patches, but the eye has {columns}: columns = {len(degrees)}")
    degrees = degrees.astype(np.float64)
    far = ~(np.linalg.norm(degrees[:, :2], axis=1) <= WIDEST)
    if far.any():
        row = int(far.argmax())
        raise ValueError(
            f"{where}: patch {row} (counted from 0) is at {degrees[row, :2].tolist()} degrees, but a patch is a place "
            f"at most {WIDEST:g} degrees from the gaze; are these radians or pixels?"
        )
    broad = ~((degrees[:, 2:3] > 0) & (degrees[:, 2:3] <= BROADEST)).all(1)
    if broad.any():
        row = int(broad.argmax())
        raise ValueError(
            f"{where}: patch {row} (counted from 0) is {degrees[row, 2]:g} degrees wide, but a patch is more than 0 "
            f"and at most {BROADEST:g} degrees wide"
        )
    loud = ~((degrees[:, 3:] >= 0) & np.isfinite(degrees[:, 3:])).all(1)
    if loud.any():
        row = int(loud.argmax())
        raise ValueError(f"{where}: patch {row} (counted from 0) has {degrees[row, 3]:g} times the noise: 0 or more")
    return degrees


def _read(where: Path) -> np.ndarray:
    if where.suffix.lower() not in (".npy", ".csv"):
        raise ValueError(f"no layout {str(where)!r}: choose {', '.join(LAYOUTS)}, or a file that ends in .npy or .csv")
    try:
        if where.suffix.lower() == ".npy":
            return np.load(where, allow_pickle=False)
        lines = where.read_text(encoding="utf-8-sig").splitlines()
        heading = bool(lines) and not _numeric(lines[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty file, whose shape says it
            return np.loadtxt(lines, delimiter=",", skiprows=int(heading), ndmin=2)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"cannot read the patches of an eye from {where}: {error}") from error


def _numeric(line: str) -> bool:
    try:
        [float(word) for word in line.split("#")[0].split(",")]
    except ValueError:
        return not line.split("#")[0].strip()
    return True


def _grid(columns: int) -> np.ndarray:
    side = math.isqrt(columns)
    if columns == 5:
        return np.array([(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)], dtype=float)
    if side * side == columns:
        line = np.arange(side) - (side - 1) / 2
        return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return _spiral(np.sqrt(np.arange(columns) / math.pi))


def _spiral(radius: np.ndarray) -> np.ndarray:
    """Points at these distances, each the golden angle further round than the last (Vogel, Math. Biosciences 44,
    1979): as many in every direction."""
    angle = np.arange(len(radius)) * GOLDEN_ANGLE
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _rings(columns: int) -> np.ndarray:
    """Rings from the gaze outwards, each from its top clockwise; the last holds what is left, evenly."""
    places, ring = [np.zeros((min(columns, 1), 2))], 1
    while (left := columns - 1 - 3 * ring * (ring - 1)) > 0:
        angle = np.arange(min(left, 6 * ring)) * (2 * math.pi / min(left, 6 * ring))
        places.append(ring * np.stack([np.sin(angle), -np.cos(angle)], axis=-1))
        ring += 1
    return np.concatenate(places)


def _fovea(columns: int) -> np.ndarray:
    """A spiral whose density falls with eccentricity."""
    within = np.arange(columns) / (2 * math.pi * HALVED**2)
    return _spiral(HALVED * np.array([_eccentricity(share) for share in within]))


def _eccentricity(within: float) -> float:
    """u of ln(1 + u) - u / (1 + u) = within, which lies between exp(within) - 1 and exp(within + 1) - 1."""
    if within > 50:
        return math.inf  # further aside than any eye looks
    bracket = (0.0, math.exp(within + 1))
    return root_scalar(lambda u: math.log1p(u) - u / (1 + u) - within, bracket=bracket).root if within else 0.0
