"""Published autoencoders with a short name: stand-ins for the encoders of well-known editors."""

from dataclasses import dataclass
from pathlib import Path

from brittle.errors import UserError
from brittle.models import hub
from brittle.models.taesd_files import tensor_names


@dataclass(frozen=True)
class KnownModel:
    """A tiny autoencoder, distilled from that of an editor whose latents it shares."""

    name: str
    hub_id: str
    files: tuple[str, ...]
    """Their names on the hub: weights in safetensors."""
    stands_for: str
    """The editors whose encoder it was distilled from."""
    size: int
    """The long side in pixels at which these editors are used."""
    licence: str = "MIT"
    megabytes: int = 10
    """What is downloaded, at most."""

    @property
    def standing(self) -> str:
        """What has to be said wherever it is named."""
        return f"a distilled stand-in for the encoder of {self.stands_for}"

    @property
    def folder(self) -> Path | None:
        """Where it lies in the cache; None where it doesn't, whole."""
        found = hub.cached(self.hub_id, self.files)
        return None if found is None or self._lacking(found) else found

    def fetch(self) -> Path:
        """Its folder, from the cache or downloaded.

        Raises:
            UserError: as `hub.fetch`; a file in the cache is damaged.
        """
        found = hub.fetch(self.hub_id, self.files, (), self._lacking)
        if lacking := self._lacking(found):
            raise UserError(f"{self.hub_id}: {lacking}")
        return found

    def _lacking(self, folder: Path) -> str:
        for name in self.files:
            if not (folder / name).is_file():
                return f"there is no {name}."
            if not tensor_names(folder / name):
                # The hub's library downloads nothing that is in its cache, whatever it is.
                return f"{folder / name} is damaged: delete it and the file that it links to."
        return ""


def _pair(stem: str) -> tuple[str, ...]:
    return f"{stem}_encoder.safetensors", f"{stem}_decoder.safetensors"


BROUGHT = ("embedded", "embedded-instruct")
"""Editors whose weights come with brittle."""

KNOWN = {
    one.name: one
    for one in (
        KnownModel(
            "sd1", "madebyollin/taesd", _pair("taesd"), "Stable Diffusion 1.x and 2.x", size=512
        ),
        KnownModel(
            "sdxl", "madebyollin/taesdxl", _pair("taesdxl"), "Stable Diffusion XL", size=1024
        ),
        KnownModel("sd3", "madebyollin/taesd3", _pair("taesd3"), "Stable Diffusion 3", size=1024),
        KnownModel("flux1", "madebyollin/taef1", _pair("taef1"), "FLUX.1", size=1024),
        KnownModel("flux2", "madebyollin/taef2", ("taef2.safetensors",), "FLUX.2", size=1024),
    )
}


def known_as(name: str) -> KnownModel | None:
    """The model of this short name or hub id; None where it is no such name."""
    return next((one for one in KNOWN.values() if name in (one.name, one.hub_id)), None)
