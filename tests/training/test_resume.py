from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training.config import Schedule
from training.loop import Run
from training.optim import orthogonal, trapezoid

from tests.training.recipe import small_config, write_photos, write_teacher


def make_run(file: Path, muon: bool) -> Run:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    schedule = Schedule(batch=5, steps=8, rate=0.01, warmup=2, decay=0.5, average=0.9, every=2)
    return Run(file, model, schedule, seed=3, muon=muon, decay=0.01)


def train(run: Run, until: int) -> None:
    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        x = torch.from_numpy(rng.normal(size=(5, 4))).float() + 0.1 * torch.randn(5, 4)
        return (run.model(x) - x[:, :2]).square().mean()

    run.run(loss, until=until)


@pytest.mark.parametrize("muon", [False, True])
def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path, muon: bool) -> None:
    whole = make_run(tmp_path / "whole.safetensors", muon)
    train(whole, 8)
    train(make_run(tmp_path / "broken.safetensors", muon), 3)
    resumed = make_run(tmp_path / "broken.safetensors", muon)
    assert resumed.resume()
    assert resumed.step == 3
    train(resumed, 8)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
        assert torch.equal(whole.average[name], resumed.average[name])


def test_the_schedule_rises_stays_and_falls() -> None:
    factors = [trapezoid(step, 100, warmup=10, decay=0.5) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:51] == [1.0] * 41
    assert factors[75] == pytest.approx(0.5)
    assert factors[100] == 0


def test_orthogonal_levels_the_singular_values() -> None:
    torch.manual_seed(0)
    for shape in ((6, 30), (30, 6)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(2, *shape)))
        assert values.min() > 0.5
        assert values.max() < 1.3


@pytest.mark.slow
def test_the_encoder_resumes_to_the_same_weights(tmp_path: Path) -> None:
    from training.encoder import train as train_encoder
    from training.loop import averaged
    from training.teacher_set import make_set

    write_photos(tmp_path / "photos")
    write_teacher(tmp_path / "teacher")
    results = []
    for name, stops in (("whole", [4]), ("broken", [2, 4])):
        for stop in stops:
            config = small_config(tmp_path, f"work={tmp_path / name}", "teacher_set.attacked=1")
            make_set(config)
            torch.manual_seed(config.seed)
            train_encoder(config, until=stop)
        results.append(averaged(tmp_path / name / "encoder.safetensors"))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
