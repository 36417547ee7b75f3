"""Files served from this machine, with ranges, versions, and connections that end too early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What is served, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.version = "1"
        self.most: int | None = None  # bytes after which a connection ends
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0


@contextmanager
def serving() -> Iterator[tuple[Served, str]]:
    """Give what is served, and its address."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/").partition("?")[0]
            part = self.headers.get("Range")
            served.asked.append((name, part))
            if name not in served.files:
                self.send_error(404)
                return
            whole, start = served.files[name], 0
            tag = f'"{served.version}"'
            same = self.headers.get("If-Range", tag) == tag
            if part and served.ranges and same:
                start = int(part.removeprefix("bytes=").removesuffix("-"))
                if start >= len(whole):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            else:
                self.send_response(200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(whole) - start))
            self.end_headers()
            body = whole[start:][: served.most]
            served.sent += len(body)
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
