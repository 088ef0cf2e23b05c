"""A trial of two photos of 60 px that runs in a second, and what its folder holds."""

from contextlib import contextmanager

from skimage import data

from brittle.declaration.trial import Trial
from brittle.images import from_bytes, write_image
from brittle.progress import ALL

PROTECTION = "photoguard-encoder:steps=2"


def tiny_trial(folder, model, photos=("astronaut", "chelsea"), **changes):
    """Such a trial on a model's folder; its photos are written into ``folder``."""
    for name in photos:
        levels = getattr(data, name)()[None, :240:4, :240:4]
        write_image(folder / f"{name}.png", from_bytes(levels))
    fields = {
        "photos": str(folder),
        "model": str(model),
        "protections": (PROTECTION,),
        "placebos": ("noise",),
        "transforms": ("none", "jpeg:quality=50"),
        "editors": ("img2img:num_inference_steps=2",),
        "prompts": ("heavy rain",),
        "metrics": ("psnr",),
        "primary": {"metric": "psnr"},
        "floor_seeds": (1,),
        "batch": 2,
    }
    return Trial(**fields | changes)


def content(folder, but=("manifest.json",)):
    """Every file of a folder as bytes ``but`` some; the manifest has the time of the run in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in but
    }


class Killed(BaseException):
    pass


def killing_after(count):
    """A progress that stops the run like a kill, at the count-th piece of work."""
    done = 0

    @contextmanager
    def progress(stage, total):
        def advance(pieces):
            nonlocal done
            done += pieces if stage != ALL else 0
            if done >= count:
                raise Killed

        yield advance

    return progress
