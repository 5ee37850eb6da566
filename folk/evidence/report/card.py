"""Model card of a run's encoder, in the form of a model hub: a YAML head and Markdown.

Source: https://huggingface.co/docs/hub/model-cards, metadata and `model-index`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from folk.evidence.audit.explanation import Explanation, claim_id
from folk.evidence.audit.run_facts import RunFacts
from folk.evidence.report.escape import markdown
from folk.evidence.report.tables import EMPTY
from folk.evidence.results.verdicts import rule_of

_TASK = "image-feature-extraction"


def render_card(facts: RunFacts, architecture: str, source: str, license_id: str | None) -> str:
    """Render the card of a run.

    Args:
        facts: of the run.
        architecture: timm's name of the encoder.
        source: where timm finds the encoder, such as `hf-hub:me/folk`.
        license_id: of the weights, as the hub spells it; None leaves it out.
    """
    head = yaml.safe_dump(_head(facts, license_id), sort_keys=False, allow_unicode=True, width=1000)
    study, row = facts.study, facts.study.encoders[facts.row]
    assumed = len(facts.job.record["recipe"].get("assume") or {})
    parts = [
        f"# {markdown(facts.run)}",
        f"Encoder `{architecture}`, with the arguments in `config.json`, of the row "
        f"{markdown(row.label)}, seed {facts.seed}, "
        f"pre-trained on `{row.data}` in the study {markdown(study.title)} (`{study.name}`), scale "
        f"{study.scale}. Assumptions: {assumed} values of its recipe, listed in `record.json`.",
        f'```python\nimport timm\n\nencoder = timm.create_model("{source}", pretrained=True)\n```',
        "## Numbers",
        _table("measured, cell, this run, mean, 95 % interval, published, verdict",
               (_number(facts, number) for number in facts.numbers)),
        "Mean, interval and verdict are of all seeds of the row, not of these weights alone.",
        "## Claims",
        _table("claim, states, verdict",
               ((f"`{claim_id(claim.id)}`", markdown(claim.says),
                 f"{claim.verdict}: {rule_of(claim.verdict, claim.kind)}")
                for claim in facts.claims)),
        "## Origin",
        _table("what, is", _origin(facts)),
        "Where the study's results are, `folk explain STUDY CELL` derives a number again and lists "
        "what is only taken on trust; `folk verify STUDY` checks all of them.",
    ]  # fmt: skip
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def _head(facts: RunFacts, license_id: str | None) -> dict[str, Any]:
    results = [
        {
            "task": {"type": _TASK},
            "dataset": dict.fromkeys(("name", "type"), _data(facts, number)),
            "metrics": [{"type": number.number.metric, "name": _name(number), "value": float(own)}],
        }
        for number in facts.numbers
        if number.number.unit == "%"  # what a machine costs compares with nothing
        for own in facts.own(number)
    ]
    return {
        **({} if license_id is None else {"license": license_id}),
        "library_name": "timm",
        "pipeline_tag": _TASK,
        "tags": ["timm", _TASK, "self-supervised-learning", "folk-repro"],
        **({"model-index": [{"name": facts.run, "results": results}]} if results else {}),
    }


def _number(facts: RunFacts, number: Explanation) -> tuple[str, ...]:
    cell, cited, published = number.number, number.published, EMPTY
    if cited is not None and cited.number.printed is not None:
        published = f"{cited.number.printed} ({cited.number.certainty}: {cited.paper.title})"
    return (
        markdown(_name(number)),
        f"`{number.cell}`",
        ", ".join(facts.own(number)) or EMPTY,
        f"{cell.printed} {cell.unit}".rstrip() + f", n = {cell.n}"
        if cell.printed
        else markdown(cell.note),
        f"{cell.printed_low} to {cell.printed_high}" if cell.low is not None else EMPTY,
        markdown(published),
        EMPTY if cell.verdict is None else f"{cell.verdict}: {rule_of(cell.verdict)}",
    )


def _origin(facts: RunFacts) -> Iterator[tuple[str, str]]:
    record, code = facts.job.record, facts.job.record["code"]
    dirty = {True: "with uncommitted changes", False: "unchanged", None: "changes unknown"}
    yield "record", f"`{record['id']}`, ended {record['ended']}"
    yield "commit", f"`{code['commit']}`, {dirty[code['dirty']]}"
    for entry in (*facts.job.outputs, *facts.job.inputs):
        if entry["name"] in ("encoder.safetensors", "dataset"):
            yield f"sha256 of {entry['name']}", f"`{entry['sha256']}`"
    sealed = "none; the study was not sealed"
    if facts.seal is not None:
        sealed = f"`{facts.seal['digest']}`, which has all records behind these numbers"
    yield "seal", sealed


def _name(number: Explanation) -> str:
    return f"{number.title}: {number.column}"


def _data(facts: RunFacts, number: Explanation) -> str:
    evaluations = facts.study.cells()[number.cell].evaluations
    names = [name for each in evaluations for name in facts.study.evaluations[each].data]
    return " + ".join(dict.fromkeys(names))


def _table(header: str, rows: Iterable[tuple[str, ...]]) -> str:
    columns = tuple(header.split(", "))
    lines = [columns, ("--",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
