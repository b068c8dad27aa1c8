"""Tensors here are small: a second thread costs more than it gives, several times so on a busy machine."""

import torch

torch.set_num_threads(1)
