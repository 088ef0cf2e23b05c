import diffusers
import numpy as np
import pytest
import torch

from brittle.errors import UserError
from brittle.models.flow_schedulers import make_flow_scheduler, steps_for
from brittle.silence import silence

SHAPES = (2, 4, 3, 5)
CONFIGS = {
    "sd3": {"shift": 3.0},
    "plain": {"shift": 1.0},
    "flux": {"use_dynamic_shifting": True, "shift": 3.0},
    "linear": {"use_dynamic_shifting": True, "time_shift_type": "linear", "base_shift": 0.7},
    "qwen": {
        "use_dynamic_shifting": True,
        "base_image_seq_len": 256,
        "max_image_seq_len": 8192,
        "max_shift": 0.9,
        "shift_terminal": 0.02,
    },
    "karras": {"shift": 3.0, "use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}


def of_diffusers(config, steps, strength, tokens, even):
    """diffusers' object where its img2img pipelines begin, and the timesteps that they run."""
    from diffusers.pipelines.flux.pipeline_flux_img2img import (
        FluxImg2ImgPipeline,
        calculate_shift,
        retrieve_timesteps,
    )

    with silence():
        theirs = diffusers.FlowMatchEulerDiscreteScheduler.from_config(config)
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    retrieve_timesteps(
        theirs,
        steps,
        "cpu",
        sigmas=np.linspace(1.0, 1 / steps, steps) if even else None,
        mu=calculate_shift(tokens, *(theirs.config[name] for name in names)),
    )
    pipeline = type("Any", (), {"scheduler": theirs})()
    timesteps, _ = FluxImg2ImgPipeline.get_timesteps(pipeline, steps, strength, "cpu")
    return theirs, timesteps


@pytest.mark.parametrize("even", [False, True], ids=["own", "even"])
@pytest.mark.parametrize("name", CONFIGS)
def test_steps_equal_diffusers(name, even):
    draws = torch.Generator().manual_seed(1)
    image, noise, *outputs = torch.randn(12, *SHAPES, generator=draws)
    for steps, strength, tokens in [
        (2, 1.0, 16),
        (10, 0.55, 4096),
        (9, 0.99, 64),
        (50, 0.01, 100),
        (28, 0.3, 1024),
    ]:
        theirs, timesteps = of_diffusers(CONFIGS[name], steps, strength, tokens, even)
        ours = make_flow_scheduler(
            CONFIGS[name],
            num_inference_steps=steps,
            strength=strength,
            tokens=tokens,
            even=even,
        )
        assert torch.equal(torch.stack(ours.timesteps), timesteps)
        expected = theirs.scale_noise(image, timesteps[:1], noise)
        state = (ours.noised(image, noise, 0),)
        assert torch.equal(state[0], expected)
        for index, (timestep, output) in enumerate(zip(timesteps, outputs, strict=False)):
            expected = theirs.step(output, timestep, expected, return_dict=False)[0]
            state = ours.step(index, output, state, None)
            assert torch.equal(state[0], expected)


def test_the_gradient_of_a_step_is_the_difference_of_its_noise_levels():
    schedule = make_flow_scheduler({"shift": 3.0}, num_inference_steps=4, strength=0.5, tokens=1)
    latents, output = torch.ones(2, 3, dtype=torch.float64, requires_grad=True).unbind(0)
    (after,) = schedule.step(1, output, (latents,), None)
    assert after.dtype == torch.float64
    by_latents, by_output = torch.autograd.grad(after.sum(), [latents, output])
    assert torch.equal(by_latents, torch.ones(3, dtype=torch.float64))
    assert torch.allclose(by_output, -schedule.sigmas[1].double())  # it ends at 0


@pytest.mark.parametrize(
    ("config", "steps", "said"),
    [
        ({"stochastic_sampling": True}, 4, "stochastic_sampling"),
        ({"invert_sigmas": True}, 4, "invert_sigmas"),
        ({"_class_name": "FlowMatchHeunDiscreteScheduler"}, 4, "asks for FlowMatchHeun"),
        ({}, 0, "1 to 1000 steps"),
        ({"shift_terminal": 0.02}, 1, "take more steps"),
    ],
)
def test_what_is_not_computed_is_refused(config, steps, said):
    with pytest.raises(UserError, match=said):
        make_flow_scheduler(config, num_inference_steps=steps, tokens=1, even=True)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.5, 0.7, 0.95, 1.0])
def test_as_many_steps_run_as_are_asked_for(strength):
    for evaluations in range(1, 12):
        steps = steps_for(evaluations, strength)
        schedule = make_flow_scheduler({}, num_inference_steps=steps, strength=strength, tokens=1)
        assert len(schedule.timesteps) == evaluations
