"""Croissant metadata of a study's prepared data sets, which other programs read.

    OUT/<data set>/croissant.json

Nothing is copied: files are named relative to that file, with their sha256. The record set is the
manifest, a row for each image; Croissant cannot reach into Arrow files.

Source: Croissant Format Specification 1.0, http://mlcommons.org/croissant/1.0.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from folk.evidence.adapters.citation import Citation, read_citation
from folk.evidence.audit.chain import RECORD_NAME, Chain, Job
from folk.evidence.core.digest import digest_url
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_keys
from folk.evidence.study.study import Study

_MANIFEST, _TEXT, _NUMBER = "manifest.parquet", "sc:Text", "sc:Integer"
_COLUMNS = {"key": _TEXT, "label": _NUMBER, "split": _TEXT, "bytes": _NUMBER, "sha256": _TEXT,
            "annotation_sha256": _TEXT, "shard": _TEXT, "row": _NUMBER}  # fmt: skip
_TYPES = {".json": "application/json", ".parquet": "application/x-parquet",
          ".arrow": "application/vnd.apache.arrow.file"}  # fmt: skip
_TERMS = """
citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes
isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace
samplingRate separator source subField transform
"""
# In full, so that reading needs no network.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _TERMS.split()},
}


def export_croissant(
    study: Study, chain: Chain, out: Path, citation: Path, licenses: Mapping[str, str]
) -> list[Path]:
    """Write the metadata of each data set of a study, and return the files.

    Args:
        study, chain, out: a study, its records, and the folder to write to.
        citation: CITATION.cff; its authors prepared the data sets.
        licenses: of the images, an SPDX id or an address by data set; no record has them.

    Raises:
        InputError: a data set is unknown, is not prepared or has no license.
    """
    for name in licenses.keys() - study.data.keys():
        raise InputError(f"--license {name}: unknown data set{nearest(name, study.data)}")
    for name in study.data.keys() - licenses.keys():
        raise InputError(
            f"{study.name}: license of data set '{name}' is unknown, and Croissant asks for it; "
            f"give --license {name}=ID, such as {name}=MIT, or an address"
        )
    cited, made = read_citation(citation), {}
    for name in study.data:
        job = chain.at(chain.results / "prepare" / name / RECORD_NAME)
        made[out / name / "croissant.json"] = _described(chain, job, cited, out / name) | {
            "name": name,
            "license": licenses[name],
        }
    for path, content in made.items():
        write_json(path, content)
    return list(made)


def _described(chain: Chain, job: Job, cited: Citation, folder: Path) -> dict[str, Any]:
    path = chain.root / job.path.with_name("dataset.json")
    data = read_keys(path, "prepare it again")
    counts = ", ".join(f"{count} images of {split}" for split, count in data["counts"].items())
    origin = job.record["recipe"].get("source", {}).get("kind", "see the record")
    files = list(_files(chain, job, folder))
    (itself,) = (file["sha256"] for file in files if file["name"] == path.name)
    images = "A row for each image. Its bytes are in the file `shard`, column `image`, at `row`."
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "description": f"{data['name']}, prepared from '{data['kind']}' (source: {origin}): "
        f"{counts}, {len(data['classes'])} classes. Record {job.id}.",
        "url": cited.url or cited.repository_code or digest_url(itself),
        "creator": [
            {"@type": "sc:Organization" if author.name else "sc:Person", "name": author.sorted_name}
            for author in cited.authors
        ],
        "datePublished": job.record["ended"][:10],
        "distribution": files,
        "recordSet": _named("RecordSet", "images") | {
            "description": images,
            "key": {"@id": "images/key"},
            "field": [
                _named("Field", f"images/{column}") | {
                    "dataType": kind,
                    "source": {"fileObject": {"@id": _MANIFEST}, "extract": {"column": column}},
                }
                for column, kind in _COLUMNS.items()
            ],
        },
    }  # fmt: skip


def _files(chain: Chain, job: Job, folder: Path) -> Iterator[dict[str, Any]]:
    for entry in job.outputs:
        path = Path(entry["path"])
        if path.name in ("dataset.json", _MANIFEST) or path.suffix == ".arrow":
            yield _named("FileObject", path.name) | {
                "contentUrl": Path(os.path.relpath(chain.root / path, folder)).as_posix(),
                "contentSize": f"{entry['size']} B",
                "encodingFormat": _TYPES[path.suffix],
                "sha256": entry["sha256"],
            }


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"@type": f"cr:{kind}", "@id": name, "name": name}
