"""An audit's document as it may be published: without the folders in which files lie."""

from collections.abc import Callable, Iterable
from pathlib import Path

from brittle.auditing.document import Audit
from brittle.sources.pairs import Pair, PictureFile

Show = Callable[[Path], str]
"""How a path is published."""


def published(document: Audit, pairs: Iterable[Pair], show: Show) -> Audit:
    """The document with each of its files named as ``show`` does, in sentences too."""
    paths = [path for pair in pairs for path in (pair.original, pair.protected)]
    files = {str(path): f"{show(path.parent)}/{path.name}" for path in paths}

    def named(file: PictureFile) -> PictureFile:
        return file.model_copy(update={"path": show(Path(file.path))})

    photos = tuple(
        photo.model_copy(
            update={
                "original": photo.original and named(photo.original),
                "protected": named(photo.protected),
            }
        )
        for photo in document.photos
    )
    refused = {name: _replaced(why, files) for name, why in document.refused.items()}
    return document.model_copy(update={"photos": photos, "refused": refused})


def _replaced(text: str, files: dict[str, str]) -> str:
    for path in sorted(files, key=len, reverse=True):
        text = text.replace(path, files[path])
    return text
