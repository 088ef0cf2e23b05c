"""Protect: photos in, protected files out, each beside its photo and with what it costs the eye."""

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import brittle
from brittle.app.jobs import Job
from brittle.appearance import spent
from brittle.errors import UserError
from brittle.images import read_photo, write_image

ALL = "protected.zip"


def protect(job: Job, photos: list[Path], protection: str, budget: str | None) -> None:
    """Protect each photo as the command does; one that can't be protected is said, and left out.

    The photo itself is shown as brittle read it, upright and in sRGB.
    """
    shown, left_out = list[dict[str, str]](), list[str]()
    job.found |= {"photos": shown, "left_out": left_out}
    with job.progress("photos", len(photos)) as advance:
        for photo in photos:
            try:
                shown.append(_protected(job, photo, protection, budget))
            except UserError as error:
                left_out.append(job.hiding(error))
            advance(1)
    if not shown:
        raise UserError("No photo could be protected; each line below says why.")
    if len(shown) > 1:
        with ZipFile(job.folder / ALL, "w", ZIP_STORED) as file:
            for one in shown:
                file.write(job.folder / "protected" / one["name"], one["name"])
        job.found["all"] = f"{job.name}/{ALL}"


def _protected(job: Job, photo: Path, protection: str, budget: str | None) -> dict[str, str]:
    name = f"{photo.stem}.png"
    before, after = job.folder / "photos" / name, job.folder / "protected" / name
    report = brittle.protect_files(photo, after, protection, budget=budget, progress=job.progress)
    (made,) = report.found.made
    read = read_photo(photo)
    write_image(before, read.image)
    return {
        "name": name,
        "photo": photo.name,
        "costs": spent(made.found),
        "notes": "; ".join(read.notes),
        "before": f"{job.name}/photos/{name}",
        "after": f"{job.name}/protected/{name}",
    }
