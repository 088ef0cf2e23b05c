"""One .safetensors checkpoint, as A1111 and ComfyUI keep them, by the names its makers gave."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from brittle.errors import UserError, printable
from brittle.models.configs import read_config, stated_size
from brittle.models.files import FOLDERS, KONTEXT, SD1, TRANSFORMER, Directory
from brittle.models.marks import kind_of, scheduler_marks
from brittle.models.original_names import in_diffusers_names
from brittle.models.parts import CALLED, Part
from brittle.models.reading import (
    check_weights,
    class_of,
    config_path,
    load_tokenizer,
    open_weights,
    read_json,
    reading,
)

_HERE = Path(__file__).parent
_UNET = "model.diffusion_model."


@dataclass(frozen=True)
class Layout:
    """How a kind of checkpoint names its tensors, and where its configuration lies."""

    name: str
    marks: tuple[str, ...]
    """Each is part of some tensor's name, and only in files of this kind are all of them."""
    prefixes: Mapping[Part, tuple[str, ...]]
    """Of each part; where there are several, whichever is found."""
    configs: Path | None
    """As a directory in diffusers' format, without weights; None: another model's has to serve."""
    pads_with_other: Part = "tokenizer_2"
    """The tokenizer of OpenCLIP's text encoder, which pads with ``!``."""
    optional: tuple[Part, ...] = ()
    """Parts that the model does without."""
    t5: Part | None = None
    """The text encoder whose tokenizer is in no such file."""


STABLE_DIFFUSION = Layout(
    "Stable Diffusion 1.x",
    (),
    {
        "vae": ("first_stage_model.",),
        "denoiser": (_UNET,),
        "text_encoder": ("cond_stage_model.transformer.",),
    },
    SD1,
)
STABLE_DIFFUSION_2 = Layout(
    "Stable Diffusion 2.x",
    (_UNET, "cond_stage_model.model."),
    {
        "vae": ("first_stage_model.",),
        "denoiser": (_UNET,),
        "text_encoder": ("cond_stage_model.model.",),
    },
    _HERE / "sd2",
    pads_with_other="tokenizer",
)
STABLE_DIFFUSION_XL = Layout(
    "Stable Diffusion XL",
    (_UNET + "label_emb.0.0.weight",),
    {
        "vae": ("first_stage_model.",),
        "denoiser": (_UNET,),
        "text_encoder": ("conditioner.embedders.0.transformer.",),
        "text_encoder_2": ("conditioner.embedders.1.model.",),
    },
    _HERE / "sdxl",
)
STABLE_DIFFUSION_3 = Layout(
    "Stable Diffusion 3",
    ("joint_blocks.0.x_block.attn.qkv.weight",),
    {
        "vae": ("first_stage_model.",),
        "denoiser": (_UNET, ""),
        "text_encoder": ("text_encoders.clip_l.transformer.",),
        "text_encoder_2": ("text_encoders.clip_g.transformer.",),
        "text_encoder_3": ("text_encoders.t5xxl.transformer.",),
    },
    _HERE / "sd3",
    optional=("text_encoder_3",),
    t5="text_encoder_3",
)
FLUX = Layout(
    "FLUX.1",
    ("double_blocks.0.img_mod.lin.weight", "vector_in.in_layer.weight"),
    {
        "vae": ("vae.", "first_stage_model."),
        "denoiser": (_UNET, ""),
        "text_encoder": ("text_encoders.clip_l.transformer.",),
        "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
    },
    None,
    t5="text_encoder_2",
)
_OTHERS = (STABLE_DIFFUSION_2, STABLE_DIFFUSION_XL, STABLE_DIFFUSION_3, FLUX)
_FIRST = {
    STABLE_DIFFUSION_3.name: "x_embedder.proj.weight",
    FLUX.name: "img_in.weight",
}
"""The denoiser's first layer by layout, without prefix; a UNet's is `_FIRST_OF_UNET`."""
_REFINER = "conditioner.embedders.0.model."
_FIRST_OF_UNET = "input_blocks.0.0.weight"
_LAST_BIAS = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_VELOCITY_BIAS = 0.09
"""Above this deviation of `_LAST_BIAS`, a file of Stable Diffusion 2.x probably predicts velocity:
ComfyUI's guess (model_type of its class SD20), since most of these files say nothing."""


