"""Put RO-Crate's vocabulary where the validator looks for it, so that it needs no network.

    .venv/crate/bin/python tests/workflow/warm_cache.py CACHE

The vocabulary comes with the package `rocrate`, in the spelling of version 1.3; version 1.1, which
the run crates are based on, has Bioschemas' types at another address.
"""

import io
import sys
from importlib.resources import files

import requests
from requests_cache import CachedSession
from urllib3 import HTTPResponse

URL = "https://w3id.org/ro/crate/1.1/context"

newer = (files("rocrate") / "data/ro-crate.jsonld").read_text(encoding="utf-8")
body = newer.replace("https://bioschemas.org/terms/", "https://bioschemas.org/").encode()
answer = requests.Response()
answer.url, answer.status_code, answer.encoding = URL, 200, "utf-8"
answer.headers["Content-Type"] = "application/ld+json"
answer.request = requests.Request("GET", URL).prepare()
answer.raw = HTTPResponse(io.BytesIO(body), status=200, preload_content=False)
answer._content = body
CachedSession(sys.argv[1]).cache.save_response(answer)
