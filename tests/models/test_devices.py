"""What differs between devices, as far as a CPU can tell."""

import platform
import resource
from types import SimpleNamespace

import psutil
import pytest
import torch

from brittle.metrics import Perceptual
from brittle.models.devices import (
    Questions,
    _allocator,
    channels_last,
    exactly,
    for_scores,
    keeping_freed_memory,
    prepare,
    room_for_more,
    sound_when_narrow,
)
from brittle.models.memory import free_memory
from brittle.trial.plan import rows_a_call


class Refused(Exception):
    pass


def refuse() -> None:
    raise Refused


@pytest.fixture
def on_gpu(monkeypatch):
    """Answers of a GPU, of which it is noted when they are waited for."""
    waited: list[bool] = []

    def answer(holds: bool) -> SimpleNamespace:
        return SimpleNamespace(is_cuda=True, to=lambda *to, non_blocking: torch.tensor(holds))

    event = SimpleNamespace(record=lambda: None, synchronize=lambda: waited.append(True))
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    return answer, waited


def test_a_cpu_answers_at_once():
    questions = Questions()
    questions.ask(torch.tensor(True), refuse)
    with pytest.raises(Refused):
        questions.ask(torch.tensor(False), refuse)
    questions.settle()


def test_a_gpu_is_asked_one_question_later_and_of_the_last_one_at_the_end(on_gpu):
    answer, waited = on_gpu
    questions = Questions()
    questions.ask(answer(True), refuse)
    assert not waited
    questions.ask(answer(False), refuse)
    assert len(waited) == 1
    with pytest.raises(Refused):
        questions.settle()
    questions.settle()  # each is asked once
    assert len(waited) == 2


def test_what_was_refused_does_not_refuse_what_comes_next(on_gpu):
    answer, _ = on_gpu
    questions = Questions()
    questions.ask(answer(False), refuse)
    with pytest.raises(Refused):
        questions.ask(answer(False), refuse)
    questions.ask(answer(True), refuse)
    questions.settle()


@pytest.fixture
def settings(monkeypatch):
    """torch's settings of CUDA's convolutions, which a test may change."""
    for name in ("allow_tf32", "deterministic"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    return torch.backends.cudnn


def test_convolutions_are_rounded_only_where_a_model_computes_in_less_than_float32(settings):
    gpu = torch.device("cuda")
    prepare(gpu, torch.float32)
    assert (settings.allow_tf32, settings.deterministic) == (False, True)
    prepare(gpu, torch.bfloat16)
    assert settings.allow_tf32
    with exactly(gpu):
        assert not settings.allow_tf32
    assert settings.allow_tf32
    with exactly(torch.device("cpu")):
        assert settings.allow_tf32


def test_metrics_compute_where_the_model_does_if_that_is_a_gpu(monkeypatch):
    assert for_scores(torch.device("cuda:1")) == torch.device("cuda:1")
    assert for_scores(torch.device("mps")) == torch.device("cpu")
    seen = []
    monkeypatch.setattr(
        Perceptual, "compare", lambda self, *images, valid, **_: seen.extend((*images, valid)) or 0
    )
    monkeypatch.setattr("brittle.metrics.base.for_scores", lambda device: torch.device("meta"))
    picture = torch.rand(1, 3, 32, 32)
    Perceptual().score(picture, picture, model=SimpleNamespace(device=torch.device("cuda")))
    assert [one.device.type for one in seen] == ["meta"] * 3


@pytest.mark.parametrize(
    ("gib", "rows"), [(0, 8), (16, 8), (63, 8), (64, 16), (80, 16), (139, 32), (900, 32)]
)
def test_a_large_gpu_edits_more_rows_a_call_by_what_it_holds(monkeypatch, gib, rows):
    monkeypatch.setattr("brittle.trial.plan.room_for_more", lambda device: gib * 2**30 // 4)
    gpu = SimpleNamespace(device=torch.device("cuda"), size=512)
    assert rows_a_call(gpu) == rows


def test_another_machines_gpu_has_no_room_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert room_for_more(torch.device("cuda")) == 0


def test_convolutions_of_pictures_work_channels_last_and_give_the_same():
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(2, 8))
    video, picture = torch.nn.Conv3d(3, 8, 3), torch.rand(1, 3, 9, 9)
    before, kept = layers(picture), video.weight.clone()
    channels_last(layers)
    channels_last(video)
    assert layers[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layers(picture), before)
    assert video.weight.is_contiguous()
    assert torch.equal(video.weight, kept)


LAYER = 2**24
"""Numbers: 64 MiB, which glibc gives back to the system if not told otherwise."""


def fresh_memory() -> int:
    """Bytes of new pages that a layer's memory takes eight times in a row."""
    torch.ones(LAYER)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(LAYER)
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return pages * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators")
def test_memory_that_a_layer_frees_is_kept_for_the_next_while_networks_run():
    with keeping_freed_memory():
        with keeping_freed_memory():
            pass
        assert fresh_memory() <= 2 * 4 * LAYER  # of eight; small things may lie in between
    with pytest.raises(Refused), keeping_freed_memory():
        refuse()
    assert not _allocator().networks


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators")
def test_kept_memory_counts_as_free():
    with keeping_freed_memory():
        layers = [torch.ones(LAYER) for _ in range(8)]
        del layers
    held = psutil.Process().memory_info().rss
    free_memory(torch.device("cpu"))
    assert held - psutil.Process().memory_info().rss > 4 * 4 * LAYER


def test_narrow_latents_in_bfloat16_go_without_onednn():
    layer = torch.nn.Conv2d(160, 160, 3, stride=2, padding=1)
    latents = torch.randn(2, 160, 3, 2, generator=torch.Generator().manual_seed(0))
    low = layer.to(torch.bfloat16)
    for _ in range(20):
        unwritten = [torch.full((2**k,), torch.nan, dtype=torch.bfloat16) for k in range(9, 19)]
        del unwritten
        with torch.inference_mode(), sound_when_narrow(latents.bfloat16()):
            assert not torch.backends.mkldnn.enabled
            found = low(latents.bfloat16())
        assert found.isfinite().all()
    assert torch.backends.mkldnn.enabled
    for wide in (latents, torch.zeros(1, 4, 16, 16, dtype=torch.bfloat16)):
        with sound_when_narrow(wide):
            assert torch.backends.mkldnn.enabled
