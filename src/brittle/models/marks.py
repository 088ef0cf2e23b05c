"""What a file of weights is, by its tensors' names and its metadata.

Marks of how a model was trained are followed or refused, never ignored.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from brittle.errors import UserError

_SCALES = (".scale_weight", ".weight_scale", ".scale_input", ".input_scale", ".comfy_quant")
_SCALED_FILE = "scaled_fp8"
_LORA = (
    "lora_unet_",
    "lora_te",
    ".lora_",
    "_lora.",
    ".lora.",
    ".hada_w1",
    ".lokr_w1",
    "lora_A.",
    "lora_B.",
)
LORA = "a LoRA, which changes a model and is none: name its model before it, as MODEL+FILE"
_KINDS = (
    ("conditioner.embedders.", "a part of Stable Diffusion XL"),
    ("joint_blocks.", "a part of Stable Diffusion 3"),
    ("double_blocks.", "a transformer of FLUX's kind and not FLUX.1, such as FLUX.2 or Chroma"),
    (
        "transformer_blocks.0.img_mod.",
        "Qwen-Image's transformer alone: name a whole folder",
    ),
    ("control_model.", "a ControlNet"),
    ("emb_params", "a textual inversion"),
)
_PARTS = (
    (("encoder.down.", "encoder.down_blocks.", "encoder.conv_in."), "autoencoder"),
    (("input_blocks.", "down_blocks."), "UNet"),
    (("text_model.",), "text encoder"),
)
_TRUE = ("true", "1")
_META = {
    "modelspec.prediction_type": {
        "epsilon": "epsilon",
        "eps": "epsilon",
        "v": "v_prediction",
        "v_prediction": "v_prediction",
        "v-prediction": "v_prediction",
    },
    "modelspec.predict_key": {"epsilon": "epsilon", "v": "v_prediction"},
    "ss_v_parameterization": {
        **dict.fromkeys(_TRUE, "v_prediction"),
        **dict.fromkeys(("false", "0", "none"), "epsilon"),
    },
}
"""Where training tools note what the denoiser predicts: Stability's ModelSpec, kohya's scripts."""
_ZERO_SNR = "ss_zero_terminal_snr"


def refuse_scaled(path: Path, names: Iterable[str]) -> None:
    """UserError for weights that are stored divided by scales, which the libraries would drop."""
    for name in names:
        if name.endswith(_SCALES) or name == _SCALED_FILE:
            raise UserError(
                f"{path} holds scaled, quantised weights ({name}), which brittle doesn't read: "
                f"take the model's file in float16, bfloat16 or float32."
            )


def kind_of(names: Iterable[str]) -> str:
    """What a file that is no checkpoint of Stable Diffusion 1.x is, or nothing."""
    names = list(names)
    if is_lora_name(names):
        return LORA
    for mark, kind in _KINDS:
        if any(mark in name for name in names):
            return kind
    for prefixes, part in _PARTS:
        if any(name.startswith(prefixes) for name in names):
            return (
                f"{'an' if part[0] in 'aeiou' else 'a'} {part} alone, in one file: name a folder "
                f"in diffusers' format, with its config.json, or a whole model"
            )
    return ""


def is_lora_name(names: Iterable[str]) -> bool:
    """Whether one of some tensors' names is a LoRA's."""
    return any(mark in name for name in names for mark in _LORA)


def scheduler_marks(
    path: Path, names: Iterable[str], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """What a checkpoint's marks change in its layout's scheduler_config.json.

    ``v_pred`` and ``ztsnr`` are empty tensors that merging and training tools add; metadata is
    `_META`'s.

    Raises:
        UserError: marks of a kind that brittle doesn't know, or that contradict one another.
    """
    names = set(names)
    if edm := sorted(name for name in names if name.startswith("edm_")):
        raise UserError(
            f"{path} is marked {edm[0]}: it was trained with EDM's noise, and brittle edits with "
            f"models that predict noise or velocity."
        )
    found = {"v_prediction"} if names & {"v_pred", "v-pred", "vpred"} else set()
    for key, meanings in _META.items():
        if (value := metadata.get(key, "").strip().lower()) not in ("", *meanings):
            raise UserError(
                f"{path} is marked {key}={metadata[key]!r}: brittle knows epsilon and v."
            )
        elif value:
            found.add(meanings[value])
    if len(found) > 1:
        raise UserError(
            f"{path} contradicts itself: it is marked as predicting both "
            f"{' and '.join(sorted(found))}; take another file of the model."
        )
    zero = "ztsnr" in names or metadata.get(_ZERO_SNR, "").strip().lower() in _TRUE
    if zero and found != {"v_prediction"}:
        raise UserError(
            f"{path} is marked ztsnr (noise up to its end) without v_pred: such a model predicts "
            f"nothing at its first step; take another file of the model."
        )
    changes: dict[str, Any] = {"prediction_type": "v_prediction"} if "v_prediction" in found else {}
    if zero:
        # PNDM knows no such noise; trailing timesteps begin where there is nothing but noise.
        changes |= {
            "_class_name": "DDIMScheduler",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
    return changes
