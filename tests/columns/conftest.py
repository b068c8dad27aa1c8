"""Tensors here are small: a second thread costs more than it gives, several times so on a busy machine."""

import pytest
import torch

from .shapes import SCHEMAS, learnt

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def atlases():
    """Maps of the egg and the ring, packed for each schema."""
    return {name: learnt(schema) for name, schema in SCHEMAS.items()}


@pytest.fixture(scope="session")
def atlas(atlases):
    return atlases["surface"]
