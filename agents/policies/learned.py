"""A learned policy: a small network from the summary of a belief to a movement.

    h_0 = the fields of `summary` that it was trained on, one after the other
    h_k = f(W_k h_{k-1} + b_k),  f = tanh or relu, none at the end
    action = h_n + exp(log_std) * z, z standard normal, cut to -1 ... 1

It is trained in `active.ActiveRecognitionEnv` by whatever reinforcement learning; what is kept is the network alone,
as a safetensors file: tensors `0.weight`, `0.bias`, ... and `log_std`, and a JSON text `cortical` in its header:

    format, version    what this file is, and how it is laid out
    fields             {name: size} in the order of the input
    action_mode        what the action means: "orbit" or "body", as in the environment
    activation         "tanh" or "relu"
    extra              whatever JSON says where it comes from
    checksum           sha256 over all of the above and the tensors

Nothing runs code on load.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from cortical.columns.messages import Goal
from cortical.columns.storage import write_whole

from .orbit import orbit_action, pose_after
from .policy import Situation
from .summary import belief_summary, summary_sizes

FORMAT, VERSION, ENTRY = "cortical-policy", 1, "cortical"
SHIPPED = Path(__file__).with_name("learned.safetensors")
"""The policy that comes with the package, trained by benchmarks/policy_learning.py."""
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}
REMEDY = "train one with demos/train_policy.py"


class PolicyFileError(ValueError):
    """A policy file that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class PolicyNetwork:
    """The network of a learned policy.

    layers : (weight (out, in), bias (out,)) of each, float32
    log_std : (5,) of the action's noise
    fields : names and sizes of the summary's fields that it is shown, in order
    action_mode : "orbit" or "body"
    activation : "tanh" or "relu"
    extra : plain JSON on where it comes from
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    log_std: Tensor
    fields: dict[str, int]
    action_mode: str = "orbit"
    activation: str = "tanh"
    extra: dict[str, Any] = field(default_factory=dict)

    def __call__(self, summary: dict[str, np.ndarray], random: np.random.Generator | None = None) -> np.ndarray:
        """The action (5,) for a summary; without a generator the mean of what it would draw."""
        h = torch.from_numpy(np.concatenate([summary[name] for name in self.fields]))
        for i, (weight, bias) in enumerate(self.layers):
            h = torch.addmv(bias, weight, h)
            if i + 1 < len(self.layers):
                h = ACTIVATIONS[self.activation](h)
        if random is not None:
            h = h + self.log_std.exp() * torch.from_numpy(random.standard_normal(len(h)).astype(np.float32))
        return h.clamp(-1.0, 1.0).numpy()


def network_of(model: Any, fields: dict[str, int], action_mode: str = "orbit", **extra: Any) -> PolicyNetwork:
    """The policy network of a Stable-Baselines3 model (PPO, A2C) with an MlpPolicy on the flattened fields.

    Raises ValueError if the model has another kind of network.
    """
    try:
        policy = model.policy
        inner, last = list(policy.mlp_extractor.policy_net), policy.action_net
        linear = [part for part in (*inner, last) if isinstance(part, torch.nn.Linear)]
        kinds = {type(part).__name__.lower() for part in inner} - {"linear"} or {"tanh"}
        layers = tuple((x.weight.detach().cpu().clone(), x.bias.detach().cpu().clone()) for x in linear)
        log_std = policy.log_std.detach().cpu().clone()
    except (AttributeError, TypeError) as error:
        raise ValueError(f"not the network of a PPO or A2C with an MlpPolicy and Gaussian actions: {error}") from error
    network = PolicyNetwork(layers, log_std, dict(fields), action_mode, kinds.pop(), extra)
    _check(network, "this model")
    return network


def save_policy(path: str | Path, network: PolicyNetwork) -> None:
    """Write a policy file, whole or not at all. Raises OSError."""
    tensors = {"log_std": network.log_std.contiguous()}
    for i, (weight, bias) in enumerate(network.layers):
        tensors |= {f"{i}.weight": weight.contiguous(), f"{i}.bias": bias.contiguous()}
    content = {
        "format": FORMAT, "version": VERSION, "fields": network.fields, "action_mode": network.action_mode,
        "activation": network.activation, "extra": network.extra,
    }  # fmt: skip
    content["checksum"] = _checksum(content, tensors)
    write_whole(Path(path), bytes_of(tensors, {ENTRY: json.dumps(content)}))


def load_policy(path: str | Path) -> PolicyNetwork:
    """Read a policy file. Raises PolicyFileError if it is missing, damaged, or of another kind or version."""
    path = Path(path)
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][ENTRY])
        kind, version, wanted = content["format"], content["version"], content.pop("checksum")
        if kind != FORMAT or version != VERSION:
            here = f"{FORMAT!r} of version {VERSION}"
            raise PolicyFileError(f"{path} holds {kind!r} of version {version!r}, not {here}: {REMEDY}")
        tensors = tensors_of(data)
        if _checksum(content, tensors) != wanted:
            raise PolicyFileError(f"{path} was changed after it was written (wrong checksum): {REMEDY}")
        count = len(tensors) // 2
        layers = tuple((tensors[f"{i}.weight"], tensors[f"{i}.bias"]) for i in range(count))
        fields = {str(name): int(size) for name, size in content["fields"].items()}
        told = content["action_mode"], content["activation"], dict(content["extra"])
        network = PolicyNetwork(layers, tensors["log_std"], fields, *told)
    except OSError as error:
        raise PolicyFileError(f"cannot read the policy {path} ({error.strerror}): {REMEDY}") from error
    except PolicyFileError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PolicyFileError(f"{path} is no policy file, or damaged ({error}): {REMEDY}") from error
    _check(network, str(path))
    return network


class Learned:
    """Moves as a trained network says.

    network : a policy, or a file of one; none: the one that comes with the package
    mean : take the mean of the network's actions instead of drawing
    """

    def __init__(self, network: PolicyNetwork | str | Path = "", mean: bool = False) -> None:
        self.network = network if isinstance(network, PolicyNetwork) else load_policy(network or SHIPPED)
        self.mean = mean

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One movement; before any sensation, a step around the origin. Raises PolicyFileError if the network was
        trained with another number of objects than the region knows."""
        position, gaze = pose_after(situation, self._action(situation, random))
        origin, target = torch.from_numpy(position[None]), torch.from_numpy((position + gaze)[None])
        return [Goal(origin, target, torch.zeros(1), "as was learnt")]

    def _action(self, situation: Situation, random: np.random.Generator) -> np.ndarray:
        sizes = summary_sizes(len(situation.region.objects))
        if any(sizes.get(name) != size for name, size in self.network.fields.items()):
            objects = self.network.fields["posterior"] - 1
            raise PolicyFileError(
                f"the policy was trained with {objects} objects, but {len(situation.region.objects)} are known here: "
                "train one for these, or one that isn't shown the posterior"
            )
        wish = np.zeros(5, np.float32)
        if situation.newest is not None:
            wish = self.network(belief_summary(situation), None if self.mean else random)
        return orbit_action(situation, wish) if self.network.action_mode == "orbit" else wish


