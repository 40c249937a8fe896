"""A collector of traces: takes what OTLP over HTTP brings, and keeps it for a test."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """`spans`: what has come, each with the name of the process that sent it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[tuple[str, Span]] = []
        self.bytes = b""

    def take(self, body: bytes) -> None:
        """Keep one export."""
        self.bytes += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (process,) = (
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            self.spans += [(process, span) for scope in resource.scope_spans for span in scope.spans]

    def of_trace(self, trace_id: str) -> list[tuple[str, Span]]:
        """One trace."""
        return [(process, span) for process, span in self.spans if span.trace_id.hex() == trace_id]


def told(span: Span) -> dict[str, str]:
    """The attributes that are text."""
    return {each.key: each.value.string_value for each in span.attributes}


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - as its parent's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()
