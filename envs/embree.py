"""Embree, which finds the triangle that a ray meets, called through its own C interface.

The Python package embreex brings Embree 4 but hands it rays one by one. Embree is made for packets: rays
that start and run close together walk down its tree at once, 16 of them with AVX-512, 8 with AVX, 4 else.
A packet is a structure of arrays, (ROWS, width) of 4 bytes each; rows as in RTCRayHit16 of
embree4/rtcore_ray.h, and one more row, -1 where the lane holds a ray and 0 where it is empty.
"""

import ctypes
import weakref
from functools import lru_cache
from pathlib import Path

import llvmlite.binding
import numpy as np
from numba import njit, types

ORIGIN, NEAR, DIRECTION, TIME, FAR, MASK = 0, 3, 4, 7, 8, 9
NUMBER, FLAGS, TRIANGLE, GEOMETRY, INSTANCE, FILLED = 10, 11, 17, 18, 19, 24
ROWS = 25
WIDTHS = {16: 34, 8: 33, 4: 32}
"""Rays in a packet, and the number of the device property that tells whether the processor takes it whole."""

_TRIANGLES, _FLOAT3, _UINT3, _INDICES, _VERTICES, _ROBUST = 0, 0x9003, 0x5003, 0, 1, 4
_COHERENT, _ALL_FEATURES = 1 << 16, -1
_HANDLE, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SIGNATURES = {
    "rtcNewDevice": (_HANDLE, ctypes.c_char_p),
    "rtcGetDeviceProperty": (ctypes.c_ssize_t, _HANDLE, _INT),
    "rtcGetDeviceError": (_INT, _HANDLE),
    "rtcNewScene": (_HANDLE, _HANDLE),
    "rtcSetSceneFlags": (None, _HANDLE, _INT),
    "rtcNewGeometry": (_HANDLE, _HANDLE, _INT),
    "rtcSetNewGeometryBuffer": (_HANDLE, _HANDLE, _INT, _INT, _INT, _SIZE, _SIZE),
    "rtcCommitGeometry": (None, _HANDLE),
    "rtcAttachGeometry": (_INT, _HANDLE, _HANDLE),
    "rtcReleaseGeometry": (None, _HANDLE),
    "rtcCommitScene": (None, _HANDLE),
    "rtcReleaseScene": (None, _HANDLE),
}


class Triangles:
    """A scene of triangles at rest.

    corners : (f, 3, 3) metres; single precision is kept
    handle : the scene, for `meet`
    width : rays in a packet

    Raises ImportError where embreex is missing or does not bring Embree 4.
    """

    def __init__(self, corners: np.ndarray):
        library, device = _open(_binding())
        whole = (width for width, known in WIDTHS.items() if library.rtcGetDeviceProperty(device, known))
        self.width = next(whole, 4)
        self.handle: int = library.rtcNewScene(device)
        weakref.finalize(self, library.rtcReleaseScene, self.handle)
        library.rtcSetSceneFlags(self.handle, _ROBUST)
        shape = library.rtcNewGeometry(device, _TRIANGLES)
        for kind, form, rows in (
            (_VERTICES, _FLOAT3, corners.reshape(-1, 3).astype(np.float32)),
            (_INDICES, _UINT3, np.arange(3 * len(corners), dtype=np.uint32)),
        ):
            place = library.rtcSetNewGeometryBuffer(shape, kind, 0, form, 12, rows.size // 3)
            ctypes.memmove(place, rows.ctypes.data, rows.nbytes)
        library.rtcCommitGeometry(shape)
        library.rtcAttachGeometry(self.handle, shape)
        library.rtcReleaseGeometry(shape)
        library.rtcCommitScene(self.handle)
        if error := library.rtcGetDeviceError(device):
            raise RuntimeError(f"Embree could not build a scene of {len(corners)} triangles: error {error}")

    def __reduce__(self):
        raise TypeError("a scene of Embree can be neither copied nor pickled: make a new one")

    def packet(self) -> np.ndarray:
        """An empty packet, (ROWS, width) int32, aligned as Embree wants it."""
        return _aligned(ROWS * self.width).reshape(ROWS, self.width)


def query(coherent: bool) -> np.ndarray:
    """How to search: `coherent` where the rays of a packet run close together (RTCIntersectArguments)."""
    arguments = _aligned(16)
    arguments[:2] = _COHERENT if coherent else 0, _ALL_FEATURES
    return arguments


def _aligned(count: int) -> np.ndarray:
    room = np.zeros(count + 16, np.int32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + count]


def _binding() -> Path:
    try:
        import embreex.rtcore_scene as binding
    except ImportError as error:
        raise ImportError("ray casting needs Embree: pip install embreex (x86-64 machines)") from error
    return Path(binding.__file__ or "")


@lru_cache(maxsize=1)
def _open(binding: Path) -> tuple[ctypes.CDLL, int]:
    """The library and a device; its packet functions are made known to numba."""
    for path in (binding, *binding.parents[1].glob("embreex.libs/*embree4*")):
        library = ctypes.CDLL(str(path))  # a library also finds the names of those it was linked with
        if hasattr(library, "rtcForwardIntersect16"):  # which older versions don't have
            break
    else:
        raise ImportError("embreex brings no Embree 4: pip install --upgrade embreex")
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    for width in WIDTHS:
        function = getattr(library, f"rtcIntersect{width}")
        llvmlite.binding.add_symbol(f"rtcIntersect{width}", ctypes.cast(function, _HANDLE).value)
    return library, library.rtcNewDevice(b"threads=1")


_signature = types.void(types.uintp, types.uintp, types.uintp, types.uintp)
_meet16, _meet8, _meet4 = (types.ExternalFunction(f"rtcIntersect{width}", _signature) for width in WIDTHS)


@njit(cache=True, nogil=True)
def meet(scene, query, packet):
    """Fill in the triangles (-1: none) that the rays of a packet meet, and the distances to them.

    Rows ORIGIN, DIRECTION (3 each), FAR and FILLED are to be set; FAR and TRIANGLE are the answer.
    """
    width = packet.shape[1]
    for lane in range(width):
        packet[NEAR, lane] = packet[TIME, lane] = packet[NUMBER, lane] = packet[FLAGS, lane] = 0
        packet[MASK, lane] = packet[TRIANGLE, lane] = packet[GEOMETRY, lane] = packet[INSTANCE, lane] = -1
    filled, rays, arguments = packet[FILLED].ctypes.data, packet.ctypes.data, query.ctypes.data
    if width == 16:
        _meet16(filled, scene, rays, arguments)
    elif width == 8:
        _meet8(filled, scene, rays, arguments)
    else:
        _meet4(filled, scene, rays, arguments)
