"""Answers about files: audits, visibility, thresholds of usable edits, mimicry."""

from collections.abc import Sequence
from pathlib import Path

from brittle import appearance
from brittle.api.batches import Destination, check_outputs
from brittle.api.reports import Report, Say, quiet
from brittle.appearance import Visibility
from brittle.auditing import PROMPTS, TRANSFORMS, Audited, Request, run
from brittle.editors import Editor, FineTune
from brittle.errors import UserError
from brittle.images import names_a_file, read_photo, write_image
from brittle.metrics import Calibration, Follow, Keep
from brittle.models import EditModel, load_model
from brittle.places import shown
from brittle.progress import Progress, silent
from brittle.reporting.audit import audit_text, page_at, write_audit
from brittle.sources.folders import left_out
from brittle.trial import mimic as mimicry
from brittle.trial.calibrating import calibrate_model, describe, read_photos
from brittle.trial.mimic import Mimicry


def audit(
    original: str | Path | None,
    protected: str | Path,
    *,
    models: Sequence[EditModel] | None = None,
    transforms: Sequence[str] | None = None,
    prompts: Sequence[str] | None = None,
    editor: str | Editor = "img2img",
    quick: bool = False,
    thorough: bool = False,
    draws: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    show_paths: bool = False,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Audited]:
    """Ask whether the protection of a file acts beyond noise of its size, and what undoes it.

    >>> report = brittle.audit("me.png", "protected.png", transforms=["flip"], quick=True)
    >>> report.found.document.photos[0].results[0].comparisons[0].test.stronger
    True

    Args:
        original: a file, or a folder whose files share names with the protected ones. Without an
            original only little can be said.
        protected: a file or a folder, made by any tool.
        models: edit models that look; the embedded one if none is given.
        transforms: after which the question is asked again: JPEG, blur … if none is given.
        prompts: what edits are asked for; two that the embedded model knows if none is given.
        editor: one without a mask.
        quick: compare what the models' encoders see, and make no edit.
        thorough: edit after every transform, with every random perturbation.
        draws: random perturbations of each kind, 19 to 999, that the encoder sees without a
            transform: p is then counted. As many as it takes if not given.
        seed: of edits and perturbations.
        out: a folder, or an .html file, for a report with pictures. A folder keeps what was
            computed too, and the same audit resumes from it.
        show_paths: name files by their whole paths; else from the current folder, or by name.
        say: told what edits will cost before they are made, and what of a folder was damaged.
        progress: told of each stage.

    Raises:
        UserError: files that can't be read or don't belong together; an unknown transform.
    """
    at, show = None if out is None else Path(out), str if show_paths else shown
    if at is not None:
        page_at(at)  # refused before the work
    for path in (original, protected):
        for note in () if path is None else left_out(Path(path)):
            say(note)
    request = Request.read(
        TRANSFORMS if transforms is None else transforms,
        PROMPTS if prompts is None else prompts,
        editor,
        quick=quick,
        thorough=thorough,
        seed=seed,
        draws=draws,
    )
    if original is None:
        found = run.audit_alone(Path(protected), show)
    else:
        chosen = [load_model()] if models is None else models
        found = run.audit(
            Path(original),
            Path(protected),
            chosen,
            request,
            folder=None if at is None or names_a_file(at) else at,
            progress=progress,
            say=say,
            show=show,
        )
    page = None if at is None else write_audit(found, at)
    return Report(found, audit_text(found.document), page)


def visibility(
    original: str | Path,
    protected: str | Path,
    *,
    out: str | Path | None = None,
    gain: float = 10,
    overwrite: bool = False,
) -> Report[Visibility]:
    """How visible a protection is on one photo: each number under its name.

    >>> print(brittle.visibility("me.png", "protected.png", out="added.png").text)
    largest change  ... of 255 levels
    PSNR            ... dB (higher: less to see)...

    Args:
        original: the photo's file as it was.
        protected: its protected file.
        out: a .png file for the difference, on gray and ``gain`` times as strong; or a folder,
            where it gets the name of ``protected``.
        gain: how much to amplify it.
        overwrite: the file for the difference.

    Raises:
        UserError: photos that can't be read or differ in size, a file that can't be written or is
            one of them.
    """
    path = None if out is None else Destination(out).file_for(Path(Path(protected).name))
    if path is not None:
        check_outputs([path], [Path(original), Path(protected)])
    photo, published = (read_photo(path).image for path in (original, protected))
    found = appearance.measure(photo, published)
    if path is not None:
        write_image(path, appearance.difference(photo, published, gain), overwrite=overwrite)
    return Report(found, appearance.in_words(found), path)


