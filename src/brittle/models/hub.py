"""Models from a hub: in the cache, or downloaded where the user named one."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from brittle.errors import UserError

PROBE_SECONDS = 3.0


def cached(hub_id: str, wanted: Sequence[str]) -> Path | None:
    """The folder in the cache that holds what there is of the wanted files; None without one.

    Raises:
        UserError: no hub has a model of such a name.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=[*wanted], local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError:
        raise UserError(
            f"There is no model at {hub_id}, and no hub has one of such a name: name a folder, a "
            "file, or a hub id such as author/name."
        ) from None


def fetch(
    hub_id: str,
    wanted: Sequence[str],
    unwanted: Sequence[str],
    lacking: Callable[[Path], str],
    spare: Sequence[str] = (),
) -> Path:
    """The folder of a hub's model, from the cache or downloaded.

    ``wanted`` and ``unwanted`` are patterns of names; ``lacking`` says what a folder lacks, or
    nothing where it is whole. ``spare`` files are fetched where the model is not whole without.

    Raises:
        UserError: it is not cached and the hub can't be reached, or refuses.
    """
    from huggingface_hub.errors import HfHubHTTPError

    folder = cached(hub_id, wanted)
    missing = "" if folder is None else lacking(folder)
    if folder is not None and not missing:
        return folder
    there = f"only partly in the cache ({missing.rstrip('.')})" if folder else "not in the cache"
    if not _answers():
        raise UserError(
            f"There is no folder {hub_id}, the hub's model of this name is {there}, and "
            f"the hub does not answer: connect once to download it, or name a folder or a file."
        )
    try:
        found = _download(hub_id, wanted, [*unwanted, *spare])
        if spare and lacking(found):
            found = _download(hub_id, wanted, unwanted)
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"The hub's model {hub_id} can't be downloaded: {reason}") from error
    return found


def _download(hub_id: str, wanted: Sequence[str], unwanted: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    ignored = [*unwanted] or None
    return Path(snapshot_download(hub_id, allow_patterns=[*wanted], ignore_patterns=ignored))


def revision(path: Path) -> str:
    """Which commit of which hub's model a file in the cache is of: ``author/name@commit``.

    Empty for other files.
    """
    found = re.search(r"models--([^/]+?)--([^/]+)/snapshots/([^/]+)/", f"{path.as_posix()}/")
    return f"{found[1]}/{found[2]}@{found[3]}" if found else ""


def _answers() -> bool:
    """Whether the hub can be reached, known within `PROBE_SECONDS`."""
    import threading
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    answers: list[bool] = []

    def probe() -> None:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # an answer all the same
        except OSError:
            return
        answers.append(True)

    # A thread, since looking up a name has no time limit of its own.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(answers)
