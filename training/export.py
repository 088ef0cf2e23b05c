"""Writes the trained parts as one diffusers directory that stock pipelines load.

    python -m training.export --config training/config.yaml

Parts that have no checkpoint yet are written untrained, so that the directory always has its final
layout. Weights are float16; the text encoder stays float32, because a directory loaded without a
dtype must not mix the two at the first call.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from brittle.networks.prompt_classifier import PromptClassifier
from training.config import Config, from_command_line
from training.denoiser import make_unet
from training.encoder import make_vae
from training.files import write_json, write_tensors
from training.instruct import LEVELS, make_instructed
from training.loop import averaged
from training.scheduler import make_scheduler
from training.text import make_text_encoder, saved_tokenizer


def trained_parts(
    config: Config,
) -> tuple[AutoencoderTiny, UNet2DConditionModel, CLIPTextModel, CLIPTokenizer]:
    """The averaged weights of the last checkpoints, where there are any."""
    vae = make_vae(config.autoencoder)
    for part in ("encoder", "decoder"):
        file = config.work / f"{part}.safetensors"
        if file.exists():
            weights = averaged(file)
            prefix = f"{part}."
            inner = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
            getattr(vae, part).load_state_dict(inner)
    tokenizer = saved_tokenizer(config)
    text, unet = make_text_encoder(tokenizer, config.text), make_unet(config.denoiser, config)
    file = config.work / "denoiser.safetensors"
    if file.exists():
        weights = averaged(file)
        for prefix, part in (("unet.", unet), ("text.", text)):
            part.load_state_dict(
                {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
            )
    return vae, unet, text, tokenizer


def export(config: Config, folder: Path | None = None) -> Path:
    """Writes the directory beside its place, then swaps the files in."""
    folder = folder or config.export
    vae, unet, text, tokenizer = trained_parts(config)
    partial = config.work / "export"
    shutil.rmtree(partial, ignore_errors=True)
    for name, part in (("vae", vae), ("unet", unet)):
        part.half().save_pretrained(partial / name, safe_serialization=True)
    text.float().save_pretrained(partial / "text_encoder", safe_serialization=True)
    tokenizer.save_pretrained(partial / "tokenizer")
    # The older format too: vocabulary and merges as files of their own.
    tokenizer.backend_tokenizer.model.save(str(partial / "tokenizer"))
    make_scheduler().save_pretrained(partial / "scheduler")
    write_json(
        partial / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.30.0",
            "feature_extractor": [None, None],
            "image_encoder": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderTiny"],
        },
    )
    write_classifier(config, partial)
    write_json(partial / "recommended.json", {"sizes": config.sizes, **config.recommended})
    swap_in(partial, folder)
    return folder


def export_instructed(config: Config) -> Path:
    """Writes the second editor's own parts; all others are the first one's."""
    folder, partial = config.instruct.export, config.work / "export-instruct"
    shutil.rmtree(partial, ignore_errors=True)
    unet = make_instructed(config)
    unet.load_state_dict(averaged(config.work / "instruct.safetensors"))
    unet.half().save_pretrained(partial / "unet", safe_serialization=True)
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=LEVELS).save_pretrained(
        partial / "scheduler"
    )
    write_json(
        partial / "model_index.json",
        {
            "_class_name": "StableDiffusionInstructPix2PixPipeline",
            "_diffusers_version": "0.30.0",
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "unet": ["diffusers", "UNet2DConditionModel"],
        },
    )
    recommended = {"sizes": config.sizes, "instruct": config.instruct.recommended}
    write_json(partial / "recommended.json", recommended)
    swap_in(partial, folder)
    return folder


def swap_in(partial: Path, folder: Path) -> None:
    """Puts all files of ``partial`` into ``folder``, each whole or not at all."""
    for file in sorted(p for p in partial.rglob("*") if p.is_file()):
        place = folder / file.relative_to(partial)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(place.name + ".partial")
        shutil.copyfile(file, beside)
        beside.replace(place)


def write_classifier(config: Config, folder: Path) -> None:
    """The look classifier's weights and what its class needs to be built."""
    model = PromptClassifier()
    file = config.work / "classifier.safetensors"
    if file.exists():
        model.load_state_dict(averaged(file))
    write_tensors(folder / "look_classifier.safetensors", model.state_dict())
    about = {name: list(getattr(model, name)) for name in ("names", "widths", "mean", "std")}
    write_json(folder / "look_classifier.json", about)


if __name__ == "__main__":
    settings = from_command_line(__doc__ or "")
    with torch.no_grad():
        folders = [export(settings)] if (settings.work / "encoder.safetensors").exists() else []
        if (settings.work / "instruct.safetensors").exists():
            folders.append(export_instructed(settings))
    for written in folders:
        size = sum(p.stat().st_size for p in written.rglob("*") if p.is_file())
        print(f"{written}: {size / 1e6:.1f} MB")
