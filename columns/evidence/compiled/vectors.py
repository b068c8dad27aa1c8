"""Three numbers at a time, for kernels: no temporary array."""

from numba import njit


@njit(cache=True, inline="always")
def into(rotation, x, y, z, out):
    for i in range(3):
        out[i] = rotation[0, i] * x + rotation[1, i] * y + rotation[2, i] * z


@njit(cache=True, inline="always")
def out_of(rotation, v, out):
    for i in range(3):
        out[i] = rotation[i, 0] * v[0] + rotation[i, 1] * v[1] + rotation[i, 2] * v[2]


@njit(cache=True, inline="always")
def cross(a, b, out, scale, start):
    out[start] += scale * (a[1] * b[2] - a[2] * b[1])
    out[start + 1] += scale * (a[2] * b[0] - a[0] * b[2])
    out[start + 2] += scale * (a[0] * b[1] - a[1] * b[0])


@njit(cache=True, inline="always")
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, inline="always")
def clip(x, limit):
    return max(-limit, min(limit, x))
