"""What the browser may ask, and who may ask it: pages of this server on this computer."""

import errno
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from jinja2 import Environment, StrictUndefined
from pydantic import AfterValidator, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from brittle.app import choices
from brittle.app.check import check
from brittle.app.figure import SIZE, FigureRequest, Figures
from brittle.app.jobs import Jobs
from brittle.app.protect import protect
from brittle.app.running import Work
from brittle.app.uploads import Uploads, look_at
from brittle.data import Data
from brittle.errors import UserError
from brittle.version import VERSION

HOST = "127.0.0.1"
NAMES = [HOST, "localhost"]
"""What a browser may call this server: another name is a page's that was pointed here."""
STATIC = Path(str(resources.files("brittle.app") / "static"))
STYLE = Path(str(resources.files("brittle.reporting") / "templates" / "report.css"))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
MADE = "/made/"
RECOMMENDED, OTHERS = choices.protections()
PRESETS = [one.value for one in (*RECOMMENDED, *OTHERS)]
STRENGTHS = [one.value for one in choices.strengths()]


def _among(offered: Collection[str]) -> AfterValidator:
    """Accept what the page offers."""

    def check(value: str) -> str:
        if value not in offered:
            raise ValueError("the page doesn't offer it")
        return value

    return AfterValidator(check)


class CheckRequest(Data):
    """What the page *Check* asks for."""

    visit: str
    edits: bool


class ProtectRequest(Data):
    """What the page *Protect* asks for; an empty strength is the preset's own budget."""

    visit: str
    protection: Annotated[str, _among(PRESETS)]
    strength: Annotated[str, _among(STRENGTHS)]


class Drawn(Data):
    """What the page *See it break* asks for: a sample's name, or empty for one's own photo."""

    visit: str
    sample: str
    look: Annotated[str, _among(choices.LOOKS)]
    protection: Annotated[str, _among(PRESETS)]
    strength: Annotated[str, _among(STRENGTHS)]
    quality: Annotated[int, Field(ge=1, le=100)] | None


class App:
    """The routes of one server, over a folder that holds all it is sent and all it makes."""

    def __init__(self, root: Path, size: int = SIZE) -> None:
        self.uploads = Uploads(root / "trays")
        self.made = root / "made"
        self.made.mkdir()
        self.jobs = Jobs(self.made, private=root)
        self.figure = Figures(self.made / "figures", size)
        self.page = _page()

    def routes(self) -> Starlette:
        """What uvicorn serves."""
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/report.css", lambda request: FileResponse(STYLE)),
                Route("/samples/{name}", self.sample),
                Route("/trays/{visit}/{tray}", self.clear, methods=["DELETE"]),
                Route("/trays/{visit}/{tray}/{name:path}", self.receive, methods=["PUT"]),
                Route("/trays/{visit}/{tray}/{name:path}", self.remove, methods=["DELETE"]),
                Route("/tasks/{task}", self.start, methods=["POST"]),
                Route("/jobs/{name}", self.told),
                Route("/jobs/{name}", self.stop, methods=["DELETE"]),
                Mount(MADE, StaticFiles(directory=self.made)),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False),
                Middleware(BaseHTTPMiddleware, dispatch=_guard),
            ],
            exception_handlers={UserError: _refused, ValidationError: _malformed},
        )

    async def index(self, request: Request) -> Response:
        """The page."""
        return HTMLResponse(self.page)

    async def sample(self, request: Request) -> Response:
        """A sample photo."""
        return FileResponse(choices.sample(request.path_params["name"]))

    async def receive(self, request: Request) -> Response:
        """Take a photo, and say what it is."""
        path = await self.uploads.receive(**request.path_params, body=request.stream())
        return JSONResponse(await run_in_threadpool(look_at, path))

    async def remove(self, request: Request) -> Response:
        """Remove a photo."""
        self.uploads.remove(**request.path_params)
        return JSONResponse({})

    clear = remove

    async def start(self, request: Request) -> Response:
        """Start some work; the answer is the name by which to ask for it."""
        tasks = {"check": self._check, "protect": self._protect, "figure": self._figure}
        task = request.path_params["task"]
        if task not in tasks:
            raise UserError("There is no such work.")
        work = await run_in_threadpool(tasks[task], await request.body())
        job = self.jobs.start(work, passing=task == "figure")  # its pictures are those of `Figures`
        return JSONResponse({"name": job.name})

    async def told(self, request: Request) -> Response:
        """How far some work is, and what it found."""
        return JSONResponse(self.jobs.named(request.path_params["name"]).told())

    async def stop(self, request: Request) -> Response:
        """Stop some work at its next step."""
        self.jobs.named(request.path_params["name"]).stop()
        return JSONResponse({})

    def _check(self, body: bytes) -> Work:
        asked = CheckRequest.model_validate_json(body)
        originals, protected = (
            self.uploads.photos(asked.visit, tray) for tray in ("originals", "protected")
        )
        return partial(check, originals=originals, protected=protected, edits=asked.edits)

    def _protect(self, body: bytes) -> Work:
        asked = ProtectRequest.model_validate_json(body)
        return partial(
            protect,
            photos=self.uploads.photos(asked.visit, "photos"),
            protection=asked.protection,
            budget=asked.strength or None,
        )

    def _figure(self, body: bytes) -> Work:
        asked = Drawn.model_validate_json(body)
        own = None if asked.sample else self.uploads.photos(asked.visit, "own photo")[0]
        choice = FigureRequest(
            photo=own or choices.sample(asked.sample),
            look=asked.look,
            protection=asked.protection,
            budget=asked.strength or None,
            quality=asked.quality,
        )
        return partial(self.figure.draw, choice=choice)


def _page() -> str:
    """The one page, with what there is to choose from."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string((STATIC / "index.html").read_text(encoding="utf-8")).render(
        looks=choices.LOOKS,
        recommended=RECOMMENDED,
        others=OTHERS,
        strengths=[*choices.strengths()],
        samples=choices.samples(),
        version=VERSION,
    )


async def _guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what another site's page asks, and tell the browser to ask nobody else."""
    origin = request.headers.get("origin", f"http://{request.headers['host']}")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if origin != f"http://{request.headers['host']}" or site not in ("same-origin", "none"):
        return JSONResponse({"problem": "This page answers only itself."}, 403)
    response = await answer(request)
    made = request.url.path.startswith(MADE)  # a report states its own policy
    response.headers["Content-Security-Policy"] = "frame-ancestors 'self'" if made else POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


async def _refused(request: Request, error: Any) -> Response:
    return JSONResponse({"problem": str(error)}, 400)


async def _malformed(request: Request, error: Any) -> Response:
    return JSONResponse({"problem": "That wasn't understood: open the page again."}, 400)


def serve(port: int, *, browser: bool = True) -> None:
    """Serve until it is interrupted; what was sent and made is deleted then.

    Raises:
        UserError: another program has the port.
    """
    with (
        _listening(port) as listening,
        tempfile.TemporaryDirectory(prefix="brittle-") as folder,
    ):
        for name in ("SIGTERM", "SIGHUP"):  # the folder is deleted then, too
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)
        app = App(Path(folder))
        address = f"http://{HOST}:{listening.getsockname()[1]}/"
        print(f"brittle is at {address} (this computer only). Stop it with Ctrl-C.", flush=True)
        if browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            app.routes(), log_level="warning", server_header=False, lifespan="off"
        )
        try:
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            app.jobs.close()


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UserError(
            f"Port {port} can't be used ({error.strerror}): say --port 0 for any that is free."
        ) from None
    return listening
