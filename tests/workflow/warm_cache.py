"""Put RO-Crate's vocabulary where the validator looks for it, so that it needs no network.

    .venv/crate/bin/python tests/workflow/warm_cache.py CACHE

CACHE is the folder that the validator is given as --cache-path.
"""

import io
import sys

import requests
from requests_cache import CachedSession
from urllib3 import HTTPResponse
from vocabulary import URL, vocabulary

body = vocabulary().encode()
answer = requests.Response()
answer.url, answer.status_code, answer.encoding = URL, 200, "utf-8"
answer.headers["Content-Type"] = "application/ld+json"
answer.request = requests.Request("GET", URL).prepare()
answer.raw = HTTPResponse(io.BytesIO(body), status=200, preload_content=False)
answer._content = body
CachedSession(sys.argv[1]).cache.save_response(answer)
