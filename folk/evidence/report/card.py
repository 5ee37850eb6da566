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
    body = [
        f"# {markdown(facts.run)}",
        _summary(facts, architecture),
        f'```python\nimport timm\n\nencoder = timm.create_model("{source}", pretrained=True)\n```',
        "## Numbers",
        *_numbers(facts),
        *_claims(facts),
        "## Origin",
        _table(("what", "is"), _origin(facts)),
        "`record.json` is the record of the pre-training"
        + (", `seal.json` the seal of the study" if facts.seal else "")
        + ". Where the study's results are, `folk explain STUDY CELL` derives a number again and "
        "lists what is only taken on trust; `folk verify STUDY` checks all of them.",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(body) + "\n"


def _head(facts: RunFacts, license_id: str | None) -> dict[str, Any]:
    results = [
        {
            "task": {"type": _TASK},
            "dataset": {"name": data, "type": data},
            "metrics": [
                {"type": number.number.metric, "name": _name(number), "value": float(value)}
                for value in facts.own(number)
            ],
        }
        for number in facts.numbers
        if number.number.value is not None
        for data in [" + ".join(_data(facts, number))]
        if facts.own(number)
    ]
    return {
        **({} if license_id is None else {"license": license_id}),
        "library_name": "timm",
        "pipeline_tag": _TASK,
        "tags": ["timm", _TASK, "self-supervised-learning", "folk-repro"],
        **({"model-index": [{"name": facts.run, "results": results}]} if results else {}),
    }


def _summary(facts: RunFacts, architecture: str) -> str:
    study, record = facts.study, facts.job.record
    row = study.encoders[facts.row]
    scale = "" if study.scale == "paper" else (
        f" The study is of scale {study.scale}: its numbers say nothing about the papers' size."
    )  # fmt: skip
    assumed = len(record["recipe"].get("assume") or {})
    return (
        f"Encoder `{architecture}` of the row {markdown(row.label)}, seed {facts.seed}, "
        f"pre-trained on `{row.data}` in the study {markdown(study.title)} (`{study.name}`).{scale}"
        f" {assumed} values of its recipe are assumptions, listed in `record.json`."
    )


def _numbers(facts: RunFacts) -> Iterator[str]:
    if not facts.numbers:
        yield "No table of the study has this row."
        return
    header = ("measured", "cell", "this run", "mean", "95 % interval", "published", "verdict")
    yield _table(header, [_number(facts, number) for number in facts.numbers])
    yield (
        "Mean, interval and verdict are of all seeds of the row, not of these weights alone. The "
        "interval is over seeds."
    )
    words = {number.number.verdict for number in facts.numbers} - {None}
    yield from (f"- {word}: {rule_of(str(word))}." for word in sorted(map(str, words)))


def _number(facts: RunFacts, number: Explanation) -> tuple[str, ...]:
    cell = number.number
    unit = f" {cell.unit}" if cell.unit else ""
    interval = f"{cell.printed_low} to {cell.printed_high}" if cell.low is not None else EMPTY
    published = EMPTY
    if (cited := number.published) is not None and cited.number.printed is not None:
        published = f"{cited.number.printed} ({cited.number.certainty}: {cited.paper.title})"
    return (
        _name(number),
        f"`{number.cell}`",
        ", ".join(facts.own(number)) or EMPTY,
        f"{cell.printed}{unit}, n = {cell.n}" if cell.printed else markdown(cell.note) or EMPTY,
        interval,
        markdown(published),
        cell.verdict or EMPTY,
    )


def _claims(facts: RunFacts) -> Iterator[str]:
    if facts.claims:
        yield "## Claims"
        yield _table(
            ("claim", "states", "verdict", "rule"),
            [
                (f"`{claim_id(c.id)}`", markdown(c.says), c.verdict, rule_of(c.verdict, c.kind))
                for c in facts.claims
            ],
        )


def _origin(facts: RunFacts) -> Iterator[tuple[str, str]]:
    record, code = facts.job.record, facts.job.record["code"]
    dirty = {True: "with uncommitted changes", False: "unchanged", None: "changes unknown"}
    yield "record", f"`{record['id']}`, ended {record['ended']}"
    yield "commit", f"`{code['commit']}`, {dirty[code['dirty']]}"
    for name in ("encoder.safetensors", "dataset"):
        entries = [*facts.job.outputs, *facts.job.inputs]
        yield from ((f"sha256 of {name}", f"`{e['sha256']}`") for e in entries if e["name"] == name)
    sealed = "none; the study was not sealed"
    if facts.seal is not None:
        sealed = f"`{facts.seal['digest']}`, which has all records behind these numbers"
    yield "seal", sealed


def _name(number: Explanation) -> str:
    return markdown(f"{number.title}: {number.column}")


def _data(facts: RunFacts, number: Explanation) -> list[str]:
    column = facts.study.cells().get(number.cell)
    evaluations = [facts.study.evaluations[name] for name in column.evaluations] if column else []
    return list(dict.fromkeys(name for each in evaluations for name in each.data)) or ["unknown"]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("--",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
