"""The bench: any protection through one declared trial, and the leaderboard of the results."""

import secrets
from pathlib import Path

from brittle.analysis.finished import Finished
from brittle.api.reports import Report, Say, quiet
from brittle.api.trials import dry_run, reported
from brittle.benching.declaration import Submission, load_bench, submission, title
from brittle.benching.entry import Entry
from brittle.benching.leaderboard import page, read_entries, read_entry
from brittle.benching.measuring import make_entry
from brittle.benching.verifying import Verified, verify_bundle
from brittle.errors import UserError, needed
from brittle.images import write_bytes, write_image
from brittle.networks import st_lpips
from brittle.progress import Progress, silent
from brittle.record.bundle import SUFFIX, pack
from brittle.record.manifest import MANIFEST
from brittle.reporting.formatting import estimated, mostly
from brittle.sources.photos import load_photos
from brittle.trial.run import run


def bench(
    protection: str,
    out: str | Path = "bench",
    *,
    size: str | Path = "quick",
    photos: str | Path | None = None,
    files: str | Path | None = None,
    by: str = "",
    device: str | None = None,
    dtype: str | None = None,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Entry]:
    """Run a protection through a bench: its trial, the bundle of it, and the leaderboard's entry.

    >>> report = brittle.bench("photoguard-encoder:steps=2", "benched", size="bench.yaml", by="me")
    >>> report.found.results[0].level, report.path
    ('mild', PosixPath('benched/photoguard-encoder-steps-2.json'))

    Args:
        protection: a preset or ``name:field=value``; with ``files``, what the tool is called.
        out: a folder; what was computed is kept there, the same call goes on from it, and other
            protections take from it what they share, as the edits of unprotected photos.
        size: ``quick`` or ``small`` (the embedded model at 128 or 512 px), ``full`` (Stable
            Diffusion), or a file of one's own.
        photos: a folder, for a bench that has no photos of its own or in their place.
        files: a folder of protected files that any tool made of the bench's photos.
        by: who ran it, for the leaderboard.
        device: cpu, cuda or mps; chosen by itself if not given.
        dtype: float32, bfloat16 or float16, as `load_model` takes it; chosen for the device if not
            given.
        say: told what was damaged in the folder, and made again.
        progress: told of each stage.

    Raises:
        UserError: a protection, photos or files that can't be used; ST-LPIPS is missing.
    """
    of = _submission(protection, size, photos, files)
    folder = Path(out) / of.slug
    other_rows = [
        one.parent for one in sorted(Path(out).glob(f"*/{MANIFEST}")) if one.parent != folder
    ]
    record = run(
        of.trial,
        folder,
        device=device,
        dtype=dtype,
        lenders=other_rows,
        say=say,
        progress=progress,
    )
    assert record is not None, "only shards have none"
    about = reported(record)
    trial = Finished.open(folder)
    bundle, path = (folder.with_name(f"{of.slug}{suffix}") for suffix in (SUFFIX, ".json"))
    pack(trial.record, bundle, overwrite=True)
    entry = make_entry(trial, of, bundle, by=by)
    write_bytes(path, entry.to_json().encode(), overwrite=True)
    return Report(
        entry, f"{_words(entry)}\n\nReport: {about.path}\nBundle: {bundle}\nEntry: {path}", path
    )


def bench_cost(
    protection: str,
    *,
    size: str | Path = "quick",
    photos: str | Path | None = None,
    files: str | Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> str:
    """What a protection's bench would cost, in words; arguments as `bench`.

    >>> print(brittle.bench_cost("photoguard-encoder:steps=2", size="bench.yaml"))
    photoguard-encoder:steps=2 on the bench tiny 1: 1 photos on embedded...

    Raises:
        UserError: as `bench`; too little memory.
    """
    return dry_run(_submission(protection, size, photos, files).trial, device=device, dtype=dtype)


def bench_photos(out: str | Path, *, size: str | Path = "quick") -> list[Path]:
    """Write a bench's photos, for tools that brittle doesn't have to protect.

    >>> brittle.bench_photos("to-protect", size="bench.yaml")
    [PosixPath('to-protect/me.png')]

    Args:
        out: a folder.
        size: as `bench`.

    Raises:
        UserError: a bench without photos of its own; a file that is there.
    """
    trial = submission(load_bench(size), "photos", files=Path(out)).trial
    found = []
    for name, one in load_photos(trial.photos, square=trial.square).items():
        path = Path(out) / f"{name}.png"
        write_image(path, one.image)
        found.append(path)
    return found


def verify(
    bundle: str | Path,
    entry: str | Path | None = None,
    *,
    seed: int | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Report[Verified]:
    """Compute a random tenth of a bundle's edits and scores again, and say what agrees.

    >>> made = brittle.bench("photoguard-encoder:steps=2", "benched", size="bench.yaml")
    >>> bundle = made.path.with_suffix(".zip")
    >>> brittle.verify(bundle, made.path, seed=1).found.agrees
    True

    Args:
        bundle: a .zip of `bench`.
        entry: its file of the leaderboard, whose numbers are then computed again from the bundle.
        seed: what chooses the tenth; a new one if not given.
        device: cpu, cuda or mps; chosen by itself if not given.
        progress: told of each stage.

    Raises:
        UserError: no bundle, one of another model than is here, or an entry of another bundle.
    """
    found = verify_bundle(
        Path(bundle),
        None if entry is None else read_entry(Path(entry)),
        seed=secrets.randbelow(2**31) if seed is None else seed,
        device=device,
        progress=progress,
    )
    lines = [part.words for part in found.parts]
    return Report(found, "\n".join([*lines, f"Chosen with seed {found.seed}."]))


def leaderboard(folder: str | Path, out: str | Path) -> Report[list[Entry]]:
    """Write the page of a leaderboard from its entries.

    >>> brittle.leaderboard("entries", "leaderboard.md").path
    PosixPath('leaderboard.md')

    Args:
        folder: of entries, a .json file each.
        out: the page, as Markdown.

    Raises:
        UserError: no such folder, a file in it that is no entry, a page that is no .md file or
            can't be written.
    """
    if Path(out).suffix != ".md":
        raise UserError(f"{out} is no .md file: the page is Markdown, so name one.")
    entries = read_entries(Path(folder))
    write_bytes(Path(out), page(entries).encode(), overwrite=True)
    said = f"{out}: {len(entries)} result{'s' * (len(entries) != 1)}."
    return Report(entries, said, Path(out))


def _submission(
    protection: str,
    size: str | Path,
    photos: str | Path | None,
    files: str | Path | None,
) -> Submission:
    with needed("A bench measures visibility by ST-LPIPS"):
        st_lpips.weights()
    photos, files = (None if one is None else Path(one) for one in (photos, files))
    return submission(load_bench(size), protection, photos=photos, files=files)


def _words(entry: Entry) -> str:
    """An entry's answer: a line for each level of visibility."""
    lines = [f"{title(entry.protection, entry.bench, entry.bench_version)}:"]
    for one in entry.results:
        lines += [
            f"  {one.level} (ST-LPIPS {estimated(one.st_lpips, digits=3)}): {one.standing}",
            f"    reach without a transform      {estimated(one.before)}",
            f"    reach that the attacker leaves {estimated(one.worst)} {mostly(one.worst_chosen)}",
            f"    usable edits, of 100           {estimated(one.usable, per_hundred=True)} "
            f"(unprotected {estimated(one.usable_original, per_hundred=True)})",
        ]
    return "\n".join(lines)
