"""The table of sparse layers, for render.py: of benchmarks/sparse_*.py, permuted_mnist.py and patch_noise.py."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def sparse() -> str:
    """A row for each experiment."""
    rows = _speed(_result("sparse_layers")) | _digits(_result("sparse_mnist")) | _words(_result("sparse_wikitext"))
    for count, name in (("ten", "permuted_mnist"), ("fifty", "permuted_mnist-50")):
        rows |= _tasks(f"{count} permuted tasks in turn", _result(name)["accuracy_percent"])
    rows |= _look(_result("patch_noise-default")["summary"])
    head = ["| sparse | against dense layers in float32, one thread |", "|---|---|"]
    return "\n".join(head + [f"| {name} | {text} |" for name, text in rows.items()])


def _result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _speed(s: dict) -> dict[str, str]:
    return {
        "4,096 x 4,096, one input, 2 % of it active, 5 % of the weights": f"{s['b1_n4096_a2_d5']:.0f} times as fast",
        "the same, 10 % and 10 %": f"{s['b1_n4096_a10_d10']:.0f} times as fast",
        "a training step, 10 % and 10 %, batch 64": f"{s['train_step_a10_d10']:.1f} times as fast",
        f'`format="auto"`, the worst of {len(s["auto"])} settings': f"{s['auto_worst']:.2f} times as fast",
    }


def _digits(s: dict) -> dict[str, str]:
    right, more = s[f"test_{s['best_sparse']}"], 100 * s["noise_score_more"]
    return {
        "handwritten digits, a whole network, 9 % of the weights, 10 % active": (
            f"{right:.2f} % right (dropout {s['test_dropout']:.2f}, dense {s['test_dense']:.2f}), noise score "
            f"{more:+.0f} % on dropout's, {s['fewer_multiply_adds_dense_conv']:.0f} times fewer multiply-adds, "
            f"{s['less_time_dense_conv']:.1f} times less time"
        )
    }


def _words(s: dict) -> dict[str, str]:
    best = s[f"test_{s['best_sparse']}"]
    return {
        "words (WikiText-2), a transformer with a tenth of the weights": (
            f"perplexity {best:.1f}, dense {s['test_dense']:.1f}"
        )
    }


def _tasks(title: str, right: dict[str, float]) -> dict[str, str]:
    return {
        title: (
            f"{right['mlp']:.0f} % right, with dendrites {right['dendrites']:.0f}, with k winners "
            f"{right['winners']:.0f}, with both {right['both']:.0f}, with synaptic intelligence, too, "
            f"{right['both+si']:.0f}"
        )
    }


def _look(s: dict) -> dict[str, str]:
    right = {name: f"{100 * s['points'][f'{name} 8']['correct']:.0f} %" for name in s["lost"]}
    return {
        "objects named, colour and curvature 8 times as noisy": (
            f"surface features {right['surface']}, fixed code {right['sdr']}, learnt code {right['sdr-learnt']}, "
            f"surface and learnt code {right['both-learnt']}"
        )
    }