def _check(network: PolicyNetwork, name: str) -> None:
    """Raises PolicyFileError unless the parts fit together."""
    widths = [sum(network.fields.values())]
    sizes = summary_sizes(network.fields.get("posterior", 1) - 1)
    problems = []
    for weight, bias in network.layers:
        if weight.ndim != 2 or weight.shape[1] != widths[-1] or bias.shape != weight.shape[:1]:
            problems.append(f"a layer {tuple(weight.shape)} after {widths[-1]} numbers")
            break
        widths.append(len(bias))
    tensors = [x for layer in network.layers for x in layer] + [network.log_std]
    if not network.layers or widths[-1] != 5 or network.log_std.shape != (5,):
        problems.append("other than five numbers come out")
    if any(x.dtype != torch.float32 or not bool(torch.isfinite(x).all()) for x in tensors):
        problems.append("numbers that aren't finite float32")
    if any(sizes.get(field) != size for field, size in network.fields.items()):
        problems.append("fields that a summary doesn't have")
    if network.activation not in ACTIVATIONS or network.action_mode not in ("orbit", "body"):
        problems.append(f"{network.activation!r} or {network.action_mode!r} is not known")
    if problems:
        raise PolicyFileError(f"{name} doesn't hold a policy of this version ({'; '.join(problems)}): {REMEDY}")


def _checksum(content: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(tensors):
        part = tensors[name].contiguous()
        digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode() + part.numpy().tobytes())
    return digest.hexdigest()
