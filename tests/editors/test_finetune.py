"""What a fine-tune must do before anyone reads a number from it: learn, repeat itself, resume."""

import shutil
from pathlib import Path

import pytest
import torch
from skimage import data

from brittle.editors import Editor, FineTune, finetune
from brittle.errors import UserError
from brittle.models import finetuning, load_model, memory
from brittle.models.finetuning import losses_of
from brittle.models.tuned import WEIGHTS

SHORT = {
    "max_train_steps": 3,
    "learning_rate": 3e-3,
    "rank": 4,
    "num_class_images": 2,
    "num_inference_steps": 2,
    "train_batch_size": 1,
}
PROMPTS, SEEDS = ["a photo of sks", "sks at night"], [0, 1]


def crops(picture) -> list[torch.Tensor]:
    whole = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    return [whole[..., :200, :200], whole[..., 60:220, 100:290]]


@pytest.fixture(scope="module")
def cats() -> list[torch.Tensor]:
    return crops(data.chelsea())


@pytest.fixture(scope="module")
def coffee() -> list[torch.Tensor]:
    return crops(data.coffee())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fine-tunes")


def pictures(model, collection, folder, **fields) -> torch.Tensor:
    editor = FineTune(**{**SHORT, **fields})
    tuned = editor.learn(model, collection, folder=folder)
    return editor.generate(tuned, prompts=PROMPTS, seeds=SEEDS)


@pytest.fixture(scope="module")
def model(small_sd):
    """For what must hold whatever a model knows."""
    return load_model(small_sd, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def of_cats(model, cats, folder) -> torch.Tensor:
    return pictures(model, cats, folder)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"convolutions": True},
        {"train_text_encoder": True},
        {"method": "full"},
        {"method": "full", "train_text_encoder": True},
    ],
    ids=lambda fields: "-".join(map(str, fields)) or "lora",
)
def test_zero_steps_change_nothing_and_some_steps_do(model, cats, folder, fields):
    base = FineTune(**SHORT).generate(model, prompts=PROMPTS, seeds=SEEDS)
    assert torch.equal(pictures(model, cats, folder, max_train_steps=0, **fields), base)
    taught = pictures(model, cats, folder, max_train_steps=1, prior_loss_weight=0, **fields)
    assert not torch.equal(taught, base)


def test_different_collections_give_different_pictures(embedded, cats, coffee, folder):
    quick = {"method": "full", "learning_rate": 1e-3, "max_train_steps": 8, "prior_loss_weight": 0}
    one, other = (pictures(embedded, shown, folder, **quick) for shown in (cats, coffee))
    assert ((one - other).abs().mean((1, 2, 3)) > 1 / 255).all()


def test_the_seed_and_nothing_else_decides(model, cats, of_cats, folder, tmp_path):
    again = pictures(model, cats[::-1], tmp_path)
    assert torch.equal(again, of_cats)
    assert not torch.equal(pictures(model, cats, folder, tuning_seed=1), of_cats)


