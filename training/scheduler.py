"""The noise schedule that the denoiser is trained with and that ships with it."""

from __future__ import annotations

from diffusers import DDIMScheduler


def make_scheduler() -> DDIMScheduler:
    """Values that diffusers' pipelines run as they are (others they would rewrite)."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
