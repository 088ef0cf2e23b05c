"""See it break: the paper's figure for one photo, drawn anew at each quality of JPEG."""

from dataclasses import dataclass
from pathlib import Path

import brittle
from brittle.app.model import embedded
from brittle.app.running import Running
from brittle.images import fit, quantise, read_photo, write_image

SIZE = 256
"""The long side in px at which photos are protected, compressed and edited: an edit takes a second
or two there, and the slider can be dragged."""


@dataclass(frozen=True)
class FigureRequest:
    """What to draw: ``quality`` of JPEG, or None for the PNG that was released."""

    photo: Path
    look: str
    protection: str
    budget: str | None
    quality: int | None


@dataclass(frozen=True)
class Figures:
    """The pictures of all figures, each made once: ``root/PHOTO/ARM/…``."""

    root: Path
    size: int = SIZE

    def draw(self, running: Running, choice: FigureRequest) -> None:
        """Make what of the figure is missing, and show each picture as soon as it is there."""
        model = embedded().at(self.size)
        photo = self._reduced(choice.photo)
        protected = self._protected(running, photo, choice, model)
        files = {"unprotected": photo, "protected": protected}
        for arm, file in files.items():
            self._show(running, f"{arm} received", _received(file, choice.quality))
        with running.progress("edits", len(files)) as advance:
            for arm, file in files.items():
                self._show(running, f"{arm} edit", _edited(file, choice, model))
                advance(1)

    def _reduced(self, path: Path) -> Path:
        """The photo at the figure's size; one of another content has another folder."""
        photo = read_photo(path)
        file = self.root / photo.digest / "unprotected" / "photo.png"
        if not file.exists():
            write_image(file, quantise(fit(photo.image, size=self.size, multiple=1)))
        return file

    def _protected(
        self, running: Running, photo: Path, choice: FigureRequest, model: brittle.EditModel
    ) -> Path:
        arm = f"{choice.protection} {choice.budget or 'own'}".replace("/", " of ")
        file = photo.parent.parent / arm / "photo.png"
        if not file.exists():
            brittle.protect_files(
                photo,
                file,
                choice.protection,
                budget=choice.budget,
                model=model,
                progress=running.progress,
            )
        return file

    def _show(self, running: Running, name: str, file: Path) -> None:
        running.show(**{name: file.relative_to(self.root.parent).as_posix()})


def _received(file: Path, quality: int | None) -> Path:
    if quality is None:
        return file
    received = file.with_name(f"jpeg {quality}.png")
    if not received.exists():
        brittle.transform_files(file, received, f"jpeg:quality={quality}")
    return received


def _edited(file: Path, choice: FigureRequest, model: brittle.EditModel) -> Path:
    received = _received(file, choice.quality)
    edit = received.with_name(f"{received.stem}, {choice.look}.png")
    if not edit.exists():
        brittle.edit_files(received, edit, choice.look, model=model)
    return edit
