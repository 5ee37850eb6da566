"""Job graph from `snakemake --dag`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from folk.evidence.core.errors import InputError

# A node: `3[label = "finetune\nevaluation: full", color = "...", style="rounded,dashed"];`
_NODE = re.compile(r'^\s*(\d+)\[label = "([^"]*)", .*style="([a-z,]*)"\];$', re.MULTILINE)
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Node:
    """One job of the graph."""

    rule: str  # its rule, for a stage the stage's name
    wildcards: Mapping[str, str]  # its own, and those shared by its dependencies
    needed: bool  # True if it must still run
    after: tuple[int, ...]  # the nodes it depends on


def read_graph(dot: str) -> dict[int, Node]:
    """Parse the graph in topological order.

    Snakemake prints for a job only the wildcards that its dependencies lack, and dashes finished
    jobs.

    Raises:
        InputError: it has no jobs.
    """
    drawn = {int(number): (label, style) for number, label, style in _NODE.findall(dot)}
    after: dict[int, list[int]] = {number: [] for number in drawn}
    for start, end in _EDGE.findall(dot):
        after[int(end)].append(int(start))
    if not drawn:
        raise InputError("snakemake --dag: printed no jobs; run `snakemake -n`")
    nodes: dict[int, Node] = {}
    for number in TopologicalSorter(after).static_order():
        label, style = drawn[number]
        rule, *own = label.split(r"\n")
        known = _agreed([nodes[other].wildcards for other in after[number]])
        known |= dict(line.split(": ", 1) for line in own)
        nodes[number] = Node(rule, known, "dashed" not in style, tuple(after[number]))
    return nodes


def _agreed(several: list[Mapping[str, str]]) -> dict[str, str]:
    values: dict[str, set[str]] = {}
    for wildcards in several:
        for name, value in wildcards.items():
            values.setdefault(name, set()).add(value)
    return {name: next(iter(found)) for name, found in values.items() if len(found) == 1}


def longest_chain(nodes: Mapping[int, Node], hours: Mapping[int, float]) -> list[int]:
    """Find the critical path of the jobs.

    Args:
        nodes: result of `read_graph`.
        hours: of the jobs that count; the others take no time and are left out of the chain.

    Returns:
        the numbers of its jobs, in order.
    """
    total: dict[int, float] = {}
    before: dict[int, int | None] = {}
    for number, node in nodes.items():
        before[number] = max(node.after, key=lambda other: total[other], default=None)
        waited = 0.0 if before[number] is None else total[before[number]]  # type: ignore[index]
        total[number] = waited + hours.get(number, 0.0)
    at: int | None = max(total, key=lambda number: total[number], default=None)
    chain: list[int] = []
    while at is not None:
        if at in hours:
            chain.append(at)
        at = before[at]
    return chain[::-1]