class SingleFile:
    """One .safetensors checkpoint of a known layout.

    Its configuration ships with brittle, or is another model's folder, which then also gives the
    parts that the file lacks.
    """

    directory = base_directory = None

    def __init__(self, path: Path, configs: Path | None = None) -> None:
        """``configs``: a folder in diffusers' format in place of the layout's configuration.

        Raises:
            UserError: the file is of no layout that brittle knows, or lacks parts that ``configs``
                doesn't hold.
        """
        self.path = path
        self.name = printable(path.name)
        check_weights([path])
        with open_weights(path) as file:
            self._keys = list(file.keys())
            self._shapes = {key: tuple(file.get_slice(key).get_shape()) for key in self._keys}
            self.layout = self._layout()
            self._prefixes = self._found()
            self._marks = {} if self._flows else self._marked(file)
        if not (found := configs or self.layout.configs):
            raise self._no_tokenizer(None)
        self.configs = found
        self._lent = [part for part in self.layout.prefixes if self._is_lent(part)]
        t5 = self.layout.t5
        if t5 in (*self._prefixes, *self._lent) and not (found / _tokenizer_of(t5)).is_dir():
            raise self._no_tokenizer(configs)
        self._lender = Directory(self.configs, self.name, whole=False) if self._lent else None
        for part in self._lent:
            self._check_lent(part, configs)

    def _layout(self) -> Layout:
        if any(key.startswith(_REFINER) for key in self._keys):
            raise UserError(
                f"{self.path} is a checkpoint of Stable Diffusion XL's refiner: brittle edits with "
                f"base models."
            )
        for layout in _OTHERS:
            if all(any(mark in key for key in self._keys) for mark in layout.marks):
                return layout
        return STABLE_DIFFUSION

    def _found(self) -> dict[Part, str]:
        """The prefix of each part that is there; UserError unless the denoiser is."""
        first = _FIRST.get(self.layout.name, _FIRST_OF_UNET)
        found: dict[Part, str] = {}
        for part, prefixes in self.layout.prefixes.items():
            for prefix in prefixes:
                begins = prefix + first if part == "denoiser" else prefix
                if part not in found and any(key.startswith(begins) for key in self._keys):
                    found[part] = prefix
        if "denoiser" not in found:
            kind = kind_of(self._keys)
            raise UserError(
                f"{self.path} is no checkpoint of {self.layout.name}: it "
                + (
                    f"is {kind}."
                    if kind
                    else f"holds no tensor {self.layout.prefixes['denoiser'][0]}{first}; name a "
                    f"directory in diffusers' format for other models."
                )
            )
        return found

    @property
    def _flows(self) -> bool:
        """Whether the denoiser is a transformer of flow matching, and no UNet."""
        return self.layout.name in _FIRST

    def _no_tokenizer(self, given: Path | None) -> UserError:
        return UserError(
            f"{self.path} is a checkpoint of {self.layout.name} in one file, which holds no "
            f"tokenizer for T5"
            + (f", and {given} has none" if given else "")
            + f": name a folder or hub id in diffusers' format that has one before the file, as "
            f"FOLDER+{self.path}; other parts that the file lacks are taken from there too."
        )

    def _is_lent(self, part: Part) -> bool:
        """Whether a part is another model's: one that lacks and has to be there, or that it has."""
        if part in self._prefixes:
            return False
        return part not in self.layout.optional or (self._folder(part) / "config.json").is_file()

    def _check_lent(self, part: Part, given: Path | None) -> None:
        try:
            if given is None:
                raise UserError("")
            assert self._lender is not None
            self._lender.config(part)
            self._lender.count(part)
        except UserError:
            raise UserError(
                f"{self.path} lacks its {CALLED[part]}: it holds no tensor "
                f"{self.layout.prefixes[part][0]}*"
                + (f", and {given} has none" if given else "")
                + f"; name a folder or hub id in diffusers' format that has one before it, as "
                f"FOLDER+{self.path}."
            ) from None

    @property
    def index(self) -> Mapping[str, Any]:
        """As `ModelFiles.index`: the other model's."""
        index = self.configs / "model_index.json"
        return read_json(index, missing="") if index.is_file() else {}

    @property
    def pipeline(self) -> str:
        """As `ModelFiles.pipeline`."""
        return str(self.index.get("_class_name") or "")

    def _folder(self, part: str) -> Path:
        transformer = part == "denoiser" and self._flows
        return self.configs / (TRANSFORMER if transformer else FOLDERS.get(part, part))

    def config(self, part: Part | Literal["scheduler"]) -> Mapping[str, Any]:
        """As `ModelFiles.config`."""
        if part in self.layout.optional and part not in (*self._prefixes, *self._lent):
            raise UserError(f"{self.path} lacks its {CALLED[part]}.")
        path = config_path(self._folder(part), part)
        config = read_config(path, part, missing=f"The configuration lacks {part}")
        if part == "denoiser":
            return {**config, **self._stated()}
        return {**config, **self._marks} if part == "scheduler" else config

    def _stated(self) -> dict[str, Any]:
        """What of the denoiser's configuration its tensors say."""
        if self.layout is STABLE_DIFFUSION_3:
            return self._stated_of_sd3()
        if self.layout is FLUX:
            return {
                "in_channels": self._side("img_in.weight", 1),
                "out_channels": self._side("final_layer.linear.weight", 0),
                "num_layers": self._blocks("double_blocks."),
                "num_single_layers": self._blocks("single_blocks."),
                "guidance_embeds": bool(self._shape("guidance_in.in_layer.weight")),
            }
        size = {"sample_size": 96} if self._is_of_768 else {}
        return {"in_channels": (*self._shape(_FIRST_OF_UNET), 0, 0)[1], **size}

    def _stated_of_sd3(self) -> dict[str, Any]:
        """Its heads are 64 wide, and as many as it has blocks."""
        width, channels = (self._side("x_embedder.proj.weight", axis) for axis in (0, 1))
        places = self._side("pos_embed", 1)
        dual = [f"joint_blocks.{n}.x_block.attn2.qkv.weight" for n in range(99)]
        normalised = self._shape("joint_blocks.0.x_block.attn.ln_q.weight")
        return {
            "in_channels": channels,
            "num_layers": self._blocks("joint_blocks."),
            "num_attention_heads": width // 64,
            "attention_head_dim": 64,
            "caption_projection_dim": width,
            "joint_attention_dim": self._side("context_embedder.weight", 1),
            "pooled_projection_dim": self._side("y_embedder.mlp.0.weight", 1),
            "pos_embed_max_size": round(places**0.5),
            "dual_attention_layers": [n for n, name in enumerate(dual) if self._shape(name)],
            "qk_norm": "rms_norm" if normalised else None,
        }

    @property
    def _is_of_768(self) -> bool:
        """Whether it is Stable Diffusion 2.x for 768 px, by the configuration that ships."""
        own = self.configs == STABLE_DIFFUSION_2.configs
        return own and self._marks.get("prediction_type") == "v_prediction"

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of one of the denoiser's tensors; empty where there is none."""
        return self._shapes.get(self._prefixes["denoiser"] + name, ())

    def _side(self, name: str, axis: int) -> int:
        """One side of one of the denoiser's tensors; UserError where it has no such axis."""
        shape = self._shape(name)
        if len(shape) <= axis:
            raise UserError(
                f"{self.path} can't be read as {self.layout.name}: it has no tensor "
                f"{self._prefixes['denoiser']}{name} of {axis + 1} axes or more; download it again."
            )
        return shape[axis]

    def _blocks(self, name: str) -> int:
        begins = self._prefixes["denoiser"] + name
        return len({key[len(begins) :].partition(".")[0] for key in self._of(begins)})

    def _of(self, prefix: str) -> list[str]:
        """The names that begin with a prefix; none of a part without one that are another's."""
        others = [one for one in self._prefixes.values() if one and not prefix]
        return [
            key for key in self._keys if key.startswith(prefix) and not key.startswith((*others,))
        ]

    def _marked(self, file: Any) -> dict[str, Any]:
        """What changes in the layout's scheduler: by marks, or by `_VELOCITY_BIAS` without any."""
        marks = scheduler_marks(self.path, self._keys, file.metadata() or {})
        name = self._prefixes["denoiser"] + _LAST_BIAS
        asked = self.layout is STABLE_DIFFUSION_2 and not marks
        if not asked or name not in self._keys or self._side(_FIRST_OF_UNET, 1) != 4:
            return marks
        deviation = file.get_tensor(name).float().std(correction=0)
        return {"prediction_type": "v_prediction"} if deviation > _VELOCITY_BIAS else {}

    def load(self, part: Part, dtype: torch.dtype) -> Any:
        """As `ModelFiles.load`."""
        if part.startswith("tokenizer"):
            return reading("The tokenizer", lambda: self._tokenizer(part))
        if part in self._lent:
            assert self._lender is not None
            return self._lender.load(part, dtype)
        prefix = self._prefixes[part]
        with open_weights(self.path) as file:
            weights = {key: file.get_tensor(key) for key in self._of(prefix)}
        what = f"{self.name}: its {CALLED[part]}"
        if part.startswith("text_encoder"):
            return reading(what, lambda: self._text_encoder(part, weights, dtype))
        if part == "denoiser" and self._flows:
            named = {key.removeprefix(prefix): value for key, value in weights.items()}
            return reading(what, lambda: self._transformer(named, dtype))
        cls, options = class_of(part, self.config(part), dtype)
        extra = self._stated() if part == "denoiser" else {}
        model = reading(
            what,
            lambda: cls.from_single_file(
                weights,
                config=str(self.configs),
                subfolder=FOLDERS[part],
                local_files_only=True,
                **options,
                **extra,
            ),
        )
        absent = [name for name, value in model.state_dict().items() if value.is_meta]
        if absent:
            raise UserError(f"{what} is incomplete, {absent[0]} is missing; download it again.")
        return model

    def _transformer(self, weights: dict[str, Tensor], dtype: torch.dtype) -> Any:
        config = self.config("denoiser")
        cls, _ = class_of("denoiser", config, dtype)
        named = in_diffusers_names(config["_class_name"], weights)
        with torch.device("meta"):
            model = cls.from_config(dict(config))
        model.load_state_dict({key: value.to(dtype) for key, value in named.items()}, assign=True)
        return model

    def _tokenizer(self, part: Part) -> Any:
        """CLIP's, which ships with brittle once, unless the folder of configurations has one."""
        own = self.configs / part
        tokenizer = load_tokenizer(own if own.is_dir() else SD1 / "tokenizer")
        if part == self.layout.pads_with_other:
            tokenizer.pad_token = "!"
        return tokenizer

    def _text_encoder(self, part: Part, weights: dict[str, Tensor], dtype: torch.dtype) -> Any:
        config = dict(self.config(part))
        cls, _ = class_of(part, config, dtype)
        model = cls(cls.config_class.from_dict(config))
        prefix = self._prefixes[part]
        if prefix.endswith(".model."):
            named = _from_open_clip(model, weights, prefix)
        else:
            named = {key.removeprefix(prefix): weights[key] for key in weights}
        if self.layout is STABLE_DIFFUSION_3 and part == "text_encoder":
            # Its makers read the sum of a prompt before the projection.
            named["text_projection.weight"] = torch.eye(model.config.projection_dim)
        if "shared.weight" in named:
            named.setdefault("encoder.embed_tokens.weight", named["shared.weight"])
        elif not hasattr(model, "text_model"):  # newer versions of transformers dropped this level
            named = {key.removeprefix("text_model."): value for key, value in named.items()}
        buffers = "embeddings.position_ids"
        model.load_state_dict({k: v for k, v in named.items() if not k.endswith(buffers)})
        return model.to(dtype)

    def count(self, part: Part) -> int:
        """As `ModelFiles.count`, from the file's header."""
        if part in self._lent:
            assert self._lender is not None
            return self._lender.count(part)
        return sum(torch.Size(self._shapes[key]).numel() for key in self._of(self._prefixes[part]))

    def paths(self) -> list[Path]:
        """As `ModelFiles.paths`."""
        return [self.path, *sorted(path for path in self.configs.glob("*/*") if self._read(path))]

    def _read(self, path: Path) -> bool:
        """Whether a file beside the checkpoint says what the model computes."""
        if path.suffix != ".safetensors":
            return path.is_file()
        return any(path.parent == self._folder(part) for part in self._lent)

    def recommended(self) -> Mapping[str, Any]:
        """As `ModelFiles.recommended`: none."""
        return {}

    def stated_size(self) -> int | None:
        """As `ModelFiles.stated_size`."""
        return stated_size(self.config("denoiser"), self.config("vae"))

    def read_as(self) -> list[str]:
        """As `ModelFiles.read_as`: the marks that are followed."""
        shows = [f"pipeline {KONTEXT}"] if self.pipeline == KONTEXT else []
        return [*(f"{key} {value}" for key, value in sorted(self._marks.items())), *shows]


def _tokenizer_of(text_encoder: Part | None) -> str:
    return (text_encoder or "").replace("text_encoder", "tokenizer")


def _from_open_clip(model: Any, weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """OpenCLIP's weights under transformers' names; of layers and projections, the model's own.

    Stable Diffusion 2.x does without the last layer.
    """
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    named: dict[str, Tensor] = convert_open_clip_checkpoint(model, weights, prefix=prefix)
    if hasattr(model, "text_projection"):
        return named
    named.pop("text_projection.weight", None)
    beyond = f"encoder.layers.{model.config.num_hidden_layers}."
    return {key: value for key, value in named.items() if beyond not in key}
