"""A browser's part, without a browser: what the page's script asks of the server."""

import time

VISIT = "0" * 32
HERE = "http://127.0.0.1:8765"


class Page:
    """The requests of one page."""

    def __init__(self, server):
        from starlette.testclient import TestClient

        self.client = TestClient(server.routes(), base_url=HERE)

    def drop(self, tray, path, code=200):
        """Send a photo to a tray; the answer."""
        answer = self.client.put(f"/trays/{VISIT}/{tray}/{path.name}", content=path.read_bytes())
        assert answer.status_code == code, answer.text
        return answer.json()

    def work(self, task, **asked):
        """Let work end; what is told of it then."""
        answer = self.client.post(f"/tasks/{task}", json={"visit": VISIT, **asked})
        assert answer.status_code == 200, answer.text
        until = time.monotonic() + 280
        while time.monotonic() < until:
            told = self.client.get(f"/jobs/{answer.json()['name']}").json()
            if told["state"] in ("done", "failed", "stopped"):
                return told
            time.sleep(0.05)
        raise AssertionError(told)

    def made(self, path):
        """A file that work made."""
        answer = self.client.get(f"/made/{path}")
        assert answer.status_code == 200, path
        return answer.content
