import diffusers
import pytest
import torch

from brittle.errors import UserError
from brittle.models.schedulers import Foreign, make_scheduler, scheduler_name

CONFIG = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}
THEIRS = {"ddim": diffusers.DDIMScheduler, "plms": diffusers.PNDMScheduler}


def run_both(name: str, steps: int, strength: float, eta: float = 0.0, **config: object):
    """The states of our scheduler and of diffusers' own, fed the same made-up outputs."""
    config = {**CONFIG, **config}
    ours = make_scheduler(config, name, num_inference_steps=steps, strength=strength, eta=eta)
    theirs = THEIRS[name].from_config(config)
    theirs.set_timesteps(steps)
    timesteps = theirs.timesteps[steps - min(int(steps * strength), steps) :]
    assert list(ours.timesteps) == timesteps.tolist()

    generator = torch.Generator().manual_seed(0)
    clean, start_noise = torch.randn(2, 2, 4, 3, 3, generator=generator)
    state = (ours.noised(clean, start_noise, 0),)
    sample = theirs.add_noise(clean, start_noise, timesteps[:1])
    assert torch.equal(state[0], sample)
    for index, timestep in enumerate(timesteps):
        output, noise = torch.randn(2, 2, 4, 3, 3, generator=generator)
        output = output + 0.1 * sample
        extra = {"eta": eta, "variance_noise": noise} if eta else {}
        state = ours.step(index, output, state, noise if eta else None)
        sample = theirs.step(output, timestep, sample, return_dict=False, **extra)[0]
        yield state[0], sample


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize(("steps", "strength"), [(1, 1), (2, 1), (4, 1), (50, 0.5), (20, 0.99)])
@pytest.mark.parametrize("name", ["ddim", "plms"])
def test_steps_equal_diffusers(name, steps, strength, spacing, prediction_type):
    settings = {"timestep_spacing": spacing, "prediction_type": prediction_type}
    for ours, theirs in run_both(name, steps, strength, **settings):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_eta_adds_the_given_noise_as_diffusers_does(eta):
    for ours, theirs in run_both("ddim", 10, 0.7, eta=eta):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["ddim", "plms"])
def test_a_step_may_run_twice_and_its_gradient_is_right(name):
    scheduler = make_scheduler(CONFIG, name, num_inference_steps=5)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(1, 1, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)

    def chain(latents: torch.Tensor) -> torch.Tensor:
        state = (latents,)
        for index in range(len(scheduler.timesteps)):
            again = scheduler.step(index, torch.sin(state[0]), state, None)
            state = scheduler.step(index, torch.sin(state[0]), state, None)
            assert torch.equal(again[0], state[0])
        return state[0]

    assert torch.autograd.gradcheck(chain, start)


def test_plms_below_full_strength_counts_the_evaluation_that_diffusers_adds():
    plms = make_scheduler(CONFIG, "plms", num_inference_steps=50, strength=0.5)
    ddim = make_scheduler(CONFIG, "ddim", num_inference_steps=50, strength=0.5)
    assert (len(plms.timesteps), len(ddim.timesteps)) == (26, 25)


def test_plms_runs_on_the_configuration_of_another_scheduler():
    config = {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
    assert make_scheduler(config, "plms", num_inference_steps=4).differentiable


def test_the_offset_of_old_configurations_is_the_pipelines_one():
    old = {**CONFIG, "steps_offset": 0, "clip_sample": True}
    ours = make_scheduler(old, "ddim", num_inference_steps=10)
    assert ours.timesteps[-1] == 1
    assert type(ours).__name__ == "DDIM"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 4, "strength": 0.2}, "leaves no step"),
        ({"num_inference_steps": 1001}, "1 to 1000 steps"),
        ({"num_inference_steps": 0}, "1 to 1000 steps"),
        ({"name": "plms", "num_inference_steps": 5, "eta": 0.5}, "needs scheduler=ddim"),
        ({"name": "dimm", "num_inference_steps": 5}, "did you mean 'ddim'"),
    ],
)
def test_settings_that_cannot_run_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        make_scheduler(CONFIG, **settings)


@pytest.mark.parametrize("change", [{"beta_schedule": "wavy"}, {"timestep_spacing": "odd"}])
def test_a_configuration_that_cannot_run_is_told(change):
    with pytest.raises(UserError, match="can't run these settings"):
        make_scheduler({**CONFIG, **change}, "ddim", num_inference_steps=5)


def test_a_class_that_diffusers_lacks_is_unknown():
    with pytest.raises(UserError, match="Unknown scheduler 'MadeUpScheduler'"):
        scheduler_name({"_class_name": "MadeUpScheduler"})


def test_names_are_short_where_brittle_has_its_own():
    assert scheduler_name(CONFIG) == "plms"
    assert scheduler_name({"_class_name": "DDIMScheduler"}) == "ddim"
    assert scheduler_name(CONFIG, "EulerDiscrete") == "EulerDiscreteScheduler"


def test_what_is_not_written_out_runs_in_diffusers_without_gradients():
    runge_kutta = make_scheduler({**CONFIG, "skip_prk_steps": False}, num_inference_steps=20)
    euler = make_scheduler(CONFIG, "EulerDiscrete", num_inference_steps=20)
    for scheduler in (runge_kutta, euler):
        assert isinstance(scheduler, Foreign)
        assert not scheduler.differentiable
