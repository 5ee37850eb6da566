"""Ask a crate questions in SPARQL.

    .venv/crate/bin/python tests/workflow/ask.py CRATE < QUESTIONS

QUESTIONS is a JSON object of queries by name. Prints their rows, as texts, by the same names.
"""

import json
import sys
from pathlib import Path

from rdflib import Graph
from vocabulary import URL, vocabulary

crate = json.loads(Path(sys.argv[1], "ro-crate-metadata.json").read_text(encoding="utf-8"))
ours = json.loads(vocabulary())["@context"]
crate["@context"] = [ours if each == URL else each for each in crate["@context"]]
graph = Graph().parse(data=json.dumps(crate), format="json-ld", publicID="http://crate/")
graph.bind("s", "http://schema.org/")
graph.bind("run", "https://w3id.org/ro/terms/workflow-run#")
graph.bind("codemeta", "https://codemeta.github.io/terms/")
asked = json.load(sys.stdin)
answers = {
    name: [[str(value) for value in row] for row in graph.query(query)]
    for name, query in asked.items()
}
json.dump(answers, sys.stdout)
