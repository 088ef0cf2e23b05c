"""For edits made elsewhere: the controls that a table of them needs."""

from collections.abc import Sequence
from pathlib import Path

from brittle.api.batches import check_outputs
from brittle.api.reports import Report
from brittle.images import write_image
from brittle.record.arms import NOISES
from brittle.sources.pairs import find_pairs, read_pair
from brittle.trial.kit import EDITS, TO_EDIT, KitPicture, check_files, draw_placebos, write_kit


def prepare_edits(
    original: str | Path,
    protected: str | Path,
    directory: str | Path,
    *,
    transforms: Sequence[str] = (),
    prompts: Sequence[str] = (),
    name: str = "protected",
    seed: int = 0,
) -> Report[Path]:
    """Write all pictures that have to be edited elsewhere, and the table for `score`.

    The pictures lie in ``to-edit``. Edit each with the same settings, save the results under the
    same names in ``edits``, and score ``edits.csv``.

    >>> kit = brittle.prepare_edits("me.png", "protected.png", "kit", transforms=["flip"])
    >>> kit.path
    PosixPath('kit/edits.csv')

    Args:
        original: a photo, or a folder of them.
        protected: the protected file, or the folder of them.
        directory: a new folder.
        transforms: what happens to pictures before they are edited, beside nothing.
        prompts: what the editor will be asked for; none: one that the table leaves open.
        name: what the protection is called in the results.
        seed: of the noise.

    Returns:
        The table, and in words what to do.

    Raises:
        UserError: pictures that don't belong together, a folder that holds something, a transform
            that can't be used.
    """
    table = write_kit(
        Path(original),
        Path(protected),
        Path(directory),
        transforms=transforms,
        prompts=prompts,
        name=name,
        seed=seed,
    )
    pictures = len(list((table.parent / TO_EDIT).iterdir()))
    text = (
        f"{table.parent / TO_EDIT} holds {pictures} pictures. Edit each of them with the same "
        f"settings and the prompt of its row in {table}, and save it under the name of that row in "
        f"{table.parent / EDITS}. Take rows that you don't edit out of the table.\n"
        f"Then: brittle score {table} --editor NAME"
    )
    return Report(table, text, table)


def placebo_files(
    original: str | Path,
    protected: str | Path,
    directory: str | Path,
    *,
    kinds: Sequence[str] = (),
    seed: int = 0,
    force: bool = False,
) -> list[Path]:
    """Write noise of the size of what a tool changed, on the original, as PNG files.

    >>> [one.name for one in brittle.placebo_files("me.png", "protected.png", "noise")]
    ['protected--noise.png', 'protected--noise-spectrum.png', 'protected--noise-local.png']

    Args:
        original: a photo, or a folder of them.
        protected: the protected file, or the folder of them.
        directory: where the files go, one for each photo and kind.
        kinds: ``noise``, ``noise-spectrum``, ``noise-local``, or all three where none is named;
            ``transplant`` is the change itself, rolled and flipped.
        seed: of the noise.
        force: overwrite what is there.

    Raises:
        UserError: pictures that don't belong together or would share a file's name, a file that is
            there or is one of them.
    """
    pairs, _ = find_pairs(Path(original), Path(protected))
    chosen = list(dict.fromkeys(kinds or NOISES))
    files = {pair: {kind: KitPicture(pair.name, kind, "none") for kind in chosen} for pair in pairs}
    check_files(piece for pieces in files.values() for piece in pieces.values())
    check_outputs(
        (Path(directory) / one.file for pieces in files.values() for one in pieces.values()),
        (path for pair in pairs for path in (pair.original, pair.protected)),
    )
    written = []
    for pair, pieces in files.items():
        for kind, picture in draw_placebos(read_pair(pair), kinds=chosen, seed=seed).items():
            path = Path(directory) / pieces[kind].file
            write_image(path, picture, overwrite=force)
            written.append(path)
    return written
