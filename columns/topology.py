"""Who hears whom: graphs of columns, by name or of the user's own.

A graph has one node a column, 0 ... m - 1. Its edges may carry a `weight` (how much of what comes along them counts;
default 1) and a `delay` (whole rounds that a message is on its way; default 0). A directed graph's edges point from who
speaks to who hears. What columns make of it is in lateral.py.
"""

import math
from pathlib import Path
from typing import get_args
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from cortical.configs.schema import Topology

TOPOLOGIES = get_args(Topology)


def topology(name: str, columns: int, seed: int = 0) -> nx.Graph:
    """A graph by name: all-to-all, ring, grid (nearly square), small-world (Watts-Strogatz, 4 neighbours, p = 0.1),
    random (connected Erdos-Renyi), groups (about sqrt(m) of them, all-to-all inside; their first columns join them in a
    ring) or none. Raises ValueError for another name, and for no columns."""
    if name not in TOPOLOGIES:
        raise ValueError(f"no topology {name!r}: choose {', '.join(TOPOLOGIES[:-1])} or none")
    if columns < 1:
        raise ValueError(f"a region needs one column or more, not {columns}")
    if columns == 1 or name == "none":
        return nx.empty_graph(columns)
    if name == "all-to-all" or columns <= 3:
        return nx.complete_graph(columns)
    if name == "ring":
        return nx.cycle_graph(columns)
    if name == "grid":
        return _grid(columns)
    if name == "groups":
        return _groups(columns)
    if name == "small-world":
        return nx.connected_watts_strogatz_graph(columns, min(4, columns - 1), 0.1, seed=seed)
    return _connected_random(columns, seed)


def _grid(columns: int) -> nx.Graph:
    width = math.isqrt(columns - 1) + 1
    graph = nx.empty_graph(columns)
    graph.add_edges_from((i, i + 1) for i in range(columns - 1) if (i + 1) % width)
    graph.add_edges_from((i, i + width) for i in range(columns - width))
    return graph


def _groups(columns: int) -> nx.Graph:
    parts = np.array_split(np.arange(columns), max(1, round(math.sqrt(columns))))
    graph = nx.empty_graph(columns)
    for part in parts:
        graph.add_edges_from((int(a), int(b)) for k, a in enumerate(part) for b in part[k + 1 :])
    heads = [int(part[0]) for part in parts]
    graph.add_edges_from((a, b) for a, b in zip(heads, heads[1:] + heads[:1], strict=True) if a != b)
    return graph


def _connected_random(columns: int, seed: int) -> nx.Graph:
    chance = min(1.0, 2 * math.log(columns + 1) / columns)
    for attempt in range(100):
        graph = nx.gnp_random_graph(columns, chance, seed=seed + attempt)
        if nx.is_connected(graph):
            return graph
    return nx.cycle_graph(columns)


def read_topology(path: str | Path, columns: int) -> nx.Graph:
    """A GraphML file as a graph of `columns` columns; nodes are named 0, 1, ... or n0, n1, ... there.

    Raises ValueError for a file that is none, and for a graph that `checked` refuses."""
    try:
        graph = nx.read_graphml(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; write one with networkx.write_graphml(graph, path)") from error
    except (ParseError, nx.NetworkXError, KeyError, ValueError) as error:
        raise ValueError(f"{path} isn't GraphML as networkx.write_graphml writes it: {error}") from error
    if graph.is_multigraph():
        raise ValueError(f"{path} has several edges between the same two columns: join their weights")
    names = {node: str(node).removeprefix("n") for node in graph}
    if strange := [node for node, name in names.items() if not name.isdecimal()]:
        raise ValueError(f"{path}: nodes are numbers of columns, 0 ... {columns - 1}, not {strange[0]!r}")
    return checked(nx.relabel_nodes(graph, {node: int(name) for node, name in names.items()}), columns)


def checked(graph: nx.Graph, columns: int) -> nx.Graph:
    """The graph with all of its columns in order; those that no edge names hear nobody.

    Raises ValueError for an edge to a column that isn't there or to itself, and for weights and delays that aren't
    numbers of the right kind."""
    if columns < 1:
        raise ValueError(f"a region needs one column or more, not {columns}")
    if missing := sorted(node for node in graph if node not in range(columns)):
        raise ValueError(f"the graph names column {missing[0]}, but there are {columns}: 0 ... {columns - 1}")
    whole = graph.__class__()
    whole.add_nodes_from(range(columns))
    for a, b, about in graph.edges(data=True):
        weight, delay = about.get("weight", 1.0), about.get("delay", 0)
        if a == b:
            raise ValueError(f"column {a} has an edge to itself: leave it out, a column holds its own vote anyway")
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight > 0):
            raise ValueError(f"the edge from {a} to {b} has weight {weight}: a positive number is needed, or no edge")
        if not (isinstance(delay, int | float) and math.isfinite(delay) and delay >= 0 and delay == int(delay)):
            raise ValueError(f"the edge from {a} to {b} has delay {delay}: whole rounds are needed, 0 or more")
        whole.add_edge(a, b, weight=float(weight), delay=int(delay))
    return whole
