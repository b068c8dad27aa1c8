"""Synaptic intelligence: weights that mattered for earlier tasks are held where they were.

    w_k = -sum over steps of g_k dtheta_k          Omega_k <- Omega_k + w_k / ((theta_k - theta*_k)^2 + damping)
    loss + c sum_k Omega_k (theta_k - theta*_k)^2

g : gradient of the task's own loss; dtheta : what a step changed; theta* : where the last task ended (F. Zenke, B.
Poole, S. Ganguli 2017, "Continual learning through synaptic intelligence", arXiv:1703.04200). w_k is what weight k
contributed to the fall of the loss.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class SynapticIntelligence:
    """Holds the parameters given. strength : c; damping : > 0, squared units of weights.

        loss.backward()
        intelligence.step(optimizer)          # in place of optimizer.step()
        ...
        intelligence.end_task()

    Raises ValueError for a damping that isn't positive.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], strength: float = 0.1, damping: float = 0.1) -> None:
        if damping <= 0.0:
            raise ValueError(f"damping keeps from dividing by 0: give a positive one, not {damping}")
        self.parameters, self.strength, self.damping = list(parameters), strength, damping
        self.anchors = [p.detach().clone() for p in self.parameters]
        self.importance = [torch.zeros_like(p) for p in self.anchors]
        self.contribution = [torch.zeros_like(p) for p in self.anchors]

    def pull(self) -> list[Tensor]:
        """The gradient of the holding term, of each parameter."""
        terms = zip(self.parameters, self.anchors, self.importance, strict=True)
        return [2.0 * self.strength * held * (p.detach() - anchor) for p, anchor, held in terms]

    @torch.no_grad()
    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """A step of the optimiser under the holding term, and what it contributed. Parameters need a gradient."""
        before, own = [p.detach().clone() for p in self.parameters], []
        for p, pull in zip(self.parameters, self.pull(), strict=True):
            assert p.grad is not None, "call backward first"
            own.append(p.grad.clone())
            p.grad.add_(pull)
        optimizer.step()
        for total, p, old, gradient in zip(self.contribution, self.parameters, before, own, strict=True):
            total.sub_(gradient * (p - old))

    @torch.no_grad()
    def end_task(self) -> None:
        """What the task's weights were worth is added to what is held, and they are held where they are."""
        state = zip(self.parameters, self.anchors, self.importance, self.contribution, strict=True)
        for p, anchor, held, contribution in state:
            held.add_(contribution.clamp_min(0.0) / ((p - anchor) ** 2 + self.damping))
            anchor.copy_(p)
            contribution.zero_()