def calibrate(
    photos: str | Path,
    out: str | Path = "calibration.json",
    *,
    model: EditModel | None = None,
    sizes: Sequence[int] = (),
    prompts: Sequence[str] = (),
    editors: Sequence[str] = ("img2img",),
    clip: str | None = None,
    keep_clip: str | None = None,
    mask: str = "auto",
    overwrite: bool = False,
    progress: Progress = silent,
) -> Report[Calibration]:
    """Calibrate the thresholds that make an edit usable, for a trial's `calibration`.

    >>> few = ["img2img:num_inference_steps=4"]
    >>> report = brittle.calibrate("photos", prompts=["heavy rain"], editors=few, sizes=[128])
    >>> [(one.size, one.n) for one in report.found.thresholds]
    [(128, 8)]

    Args:
        photos: a folder of photos that are in no trial; at least 8, and 40 are good.
        out: a .json file.
        model: the edit model; the embedded one if none is given.
        sizes: at which the model sees photos, in px; its own if none is given.
        prompts: as in the trial; the embedded model has classes.
        editors: as in the trial.
        clip: a folder or downloaded hub id of a CLIP, to judge by.
        keep_clip: another for `keep`: a CLIP, or the safety checker of Stable Diffusion 1.x.
        mask: as in the trial, for inpainting.
        overwrite: the file.
        progress: told of the edits.

    Raises:
        UserError: too few photos; nothing that can judge, or no prompt; a file that exists.
    """
    path, model = Path(out), model or load_model()
    if path.suffix.lower() != ".json":
        raise UserError(f"{path} is no .json file: name one with --out.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: choose another file with --out, or say --force.")
    found = Calibration.together(
        [
            calibrate_model(
                one,
                [Editor.parse(text) for text in editors],
                read_photos(str(photos), one, mask),
                prompts,
                follow=Follow(clip=clip),
                keep=Keep(clip=keep_clip or clip),
                progress=progress,
            )
            for one in [model.at(size) for size in sizes or [model.size]]
        ]
    )
    found.save(path)
    return Report(found, "\n".join(map(describe, found.thresholds)), path)


def mimic(
    collection: str | Path,
    prompts: Sequence[str],
    out: str | Path,
    *,
    editor: str | FineTune = "finetune",
    model: EditModel | None = None,
    seeds: Sequence[int] = (0,),
    originals: str | Path | None = None,
    overwrite: bool = False,
    say: Say = quiet,
    progress: Progress = silent,
) -> Report[Mimicry]:
    """Fine-tune a model on a collection (DreamBooth), paint from prompts, and measure how near.

    >>> few = "finetune:max_train_steps=1,num_class_images=1,num_inference_steps=2"
    >>> small = brittle.load_model(size=128)
    >>> report = brittle.mimic("paintings", ["a photo of sks"], "mimicry", editor=few, model=small)
    >>> report.found.paths
    [PosixPath('mimicry/a-photo-of-sks-0.png')]

    Args:
        collection: a folder of an artist's or a subject's pictures.
        prompts: what to generate, with the rare word.
        out: a folder; it keeps fine-tunes, and an interrupted one resumes.
        editor: finetune and its fields.
        model: the edit model; the embedded one if none is given.
        seeds: a picture for each, and each prompt.
        originals: measure against these, where the collection is a copy of them.
        overwrite: pictures that are there.
        say: told what was damaged in the folder, and made again.
        progress: told of the steps and the pictures.

    Raises:
        UserError: an editor that learns from no collection; a folder, picture, token or setting
            that can't be used; a picture that exists.
    """
    found = mimicry.mimic(
        Path(collection),
        prompts,
        Path(out),
        editor=editor,
        model=model or load_model(),
        seeds=seeds,
        originals=None if originals is None else Path(originals),
        overwrite=overwrite,
        say=say,
        progress=progress,
    )
    rows = [*zip(map(str, found.paths), found.distances, strict=True), *found.ends.items()]
    told = [
        f"{name}: " + ", ".join(f"{metric} {value:.3f}" for metric, value in distances.items())
        for name, distances in rows
    ]
    return Report(found, "\n".join(told), Path(out))
