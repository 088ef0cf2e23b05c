"""Protect: photos in, protected files out, each beside its photo and with what it costs the eye."""

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import brittle
from brittle.app.model import embedded
from brittle.app.running import Running
from brittle.appearance import Visibility, spent
from brittle.errors import UserError
from brittle.images import read_photo, write_image

ALL = "protected.zip"


def protect(running: Running, photos: list[Path], protection: str, budget: str | None) -> None:
    """Protect photos as the command does; one that can't be protected is said, and left out."""
    folder = running.folder / "protected"
    batch = brittle.protect_files(
        photos,
        folder,
        protection,
        budget=budget,
        model=embedded(),
        progress=running.progress,
    ).found
    failed = [why if name in why else f"{name}: {why}" for name, why in batch.failed.items()]
    by_name = {photo.name: photo for photo in photos}
    shown = [_shown(running, by_name[one.photo], one.found) for one in batch.made]
    running.show(photos=shown, left_out=[*map(running.hiding, failed)])
    if not shown:
        raise UserError("No photo could be protected; each line below says why.")
    if len(shown) > 1:
        with ZipFile(running.folder / ALL, "w", ZIP_STORED) as file:
            for path in batch.files:
                file.write(path, path.name)
        running.show(all=f"{running.name}/{ALL}")


def _shown(running: Running, photo: Path, visible: Visibility) -> dict[str, str]:
    """What the page has of a protected photo; the photo itself as brittle read it."""
    name, read = f"{photo.stem}.png", read_photo(photo)
    write_image(running.folder / "photos" / name, read.image)
    return {
        "name": name,
        "photo": photo.name,
        "costs": spent(visible),
        "notes": "; ".join(read.notes),
        "before": f"{running.name}/photos/{name}",
        "after": f"{running.name}/protected/{name}",
    }
