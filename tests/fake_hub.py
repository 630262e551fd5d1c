"""The Hugging Face Hub, as far as its own library asks it: answers in memory, under the library's real requests."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import unquote

import httpx2

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    private: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=list)
    """All files, after each commit."""
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1] if self.commits else {}


class FakeHub:
    """Repositories by name. ``owner`` may write to its own; the others are somebody else's."""

    def __init__(self, owner: str = "me") -> None:
        self.owner = owner
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.unreachable = False
        self.breaks_at: str | None = None
        """A part of a request's path at which the connection breaks."""
        self.refuses: int | None = None
        """The status that everything is answered with."""
        self.refuses_readme: str | None = None

    def put(self, name: str, files: dict[str, bytes], *, private: bool = False) -> None:
        self.repositories.setdefault(name, Repository(private)).commits.append(files)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = unquote(request.url.path)
        self.asked.append(f"{request.method} {path}")
        if self.unreachable or (self.breaks_at and self.breaks_at in path):
            raise httpx2.ConnectError("[Errno -3] Temporary failure in name resolution", request=request)
        if self.refuses:
            return refusal(self.refuses, None, "out of order")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in ("", TOKEN):
            return refusal(401, None, "Invalid credentials in Authorization header")
        return self._answer(request, path.strip("/").split("/"), is_me=token == TOKEN)

    def _answer(self, request: httpx2.Request, parts: list[str], *, is_me: bool) -> httpx2.Response:
        match parts:
            case ["api", "repos", "create"]:
                return self._create(json.loads(request.content), is_me)
            case ["api", "validate-yaml"]:
                errors = [{"message": self.refuses_readme}] if self.refuses_readme else []
                return httpx2.Response(400 if errors else 200, json={"errors": errors, "warnings": []})
            case ["api", "models", owner, name, *rest]:
                return self._model(request, f"{owner}/{name}", rest, is_me)
            case [owner, name, "resolve", revision, *file]:
                return self._file(request, f"{owner}/{name}", revision, "/".join(file), is_me)
            case ["api", *_]:  # what the library would like to know about itself
                return refusal(404, None, "Not found")
        raise AssertionError(f"no answer to {request.method} {request.url}")

    def _create(self, wanted: dict[str, str], is_me: bool) -> httpx2.Response:
        name = f"{wanted['organization']}/{wanted['name']}"
        if not is_me or wanted["organization"] != self.owner:
            return refusal(403, None, f"You don't have the rights to create a model under {wanted['organization']}")
        is_there = name in self.repositories
        self.repositories.setdefault(name, Repository("private" in (wanted.get("visibility"), *wanted)))
        return httpx2.Response(409 if is_there else 200, json={"url": f"https://huggingface.co/{name}"})

    def _model(self, request: httpx2.Request, name: str, rest: list[str], is_me: bool) -> httpx2.Response:
        repository = self._seen(name, is_me)
        if repository is None:
            return refusal(404 if is_me else 401, "RepoNotFound", "Repository not found")
        match rest:
            case [] | ["revision", _]:
                revision = rest[1] if rest else "main"
                files = self._at(repository, revision)
                if files is None:
                    return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                siblings = [{"rfilename": file} for file in files]
                commit = sha(len(repository.commits)) if revision == "main" else revision
                facts = {"id": name, "sha": commit, "private": repository.private}
                return httpx2.Response(200, json={**facts, "siblings": siblings})
            case ["tree", revision]:
                files = self._at(repository, revision)
                assert files is not None
                entries = [
                    {"type": "file", "path": file, "size": len(content), "oid": digest(content)}
                    for file, content in files.items()
                ]
                return httpx2.Response(200, json=entries)
            case ["preupload", "main"]:
                files = [file["path"] for file in json.loads(request.content)["files"]]
                modes = [{"path": file, "uploadMode": "regular", "shouldIgnore": False} for file in files]
                return httpx2.Response(200, json={"files": modes})
            case ["commit", "main"]:
                return self._commit(request, name, repository)
        raise AssertionError(f"no answer to {request.method} {request.url}")

    def _commit(self, request: httpx2.Request, name: str, repository: Repository) -> httpx2.Response:
        if name.split("/")[0] != self.owner:
            return refusal(403, None, "Forbidden: you must have write access to the repository")
        lines = [json.loads(line) for line in request.content.splitlines()]
        files = dict(repository.files)
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        repository.commits.append(files)
        repository.messages.append(lines[0]["value"]["summary"])
        oid = sha(len(repository.commits))
        return httpx2.Response(200, json={"commitUrl": f"https://huggingface.co/{name}/commit/{oid}", "commitOid": oid})

    def _file(self, request: httpx2.Request, name: str, revision: str, file: str, is_me: bool) -> httpx2.Response:
        repository = self._seen(name, is_me)
        if repository is None:
            return refusal(404 if is_me else 401, "RepoNotFound", "Repository not found")
        files = self._at(repository, revision)
        if files is None:
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        commit = sha(len(repository.commits)) if revision == "main" else revision
        if file not in files:
            return refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest(files[file])}"'}
        if request.method == "HEAD":
            return httpx2.Response(200, headers={**headers, "Content-Length": str(len(files[file]))})
        return httpx2.Response(200, headers=headers, content=files[file])

    def _seen(self, name: str, is_me: bool) -> Repository | None:
        repository = self.repositories.get(name)
        return repository if repository and (is_me or not repository.private) else None

    @staticmethod
    def _at(repository: Repository, revision: str) -> dict[str, bytes] | None:
        if revision == "main":
            return repository.files
        known = {sha(index + 1): files for index, files in enumerate(repository.commits)}
        return known.get(revision)


def sha(commit: int) -> str:
    """The hash that stands for a repository's n-th commit."""
    return hashlib.sha1(str(commit).encode()).hexdigest()


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def refusal(status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return httpx2.Response(status, headers=told, json={"error": message})
