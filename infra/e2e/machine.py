"""What runs on this machine besides the deployment: processes, and the address that counterparties call back at."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LONGEST_BODY = 10 * 1024 * 1024


class Machine:
    """Ends everything that it started, last first."""

    def __init__(self, logs: Path):
        self.logs = logs
        self.running: list[subprocess.Popen] = []

    def start(self, name: str, command: list, **options) -> subprocess.Popen:
        log = open(self.logs / f"{name}.log", "wb")
        options.setdefault("stdout", log)
        process = subprocess.Popen([str(part) for part in command], stderr=log, start_new_session=True, **options)
        self.running.append(process)
        return process

    def start_and_read(self, name: str, command: list) -> dict:
        """Starts what says a JSON object in one line when it is ready."""
        process = self.start(name, command, stdout=subprocess.PIPE, text=True)
        if not (line := process.stdout.readline()):
            raise RuntimeError(f"{name} did not start; see {self.logs / name}.log")
        return json.loads(line)

    def stop(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(url: str, seconds: int) -> None:
    for _ in range(seconds * 5):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A caller that has gone is no error; it tries again."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class PublicAddress:
    """Stands for the custom domain of the API: passes requests on to the emulator, which knows an API by its host name."""

    def __init__(self, gateway_port: int):
        self.gateway_port = gateway_port
        self.api_id: str | None = None
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(address):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                length = int(self.headers.get("content-length", 0))
                if length > LONGEST_BODY or address.api_id is None:
                    self.send_error(503)
                    return
                body = self.rfile.read(length)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                headers["Host"] = f"{address.api_id}.execute-api.localhost:{address.gateway_port}"
                gateway = http.client.HTTPConnection("127.0.0.1", address.gateway_port, timeout=60)
                try:
                    gateway.request(self.command, self.path, body, headers)
                    answer = gateway.getresponse()
                    content = answer.read()
                finally:
                    gateway.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do_PUT = pass_on

            def log_message(self, *_):
                pass

        return Handler
