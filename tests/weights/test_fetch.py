"""Downloads from a server on this machine."""

import hashlib
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from riffle.weights.fetch import fetch

CONTENT = bytes(range(256)) * 5000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()[:8]}"


class Server(ThreadingHTTPServer):
    """Sends CONTENT; ``breaks_after`` bytes of each answer it hangs up."""

    breaks_after: int | None = None
    knows_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/files/weights-12345678.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.server.knows_ranges else 0
        self.server.asked.append(start)
        if not self.path.startswith("/files/"):
            return self.send_error(404)
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:][: self.server.breaks_after])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_is_fetched_once(server, tmp_path, capsys):
    path = fetch(server.url, digest=DIGEST, folder=tmp_path)
    assert (path.name, path.read_bytes()) == ("weights-12345678.pth", CONTENT)
    assert "fetching weights-12345678.pth (1.3 MB)" in capsys.readouterr().err
    fetch(server.url, digest=DIGEST, folder=tmp_path)
    assert server.asked == [0]


def test_it_goes_on_where_it_broke_off(server, tmp_path):
    server.breaks_after = 1_000_000
    with pytest.raises(ValueError, match="broke off after 1,000,000 of 1,280,000 bytes") as caught:
        fetch(server.url, digest=DIGEST, folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "weights-12345678.pth").exists()
    assert fetch(server.url, digest=DIGEST, folder=tmp_path).read_bytes() == CONTENT
    assert server.asked == [0, 1_000_000]


def test_a_server_that_cannot_go_on_begins_again(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / "weights-12345678.pth.part").write_bytes(b"something older")
    assert fetch(server.url, digest=DIGEST, folder=tmp_path).read_bytes() == CONTENT


def test_a_whole_part_is_taken(server, tmp_path):
    (tmp_path / "weights-12345678.pth.part").write_bytes(CONTENT)
    assert fetch(server.url, digest=DIGEST, folder=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("there", ["nothing", "a damaged file"])
def test_a_wrong_digest_leaves_nothing_behind(server, tmp_path, there):
    path = tmp_path / "weights-12345678.pth"
    if there != "nothing":
        path.write_bytes(b"damaged")
        assert fetch(server.url, digest=DIGEST, folder=tmp_path).read_bytes() == CONTENT
        path.unlink()
    with pytest.raises(
        ValueError, match="not the file that was published: its digest does not begin with sha1:00"
    ) as e:
        fetch(server.url, digest="sha1:00000000", folder=tmp_path)
    assert "\n" not in str(e.value)
    assert [found.name for found in tmp_path.iterdir() if found.suffix != ".lock"] == []


def test_no_network_and_no_such_file(server, tmp_path):
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:\d+/elsewhere could not be fetched: Not Found"):
        fetch(server.url.replace("files/weights-12345678.pth", "elsewhere"), folder=tmp_path)
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"could not be fetched: .*refused") as caught:
        fetch(server.url, folder=tmp_path)
    assert "\n" not in str(caught.value)
