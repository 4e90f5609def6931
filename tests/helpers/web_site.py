"""A web server on this machine. Pages under one of its paths are cross-origin isolated."""

import contextlib
import functools
import http.server
import threading
from typing import ClassVar

# The headers that isolate a page, so that it may share memory with workers.
ISOLATING = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Server of a folder under two paths: /isolated/ with the headers, and /plain/ without them."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def translate_path(self, path):
        _, _, rest = path.lstrip("/").partition("/")
        return super().translate_path("/" + rest)

    def end_headers(self):
        if self.path.startswith("/isolated/"):
            for name, value in ISOLATING.items():
                self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_):
        """Print nothing: tests check a browser's errors in the browser."""


@contextlib.contextmanager
def served(folder):
    """Serve a folder, and yield the port."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
