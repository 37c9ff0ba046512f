"""An https server, whose certificate a test's own authority has issued."""

from __future__ import annotations

import http.server
import ssl
import threading


class Server:
    """An https server whose pages are a dict of path to body; a number is a bad status.

    302 leads to the same pages without TLS.

    Attributes:
        answering: an Event; while it is not set requests wait.
        cut: pages that the client did not want to the end.
    """

    def __init__(self, pki):
        self.pages, self.asked, self.answering = {}, [], threading.Event()
        self.answering.set()
        self.cut = 0
        pki.install(pki.ca.issue(host="127.0.0.1"), "server")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pki.folder / "server.crt", pki.folder / "server.key")
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                server.answering.wait(20)
                page = server.pages.get(self.path, 404)
                self.send_response(page if isinstance(page, int) else 200)
                if page == 302:
                    self.send_header("Location", f"{server.plain_url}/plain.pem")
                self.end_headers()
                if not isinstance(page, int):
                    try:
                        self.wfile.write(page.encode())
                    except OSError:
                        server.cut += 1

            def log_message(self, *args):
                pass

        self.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.plain_url = f"http://127.0.0.1:{self.plain.server_address[1]}"
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}"
        self.threads = []
        for each in (self.http, self.plain):
            self.threads.append(threading.Thread(target=each.serve_forever, args=(0.01,)))
            self.threads[-1].start()

    def close(self):
        self.answering.set()
        for each, thread in zip((self.http, self.plain), self.threads, strict=True):
            each.shutdown()
            thread.join()
            each.server_close()
