"""Check of a site against a study, before the first job is submitted."""

from collections.abc import Callable, Hashable, Iterable, Iterator

from folk.evidence.core.errors import nearest
from folk.slurm.ask import Ask
from folk.slurm.duration import spell_minutes
from folk.slurm.queues import Nodes, Partition, Slurm
from folk.slurm.site import EXAMPLE, SITE_FILE, GpuQueue, Queue, SiteFile


def site_problems(file: SiteFile, asks: Iterable[Ask], slurm: Slurm) -> list[str]:
    """List the problems that keep these jobs from running, one line each."""
    asks = list(asks)
    lines = list(_account(file, slurm))
    for kind in ("cpu", "gpu"):
        of_kind = [ask for ask in asks if bool(ask.gpus) == (kind == "gpu")]
        if of_kind:
            lines += _queue(file, kind, of_kind, slurm)
    if lines and file.document is None:
        lines.insert(0, f"{SITE_FILE}: no such file; copy {EXAMPLE} and fill it in")
    return lines


def _account(file: SiteFile, slurm: Slurm) -> Iterator[str]:
    account, known = file.site.account, slurm.accounts
    yours = f"; yours: {', '.join(sorted(known))}" if known else ""
    if account is None and slurm.account_needed:
        yield f"{file.where('account')}: missing; SLURM requires an account here{yours}"
    # SLURM itself keeps accounts in lower case.
    if account is not None and known and account.lower() not in map(str.lower, known):
        hint = nearest(account, known)
        yield f"{file.where('account')}: unknown account '{account}'{hint}"


def _queue(file: SiteFile, kind: str, asks: list[Ask], slurm: Slurm) -> Iterator[str]:
    """Find the problems of the jobs with GPUs, or of those without."""
    queue, default = file.site.queue(asks[0]), slurm.default_partition
    here = file.where(kind, "partition")
    named = queue.partition.split(",") if queue.partition else []
    unknown = [name for name in named if name not in slurm.partitions]
    for name in unknown:
        yield f"{here}: unknown partition '{name}'{nearest(name, slurm.partitions)}"
    if not named and default is None:
        names = ", ".join(sorted(slurm.partitions))
        yield f"{here}: missing, and SLURM has no default partition; name one; known: {names}"
    # SLURM chooses the first with room, so one that can run a job is enough.
    found = [slurm.partitions[name] for name in named if name in slurm.partitions]
    if default is not None and not named:
        found = [default]
    if unknown or not found:
        return
    if not any(partition.up for partition in found):
        yield f"{here}: {_named(found)} is down or takes no jobs; name another"
    yield from _size(file, kind, asks, found)
    yield from _time(file, kind, asks, found)


def _size(file: SiteFile, kind: str, asks: list[Ask], partitions: list[Partition]) -> Iterator[str]:
    """Find jobs that are larger than the nodes, or need more nodes than there are."""
    model = _model(file.site.queue(asks[0]))
    nodes = [nodes for partition in partitions for nodes in partition.nodes]
    models = {name for kind_of_node in nodes for name in kind_of_node.gpus if name}
    if model is not None and model.lower() not in models:
        hint = nearest(model.lower(), models)
        yield (
            f"{file.where(kind, 'gpu_model')}: unknown GPU '{model}' in {_named(partitions)}{hint}"
        )
        return
    for alike in _alike(asks, lambda ask: str(ask)):
        ask = alike[0]
        fit = max(_nodes_for(ask, partition, model) for partition in partitions)
        if fit >= ask.nodes:
            continue
        has = f"has only {fit} such" if fit else f"has none such ({_largest(nodes, model)})"
        yield (
            f"{file.where(kind, 'partition')}: {_stages(alike)} needs {ask}, "
            f"{_named(partitions)} {has}; name another, or lower 'resources' of the study"
        )


def _time(file: SiteFile, kind: str, asks: list[Ask], partitions: list[Partition]) -> Iterator[str]:
    """Find jobs that request more time than the partition allows."""
    limits = [partition.longest for partition in partitions if partition.longest is not None]
    if len(limits) < len(partitions):
        return
    longest = max(limits)
    ends = f"{_named(partitions)} ends jobs after {spell_minutes(longest)}"
    too_long = [ask for ask in asks if file.site.runtime(ask) > longest]
    trainings = [ask for ask in too_long if ask.continues]
    if trainings:
        # A training continues in the next job, but only if the user allows it.
        asked = spell_minutes(max(file.site.runtime(ask) for ask in trainings))
        yield (
            f"{file.where(kind, 'longest_runtime')}: {_stages(trainings)} needs up to {asked}, "
            f'{ends}; write "{spell_minutes(longest)}" here, and it continues in another job'
        )
    for ask in too_long:
        if not ask.continues:
            yield (
                f"{file.where(kind, 'partition')}: '{ask.stage}' needs "
                f"{spell_minutes(ask.runtime)}, {ends}; name another, or lower "
                f"resources.{ask.stage}.runtime of the study"
            )


def _alike(asks: list[Ask], key: Callable[[Ask], Hashable]) -> list[list[Ask]]:
    groups: dict[Hashable, list[Ask]] = {}
    for ask in asks:
        groups.setdefault(key(ask), []).append(ask)
    return list(groups.values())


def _nodes_for(ask: Ask, partition: Partition, model: str | None) -> int:
    """Count the nodes of a partition that one such job may have."""
    count = sum(nodes.count for nodes in partition.nodes if nodes.fit(ask, model))
    return count if partition.most_nodes is None else min(count, partition.most_nodes)


def _model(queue: Queue) -> str | None:
    return queue.gpu_model if isinstance(queue, GpuQueue) else None


def _largest(nodes: list[Nodes], model: str | None) -> str:
    gpus = max((kind.gpus_of(model) for kind in nodes), default=0)
    cpus = max((kind.cpus for kind in nodes), default=0)
    memory = max((kind.mem_mb for kind in nodes), default=0)
    return f"at most {gpus} GPUs, {cpus} CPUs, {memory} MB"


def _named(partitions: list[Partition]) -> str:
    return f"partition '{','.join(partition.name for partition in partitions)}'"


def _stages(asks: list[Ask]) -> str:
    return ", ".join(f"'{ask.stage}'" for ask in asks)
