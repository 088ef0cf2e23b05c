from pathlib import Path

import pytest
import torch

from tests.training.recipe import small_config, write_photos, write_teacher


@pytest.mark.slow
def test_the_whole_recipe_runs_and_exports_a_pipeline(tmp_path: Path) -> None:
    """Two steps of everything: the directory that comes out runs in the stock pipeline."""
    from diffusers import StableDiffusionImg2ImgPipeline
    from training.teacher_set import make_set

    from training import (
        classifier,
        credits,
        decoder,
        denoiser,
        encoder,
        export,
        instruct,
        latents,
    )

    write_photos(tmp_path / "photos")
    write_teacher(tmp_path / "teacher")
    config = small_config(tmp_path, "encoder.steps=2", "latents.looks=12", "classifier.pictures=78")
    make_set(config)
    encoder.train(config)
    latents.make_cache(config)
    for step in (decoder, classifier, denoiser):
        step.train(config)
    with torch.no_grad():
        folder = export.export(config)
    instruct.train(config)
    assert (config.work / "instruct.json").is_file()
    assert credits.write_credits(config) == 6
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 128, 128)
    edited = pipeline("heavy rain", image=image, num_inference_steps=2, output_type="pt").images
    assert edited.shape == image.shape
    assert edited.isfinite().all()