def test_where_the_order_counts_two_versions_of_a_collection_meet_the_same_draws(
    embedded, cats, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(
        finetune, "fine_tune",
        lambda model, lessons, *rest: shown.append(lessons[0].latents) or tmp_path / WEIGHTS,
    )  # fmt: skip
    (tmp_path / WEIGHTS).write_bytes(b"")
    editor = FineTune(**{**SHORT, "prior_loss_weight": 0})
    for collection in (cats, cats[::-1]):
        for ordered in (True, False):
            editor.learn(embedded, collection, folder=tmp_path, ordered=ordered)
    straight, sorted_, turned, sorted_again = shown
    assert torch.equal(straight, turned.flip(0))
    assert torch.equal(sorted_, sorted_again)


def test_what_learns_nothing_is_in_memory_once(model, cats, folder, of_cats):
    tuned = FineTune(**SHORT).learn(model, cats, folder=folder)
    for part in ("vae", "text_encoder", "tokenizer"):
        assert tuned.part(part) is model.part(part)
    assert tuned.part("denoiser") is not model.part("denoiser")
    counted = [weight.data_ptr() for weight in tuned.weights()]
    assert len(set(counted)) == len(counted)
    assert {weight.data_ptr() for weight in model.vae.parameters()} < set(counted)
    tuned.release("denoiser")
    assert (tuned.has_read("vae"), tuned.has_read("denoiser")) == (True, False)


def test_a_picture_does_not_depend_on_what_else_was_asked_for(model, cats, folder, of_cats):
    editor = FineTune(**SHORT)
    tuned = editor.learn(model, cats, folder=folder)
    assert torch.equal(editor.generate(tuned, prompts=PROMPTS[1:], seeds=SEEDS[1:]), of_cats[1:])


class Killed(Exception):
    pass


@pytest.mark.parametrize("fields", [{}, {"method": "full"}], ids=["lora", "full"])
def test_an_interrupted_fine_tune_goes_on_to_the_same_weights(
    model, cats, folder, tmp_path, monkeypatch, fields
):
    monkeypatch.setattr(finetuning, "KEEP_SECONDS", 0)
    step, taken = finetuning.Classroom.step, []

    def dies(self, number):
        if len(taken) == 2:
            raise Killed
        taken.append(number)
        step(self, number)

    editor = FineTune(**{**SHORT, **fields})
    with monkeypatch.context() as once:
        once.setattr(finetuning.Classroom, "step", dies)
        with pytest.raises(Killed):
            editor.learn(model, cats, folder=tmp_path)
    resumed = []
    monkeypatch.setattr(
        finetuning.Classroom, "step", lambda self, n: (resumed.append(n), step(self, n))
    )
    editor.learn(model, cats, folder=tmp_path)
    assert resumed == [2]
    editor.learn(model, cats, folder=folder)
    (weights,) = tmp_path.glob(f"*/{WEIGHTS}")
    assert weights.read_bytes() == (folder / weights.relative_to(tmp_path)).read_bytes()
    assert not list(tmp_path.glob("*/partial*"))


def test_it_is_kept_and_not_learned_twice(model, cats, folder, of_cats, monkeypatch):
    monkeypatch.setattr(finetuning.Classroom, "step", None)
    assert torch.equal(pictures(model, cats, folder), of_cats)


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty"])
def test_damaged_weights_are_learned_again(model, cats, folder, of_cats, tmp_path, harm):
    weights = FineTune(**SHORT).learn(model, cats, folder=folder).files.weights
    shutil.copytree(folder, tmp_path / "out")
    weights = tmp_path / "out" / weights.relative_to(folder)
    held = bytearray(weights.read_bytes())
    harmed = {"flip": held[:-5] + bytes([held[-5] ^ 1]) + held[-4:], "empty": b""}
    weights.write_bytes(harmed.get(harm, held[: len(held) // 2]))
    assert torch.equal(pictures(model, cats, tmp_path / "out"), of_cats)
    assert weights.read_bytes() == held


def test_damaged_or_swapped_pictures_of_the_class_are_made_again(
    model, cats, folder, of_cats, tmp_path
):
    shutil.copytree(folder, tmp_path / "out")
    (sums,) = (tmp_path / "out").glob("class-*/SHA256SUMS")
    first, second = sorted(sums.parent.glob("*.png"))
    held = first.read_bytes(), second.read_bytes()
    first.write_bytes(held[1])
    second.write_bytes(held[0][:100])
    assert torch.equal(pictures(model, cats, tmp_path / "out"), of_cats)
    assert (first.read_bytes(), second.read_bytes()) == held
    sums.unlink()  # as a former version left it
    second.write_bytes(held[1][:100])
    assert torch.equal(pictures(model, cats, tmp_path / "out"), of_cats)
    assert second.read_bytes() == held[1]


def test_it_learns_what_is_shown(embedded, cats, folder):
    """Under the same draws, the later losses lie below those of a fine-tune that hardly moves."""

    def later_losses(rate: float) -> float:
        editor = FineTune(
            **{**SHORT, "max_train_steps": 16, "prior_loss_weight": 0, "learning_rate": rate}
        )
        tuned = editor.learn(embedded, cats, folder=folder)
        losses = losses_of(tuned.files.weights)
        assert len(losses) == 16
        return sum(losses[8:])

    assert later_losses(1e-2) < later_losses(1e-9)


def test_diffusers_reads_the_lora(model, small_sd, folder):
    """An independent reader: diffusers' own loader gives the same UNet output."""
    from tests.models import tiny

    editor = FineTune(**{**SHORT, "max_train_steps": 1, "prior_loss_weight": 0})
    tuned = editor.learn(model, crops(data.chelsea()), folder=folder)
    pipeline = tiny.diffusers_img2img(small_sd)
    pipeline.load_lora_weights(tuned.files.weights.parent, weight_name=WEIGHTS)
    latents, text = torch.randn(1, 4, 8, 8), model.embed(["a photo of sks"])
    with torch.no_grad():
        theirs = pipeline.unet(latents, 500, encoder_hidden_states=text).sample
        ours, before = (one.evaluate(latents, 500, text) for one in (tuned, model))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, before, atol=1e-5)


def test_text_to_image_is_diffusers_own(model, small_sd):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from tests.models import tiny

    editor = FineTune(num_inference_steps=4, guidance_scale=3, scheduler="ddim")
    ours = editor.generate(model, prompts=["a dog in the snow"], seeds=[5])
    pipeline = StableDiffusionPipeline(
        **tiny.diffusers_img2img(small_sd).components,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    theirs = pipeline(
        "a dog in the snow",
        num_inference_steps=4,
        guidance_scale=3,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_record_is_read_back_and_edit_takes_the_batch_as_a_collection(embedded, photos):
    editor = FineTune(**{**SHORT, "max_train_steps": 0})
    assert Editor.from_record(editor.record()) == editor
    assert Editor.parse(str(editor)) == editor
    made = editor.edit(embedded, photos, prompts=PROMPTS[:1], seeds=[0])
    assert made.shape == (1, 3, 128, 128)


@pytest.mark.parametrize(
    ("fields", "count", "side", "said"),
    [
        ({}, 1, 128, "at least two pictures"),
        ({}, 2, 64, "only 64 px"),
        ({"token": "xqzzy", "instance_prompt": "a xqzzy"}, 2, 128, "one token, such as sks"),
    ],
)
def test_bad_collections_and_tokens_are_refused(embedded, tmp_path, fields, count, side, said):
    editor = FineTune(**{**SHORT, **fields})
    collection = [torch.full((1, 3, side, side), 0.5)] * count
    with pytest.raises(UserError, match=said):
        editor.learn(embedded, collection, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_without_its_word_is_refused():
    with pytest.raises(UserError, match="does not hold the word"):
        Editor.parse("finetune:instance_prompt=a painting")


def test_too_little_memory_is_said_before_the_work(embedded, cats, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**20)
    editor = FineTune(**{**SHORT, "method": "full", "prior_loss_weight": 0})
    with pytest.raises(UserError, match="say method=lora"):
        editor.learn(embedded, cats, folder=tmp_path)
