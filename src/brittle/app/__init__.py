"""The local page: the library's front door in a browser, served to this computer alone.

`server` answers the browser, `uploads` keeps what it sent, `jobs` works one piece after another;
`check`, `protect` and `figure` are its three pages, each a few calls of the functions that the
command line calls.
"""

from importlib.util import find_spec

from brittle.errors import UserError

NEEDED = ("starlette", "uvicorn")


def serve(port: int = 8765, *, browser: bool = True) -> None:
    """Serve the page at 127.0.0.1 until it is interrupted.

    Args:
        port: 0 for any that is free.
        browser: open the page in the computer's browser.

    Raises:
        UserError: the extra ``app`` is missing, or another program has the port.
    """
    if not all(map(find_spec, NEEDED)):
        raise UserError("The app needs two more packages: pip install 'brittle[app]'.")
    from brittle.app import server

    server.serve(port, browser=browser)
