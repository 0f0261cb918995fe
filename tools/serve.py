"""Serve the built book on this machine (`make serve`): a page opened as a file cannot run Python.

The port stays the same, because a browser keeps a reader's code for one address.
"""
import functools
import http.server
import sys
from pathlib import Path

BOOK = Path(__file__).resolve().parent.parent / "_build" / "html"


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A browser that leaves a page breaks off what it was fetching: nothing to tell."""


def main(port="8410"):
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"`{port}` is no port: give a number, as in `make serve ARGS=8411`.")
    try:
        server = Server(("127.0.0.1", int(port)), functools.partial(Handler, directory=BOOK))
    except OSError as error:
        sys.exit(f"Port {port} cannot be used ({error.strerror}): take another one, as in `make serve ARGS=8411`.")
    print(f"Open http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(*sys.argv[1:2])
