"""What has to be edited elsewhere for a table of edits with all its controls: a kit."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from brittle.errors import UserError
from brittle.images import write_bytes, write_image
from brittle.noise import derive_seed
from brittle.protections import Placebo
from brittle.record.arms import GRAY, NOISES, ORIGINAL, Arm, placebo_label
from brittle.record.rows import inert
from brittle.sources.edits_table import LONGEST, OPTIONAL, PLACEBO, REQUIRED, read_arm
from brittle.sources.pairs import PairPictures, find_pairs, read_pair
from brittle.transforms import Transform
from brittle.trial.stages import gray_like

TABLE, TO_EDIT, EDITS = "edits.csv", "to-edit", "edits"
UNSAID = "the same prompt for all"
NONE = Transform.parse("none")


@dataclass(frozen=True)
class KitPicture:
    """One picture of a kit: whose, what was done to it, and its file's name."""

    photo: str
    arm: str
    transform: str

    def __str__(self) -> str:
        """In a sentence."""
        parts = (self.photo, self.arm, *([] if self.transform == "none" else [self.transform]))
        return f"the picture {' / '.join(parts)}"

    @property
    def file(self) -> str:
        """The name of its file, here and after editing."""
        parts = (self.photo, self.arm, *([] if self.transform == "none" else [self.transform]))
        return "--".join(re.sub(r"[^\w.-]+", "-", part).strip("-") for part in parts) + ".png"


def draw_placebos(
    pictures: PairPictures, *, kinds: Sequence[str] = NOISES, seed: int = 0
) -> dict[str, Tensor]:
    """Noise of the size of what a tool changed, (1, 3, H, W) on the 8-bit grid, by kind."""
    own = derive_seed(seed, pictures.photos[0].digest, "placebo")
    return {
        kind: Placebo.parse(kind).draw(pictures.original, pictures.protected, seeds=[own])
        for kind in kinds
    }


def write_kit(
    original: Path,
    protected: Path,
    directory: Path,
    *,
    transforms: Sequence[str] = (),
    prompts: Sequence[str] = (),
    name: str = "protected",
    seed: int = 0,
) -> Path:
    """Write every picture that has to be edited, and the table to be filled by editing them.

    Args:
        original: a photo, or a folder of them.
        protected: the protected file, or the folder of them, as `find_pairs` pairs them.
        directory: a new folder, or an empty one.
        transforms: what happens to pictures before they are edited, beside nothing.
        prompts: what the editor is to be asked for; none: one that is not said.
        name: what the protection is called.
        seed: of the placebos.

    Returns:
        The table.

    Raises:
        UserError: pictures that don't belong together, or that would share a file's name; a folder
            that holds something, a name that is no protection's, a prompt that is empty or named
            twice, a transform that can't be used.
    """
    _check_name(name)
    _check_prompts(prompts)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} holds something already: name a new folder with -o.")
    parsed = [Transform.parse(text) for text in transforms]
    chosen = [NONE, *{str(one): one for one in parsed if str(one) != "none"}.values()]
    for transform in chosen:
        transform.check(None)
    pairs, _ = find_pairs(original, protected)
    check_files(piece for pair in pairs for piece, _ in _planned(pair.name, chosen, name))
    rows = []
    for pair in pairs:
        pictures = read_pair(pair)
        original_file = f"{TO_EDIT}/{KitPicture(pair.name, ORIGINAL, 'none').file}"
        for piece, picture in _pieces(pictures, chosen, name, seed):
            write_image(directory / TO_EDIT / piece.file, picture)
            for number, prompt in enumerate(prompts or (UNSAID,)):
                prefix = f"{number + 1}--" if len(prompts) > 1 else ""
                edit = f"{EDITS}/{prefix}{piece.file}"
                row = (pair.name, piece.arm, prompt, edit, piece.transform, 0, original_file, "")
                rows.append(row)
    (directory / EDITS).mkdir()
    write_bytes(directory / TABLE, _table(rows))
    return directory / TABLE


def _check_name(name: str) -> None:
    """Refuse a name that a table of edits doesn't read back as this protection."""
    try:
        same = name.strip().isprintable() and read_arm(name.strip(), "The name") == name
    except UserError:
        same = False
    other = name in ("", PLACEBO) or Arm.named(name).kind != "protection"
    if other or not same:
        raise UserError(
            f"{name!r} can't be a protection's name: in a table of edits it stands for another "
            f"arm, or for none; say a plain name without brackets."
        )


def _check_prompts(prompts: Sequence[str]) -> None:
    """Refuse prompts that the table, whose cells are stripped, couldn't tell apart or hold."""
    known = [prompt.strip() for prompt in prompts]
    for prompt in known:
        if not prompt:
            raise UserError("A prompt is empty: say what the editor will be asked for.")
        if len(prompt) > LONGEST:
            raise UserError(f"A prompt has more than {LONGEST:,} characters.")
        if known.count(prompt) > 1:
            raise UserError(f"The prompt {prompt!r} is named twice: name each once.")


def check_files(pictures: Iterable[KitPicture]) -> None:
    """Refuse two pictures that would become one file.

    Raises:
        UserError: both, by name.
    """
    known: dict[str, KitPicture] = {}
    for picture in pictures:
        other = known.setdefault(picture.file, picture)
        if other is not picture:
            raise UserError(f"{other} and {picture} would both be {picture.file}: rename one.")


def _planned(
    photo: str, transforms: Sequence[Transform], name: str
) -> Iterator[tuple[KitPicture, Transform]]:
    """All arms under all transforms; one gray picture serves those that leave pixels in place."""
    arms = [ORIGINAL, name, *(placebo_label(kind, name) for kind in NOISES)]
    for transform in transforms:
        for arm in arms:
            yield KitPicture(photo, arm, str(transform)), transform
    for transform in transforms:
        if transform is NONE or transform.geometry.moves:
            yield KitPicture(photo, GRAY, str(transform)), transform


def _pieces(
    pictures: PairPictures, transforms: Sequence[Transform], name: str, seed: int
) -> Iterator[tuple[KitPicture, Tensor]]:
    """The pictures that are planned, drawn."""
    placebos = draw_placebos(pictures, seed=seed)
    arms = {
        ORIGINAL: pictures.original,
        name: pictures.protected,
        **{placebo_label(kind, name): drawn for kind, drawn in placebos.items()},
        GRAY: gray_like(pictures.original),
    }
    own = derive_seed(seed, pictures.photos[0].digest, "transform")
    for piece, transform in _planned(pictures.pair.name, transforms, name):
        yield piece, transform.apply(arms[piece.arm], seeds=[own])


def _table(rows: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*REQUIRED, *OPTIONAL])
    writer.writerows(map(inert, map(str, row)) for row in rows)
    return out.getvalue().encode("utf-8-sig")
