"""The graph that snakemake draws is read whole, and its longest chain found."""

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.plan.graph import longest_chain, read_graph

NODE = '\t{}[label = "{}", color = "0.00 0.6 0.85", style="{}"];'
HEAD = "digraph snakemake_dag {\n    node[shape=box, style=rounded];"


def dot(nodes: list[tuple[int, str, str]], edges: list[tuple[int, int]]) -> str:
    lines = [NODE.format(*node) for node in nodes] + [f"\t{a} -> {b}" for a, b in edges]
    return "\n".join([HEAD, *lines, "}"])


SMALL = dot(
    [
        (0, "all", "rounded"),
        (1, r"robustness\nevaluation: robust", "rounded"),
        (2, r"finetune\nevaluation: full", "rounded"),
        (3, r"pretrain\nrun: folk-s0", "rounded,dashed"),
        (4, r"prepare\ndata: scenes", "rounded,dashed"),
        (5, r"prepare\ndata: hard", "rounded"),
    ],
    [(1, 0), (2, 1), (4, 1), (5, 1), (3, 2), (4, 2), (4, 3)],
)


def test_a_job_has_its_own_wildcards_and_those_of_what_it_reads():
    nodes = read_graph(SMALL)

    assert nodes[2].wildcards == {"evaluation": "full", "run": "folk-s0", "data": "scenes"}
    # Its own evaluation wins; of two data sets none is the one.
    assert nodes[1].wildcards == {"evaluation": "robust", "run": "folk-s0"}
    assert sorted(nodes[1].after) == [2, 4, 5]


def test_what_is_dashed_is_done():
    assert [n for n, node in read_graph(SMALL).items() if not node.needed] == [4, 3]


def test_what_a_job_reads_stands_before_it():
    seen: set[int] = set()
    for number, node in read_graph(SMALL).items():
        assert seen.issuperset(node.after)
        seen.add(number)


@pytest.mark.parametrize(
    ("hours", "chain"),
    [
        ({1: 1.0, 2: 2.0, 3: 4.0, 4: 1.0, 5: 6.0}, [4, 3, 2, 1]),
        ({1: 1.0, 2: 2.0, 3: 4.0, 4: 1.0, 5: 8.0}, [5, 1]),
        ({1: 1.0, 2: 2.0, 5: 1.0}, [2, 1]),
        ({}, []),
    ],
)
def test_the_longest_chain_is_that_of_the_most_hours(hours, chain):
    assert longest_chain(read_graph(SMALL), hours) == chain


def test_fifteen_hundred_jobs_are_one_chain_when_each_waits_for_the_one_before():
    count = 1500
    nodes = [(n, rf"pretrain\nrun: r-s{n}", "rounded") for n in range(count)]
    graph = read_graph(dot(nodes, [(n + 1, n) for n in range(count - 1)]))

    chain = longest_chain(graph, dict.fromkeys(range(count), 0.5))

    assert chain == list(range(count))[::-1]
    assert graph[7].wildcards["run"] == "r-s7"


def test_a_graph_without_jobs_is_refused():
    with pytest.raises(InputError, match="printed no jobs"):
        read_graph("Building DAG of jobs...")
