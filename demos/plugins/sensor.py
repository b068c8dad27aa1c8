"""A sensor: an eye that can't tell red from green.

eye.sensor = "colour_blind"
"""

from dataclasses import replace

from cortical.envs.record import Images, Record
from cortical.envs.surface import fit


def colour_blind(images: Images, *how) -> Record:
    """What the built-in eye would read of images whose red and green were both their mean; arguments as `fit` has."""
    rgb = images.rgb.copy()
    rgb[..., :2] = rgb[..., :2].mean(axis=-1, keepdims=True)
    return fit(replace(images, rgb=rgb), *how)
