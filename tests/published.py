"""A small folder of published numbers, written down in one text."""

import csv
from pathlib import Path

import yaml

from folk.evidence.results.published import PublishedNumber, numbers_file, papers_file

COLUMNS = list(PublishedNumber.model_fields)


def write_published(folder: Path, text: str) -> Path:
    """Write papers.yaml, and its key `numbers` as numbers.csv.

    Args:
        folder: is made.
        text: YAML; a value that is null or left out is an empty cell.

    Returns:
        the folder.
    """
    values = yaml.safe_load(text)
    folder.mkdir(parents=True, exist_ok=True)
    with numbers_file(folder).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for number in values.pop("numbers"):
            table.writerow([number.get(column) for column in COLUMNS])
    papers_file(folder).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder
