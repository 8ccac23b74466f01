"""A real HTTP server that speaks the chat-completions protocol with log-probabilities, and fails when told to."""

import json
import math
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint:
    """What the server answers, and what it was asked.

    ``faults`` are (status, headers) to answer first, one per request, or functions of the handler.
    ``says`` gives the first token's distribution for the user's message; ``then`` is the second token.
    """

    def __init__(self, says):
        self.says, self.then, self.logprobs = says, "", True
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.bodies: list[dict] = []
        self.times: list[float] = []
        self.keys: list[str | None] = []

    def reply(self, body):
        """The body of an answer with status 200."""
        tops = [{"token": t, "logprob": math.log(p)} for t, p in self.says(body["messages"][-1]["content"]).items()]
        content = [{"token": tops[0]["token"], "logprob": tops[0]["logprob"], "top_logprobs": tops}]
        if self.then:
            content.append({"token": self.then, "logprob": 0.0, "top_logprobs": []})
        choice = {"index": 0, "message": {"role": "assistant", "content": tops[0]["token"]}, "finish_reason": "length"}
        choice["logprobs"] = {"content": content} if self.logprobs else None
        return {
            "object": "chat.completion",
            "choices": [choice],
            "usage": {"prompt_tokens": 100, "completion_tokens": 2},
        }


@contextmanager
def serving(says):
    """Yields the Endpoint and its url while the server runs."""
    endpoint = Endpoint(says)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            endpoint.times.append(time.monotonic())
            endpoint.keys.append(self.headers.get("Authorization"))
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.bodies.append(body)
            if self.path != "/v1/chat/completions":
                return self.answer(404, {}, {"error": f"no {self.path}"})
            if endpoint.faults:
                fault = endpoint.faults.pop(0)
                if callable(fault):
                    return fault(self)
                status, headers = fault
                return self.answer(status, headers, {"error": {"message": "planted fault"}})
            return self.answer(200, {}, endpoint.reply(body))

        def answer(self, status, headers, body):
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(text)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint, f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
