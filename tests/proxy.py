"""A TCP proxy on loopback that can be slow or lose everything, as a network may."""

import socket
import threading
import time
from contextlib import suppress

from services import free_port

CHUNK = 1 << 16


class Proxy:
    """Passes connections to `target`, a port of this machine.

    Attributes:
        delay_s: Seconds by which each request is late.
        is_cut: Whether nothing gets through, in either direction and without a word, as in a partition.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.delay_s, self.is_cut = 0.0, False
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        while self.is_cut:
            time.sleep(0.1)
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        answers = threading.Thread(target=self._pass, args=(server, client, False), daemon=True)
        answers.start()
        self._pass(client, server, is_request=True)

    def _pass(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        passed_at = 0.0
        try:
            while chunk := source.recv(CHUNK):
                if is_request and time.monotonic() - passed_at > 0.5:  # otherwise it is of the same request
                    time.sleep(self.delay_s)
                while self.is_cut:
                    time.sleep(0.1)
                sink.sendall(chunk)
                passed_at = time.monotonic()
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
