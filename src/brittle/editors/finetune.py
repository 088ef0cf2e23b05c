"""finetune: the model learns a subject or a style from a collection, then generates it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from brittle import images, noise
from brittle.component import key, register
from brittle.editors.sampling import Sampling
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.models.edit_model import file_hash
from brittle.models.finetuning import Course, Lesson, fine_tune, square
from brittle.models.memory import check_memory
from brittle.models.parts import Part
from brittle.models.tuned import LearningScope, TunedFiles
from brittle.noise import Seeds, derive_seed
from brittle.progress import Progress, silent

ROWS = 4
"""Pictures a model call: one shape, so that no picture depends on which others were asked for."""


@register
class FineTune(Sampling):
    """DreamBooth: fine-tuning on a collection of pictures under a rare word, then text to image.

    The collection is shown under ``instance_prompt``, which holds the rare ``token``; pictures that
    the model itself makes of ``class_prompt`` are shown beside it, so that the model doesn't forget
    what the class looks like (prior preservation). Fields are named as in diffusers' DreamBooth
    script. One fine-tune serves every prompt and seed of `generate`; it is kept in a folder by the
    hash of its training set and of everything that it depends on.

    ``method`` is "lora" (thin matrices beside the attention's layers, and with ``convolutions``
    beside the UNet's convolutions) or "full" (all weights). An open ``learning_rate`` is 1e-4 for
    LoRA and 5e-6 for a full fine-tune, the script's own; a small model wants more. Differences from
    the script: latents are the mean of the autoencoder's distribution; pictures are cut to their
    centre square and never flipped; the rate is constant.
    """

    name = "finetune"
    source = (
        "DreamBooth (Ruiz et al. 2022, arXiv:2208.12242); LoRA (Hu et al. 2021, arXiv:2106.09685)"
    )
    task = "generate"
    takes_collection = True
    RATES: ClassVar[dict[str, float]] = {"lora": 1e-4, "full": 5e-6}

    strength: Literal[1] = 1
    """Pictures are made from noise alone."""
    method: Literal["lora", "full"] = "lora"
    rank: int = Field(16, ge=1)
    convolutions: bool = False
    train_text_encoder: bool = False
    token: str = "sks"
    instance_prompt: str = "a photo of sks"
    class_prompt: str = "a photo"
    num_class_images: int = Field(32, ge=1)
    prior_loss_weight: float = Field(1.0, ge=0)
    max_train_steps: int = Field(400, ge=0)
    train_batch_size: int = Field(2, ge=1)
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    tuning_seed: int = Field(0, ge=0)
    """What the training draws from; pictures have seeds of their own."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.token not in self.instance_prompt.split():
            raise ValueError(
                f"instance_prompt={self.instance_prompt!r} does not hold the word that it is to "
                f"teach, {self.token}: change it, or token"
            )
        return self

    def resolve(self, model: EditModel) -> Self:
        """As `Sampling.resolve`; guidance and steps as the model recommends them for img2img."""
        advised = model.recommended.get("img2img", {})
        filled = {
            name: getattr(self, name) if getattr(self, name) is not None else advised.get(name)
            for name in ("guidance_scale", "num_inference_steps", "scheduler")
        }
        filled["learning_rate"] = self.learning_rate or self.RATES[self.method]
        return super(FineTune, self.model_copy(update=filled)).resolve(model)

    def edit(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        mask: Mask = None,
        seeds: Seeds,
    ) -> Tensor:
        """All of ``image`` (N, 3, H, W) is one collection; a picture for each prompt and seed.

        Learns anew at each call; `learn` keeps what was learned.

        Raises:
            UserError: as `learn`; a mask.
        """
        if mask is not None:
            raise UserError("finetune generates whole pictures and takes no mask.")
        with tempfile.TemporaryDirectory() as folder:
            tuned = self.learn(model, image.split(1), folder=Path(folder))
            return self.generate(tuned, prompts=prompts, seeds=seeds)

    def learn(
        self,
        model: EditModel,
        collection: Sequence[Tensor],
        *,
        folder: Path,
        ordered: bool = False,
        progress: Progress = silent,
    ) -> EditModel:
        """The model fine-tuned on pictures (1, 3, H, W) in [0, 1], of any sizes and in any order.

        It is kept under ``folder``: asked for again, it is there at once, and one that was stopped
        goes on. With ``ordered`` the pictures' order counts: two versions of a collection then meet
        the same draws, picture by picture, and differ in nothing else.

        Raises:
            UserError: fewer than two pictures, or smaller ones than the model makes; a token that
                the model's tokenizer splits; a model for inpainting; too little memory.
        """
        setting = self.resolve(model)
        setting.check(model, collection)
        squares = [square(image, model.size) for image in collection]
        if not ordered:
            squares.sort(key=images.digest)
        prior = []
        if setting.prior_loss_weight and setting.max_train_steps:
            prior = setting.class_images(model, folder, progress)
        parts = [images.digest(picture) for picture in (*squares, *prior)]
        name = key("finetune", setting, *model.in_keys, parts)
        lessons = [Lesson.of(model, squares, setting.instance_prompt)]
        if prior:
            weight = setting.prior_loss_weight
            lessons.append(Lesson.of(model, prior, setting.class_prompt, weight))
        assert setting.learning_rate is not None, "resolved"
        course = Course(
            setting.scope, setting.max_train_steps, setting.learning_rate, setting.train_batch_size,
            derive_seed(setting.tuning_seed, "finetune"),
        )  # fmt: skip
        try:
            weights = fine_tune(model, lessons, course, folder / name, progress)
        except (MemoryError, torch.OutOfMemoryError):
            raise UserError(
                "The fine-tune does not fit into memory: say method=lora or train_batch_size=1."
            ) from None
        tuned = TunedFiles(model.files, setting.scope, weights)
        return model.with_files(tuned, changed=setting.scope.parts)

    def generate(self, model: EditModel, *, prompts: Sequence[str], seeds: Seeds) -> Tensor:
        """Pictures (N, 3, size, size) in [0, 1], one for each prompt and its seed."""
        setting, made = self.resolve(model), []
        pairs = list(zip(prompts, seeds, strict=True))
        for start in range(0, len(pairs), ROWS):
            some = pairs[start : start + ROWS]
            made.append(setting._draw(model, some + some[-1:] * (ROWS - len(some)))[: len(some)])
        return torch.cat(made)

    @property
    def pictures_a_step(self) -> int:
        """Pictures that a step of the training shows, those of the class included."""
        return self.train_batch_size * (2 if self.prior_loss_weight else 1)

    def _draw(self, model: EditModel, pairs: Sequence[tuple[str, int]]) -> Tensor:
        with torch.inference_mode():
            plan = chain.plan(
                model,
                prompts=[prompt for prompt, _ in pairs],
                streams=noise.generators([seed for _, seed in pairs]),
                shape=(model.size, model.size),
                task=self.task,
                **self.settings(),
            )
            return chain.finish(model, chain.start(model, plan), plan).clamp(0, 1).cpu()

    @property
    def scope(self) -> LearningScope:
        """What of the model learns."""
        rank = self.rank if self.method == "lora" else None
        parts: tuple[Part, ...] = ("denoiser",)
        if self.train_text_encoder:
            parts = ("denoiser", "text_encoder")
        return LearningScope(parts, rank, self.convolutions)

    def check(self, model: EditModel, collection: Sequence[Tensor]) -> None:
        """Refuse what can't be learned; see `learn`."""
        if len(collection) < 2:
            raise UserError(
                f"A collection holds at least two pictures, and this one holds {len(collection)}."
            )
        sides = [min(image.shape[-2:]) for image in collection]
        if min(sides) < model.size:
            raise UserError(
                f"A picture of the collection is only {min(sides)} px on its short side, and "
                f"{model.name} is to learn at {model.size} px: choose a smaller size (--size "
                f"{min(sides) // model.factor * model.factor}, or `size` in a trial) or larger "
                f"pictures."
            )
        pieces = model.part("tokenizer")(self.token, add_special_tokens=False).input_ids
        if len(pieces) != 1:
            raise UserError(
                f"{model.name} reads {self.token!r} as {len(pieces)} tokens: choose a word that is "
                f"one token, such as sks."
            )

    def check_memory(self, model: EditModel) -> None:
        """Refuse a full fine-tune that can't fit into memory; see `learn`."""
        check_memory(model, self.scope)

    def class_images(self, model: EditModel, folder: Path, progress: Progress) -> list[Tensor]:
        """What the model itself makes of the class prompt; kept as PNGs under ``folder``."""
        name = key("prior", self.class_prompt, self.settings(), *model.in_keys)
        paths = [folder / f"class-{name}" / f"{i:03}.png" for i in range(self.num_class_images)]
        sums = paths[0].with_name("SHA256SUMS")
        known = sums.read_bytes().splitlines() if sums.is_file() else None
        missing = [i for i, path in enumerate(paths) if not _is_whole(path, known)]
        if missing:
            self.check_memory(model)  # of what they are made for
            with progress("class images", len(missing)) as advance:
                for start in range(0, len(missing), ROWS):
                    some = missing[start : start + ROWS]
                    seeds = [derive_seed(i, "class image") for i in some]
                    prompts = [self.class_prompt] * len(some)
                    made = self.generate(model, prompts=prompts, seeds=seeds)
                    for i, image in zip(some, made.split(1), strict=True):
                        images.write_image(paths[i], image, overwrite=True)
                    advance(len(some))
        if missing or known is None:
            images.write_bytes(sums, b"\n".join(map(_sum, paths)) + b"\n", overwrite=True)
        return [images.from_png(path.read_bytes()) for path in paths]


def _sum(path: Path) -> bytes:
    """A picture's line in a file that `sha256sum -c` reads."""
    return f"{file_hash(path)}  {path.name}".encode()


def _is_whole(path: Path, sums: Sequence[bytes] | None) -> bool:
    """Whether a picture is there as it was made; without sums, whether it can be read."""
    if not path.is_file():
        return False
    if sums is not None:
        return _sum(path) in sums
    try:
        images.from_png(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return True
