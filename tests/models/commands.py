"""One small photo through every command that edits, on any model."""

from pathlib import Path

import torch
from PIL import Image
from typer.testing import CliRunner

from brittle.cli import app


def run_all(
    folder: Path, editor: str, work: Path, *, audit: bool = True, scheduler: str = "ddim,eta=1"
) -> None:
    """Edit, protect through the whole editor, audit, count and run a trial: all have to succeed.

    An audit takes longest, and knows nothing of a model that the others don't.
    """
    image = torch.rand(48, 48, 3, generator=torch.Generator().manual_seed(3))
    photo, protected, trial = (work / name for name in ("photo.png", "protected.png", "trial.yaml"))
    Image.fromarray((image * 255).byte().numpy()).save(photo)
    few = f"photoguard-diffusion:steps=1,draws=1,evaluations=2,scheduler={scheduler}"
    trial.write_text(
        f"title: t\nphotos: photo.png\nprotections: ['{few}']\ntransforms: [flip]\n"
        f"editors: ['{editor}']\nprompts: [snow]\nseeds: [0]\nmetrics: [perceptual]\n"
    )
    model = ("--model", folder, "--device", "cpu", "--dtype", "float32")
    prompt = ("--prompt", "snow", "--editor", editor)
    for line in (
        ("edit", photo, *prompt, *model, "-o", work / "edit.png"),
        ("protect", photo, "--with", few, *model, "-o", protected),
        ("audit", photo, protected, *prompt, "--quick", *model),
        ("run", trial, "--set", f"model={folder}", "--dry-run", *model[2:]),
        ("run", trial, "--set", f"model={folder}", "--out", work / "out", *model[2:]),
    ):
        if line[0] == "audit" and not audit:
            continue
        done = CliRunner().invoke(app, [str(word) for word in line])
        assert done.exit_code == 0, (line[0], done.output)
    assert (work / "out" / "report.html").is_file()
