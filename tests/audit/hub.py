"""A model hub on loopback: what the client of the real one asks, and nothing else."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN, COMMIT = "hf_loopback", "c" * 40


class Hub(ThreadingHTTPServer):
    """What was uploaded: repositories with whether they are private, and their files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.messages: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a hub while the block runs."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path.endswith("/commit/main"):
            return self._commit(self.path.split("/")[3:5], [*map(json.loads, body.splitlines())])
        asked = json.loads(body)
        if self.path == "/api/repos/create":
            repo = f"{asked['organization']}/{asked['name']}"
            self.server.repos[repo] = asked.get("private", asked.get("visibility") == "private")
            return self._answer(200, {"url": f"{self.server.url}/{repo}"})
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if self.path.endswith("/preupload/main"):
            is_large = re.compile(r"\.safetensors$").search
            files = [
                {"path": each["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if is_large(each["path"]) else "regular"}
                for each in asked["files"]
            ]  # fmt: skip
            return self._answer(200, {"files": files})
        assert self.path.endswith(".git/info/lfs/objects/batch"), self.path
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.url}/large/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        return self._answer(200, {"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == name
        self.server.large[name] = body
        self._answer(200, {})

    def do_GET(self) -> None:
        found = re.fullmatch(r"/(.+/.+)/resolve/[^/]+/(.+)", self.path)
        content = found and self.server.files.get(found[1], {}).get(found[2])
        if content is None:
            self._answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        else:
            etag = hashlib.sha256(content).hexdigest()
            self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815 - the base class asks for the name

    def _commit(self, owner_and_name: list[str], lines: list[Any]) -> None:
        repo = "/".join(owner_and_name)
        files = self.server.files.setdefault(repo, {})
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.server.large[value["oid"]]
        url = f"{self.server.url}/{repo}/commit/{COMMIT}"
        self._answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url})

    def _answer(self, status: int, value: Any, headers: Any = ()) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
