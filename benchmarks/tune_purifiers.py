"""The attacker's parameters, tuned on photos that no trial uses, by what he himself can score.

    python benchmarks/tune_purifiers.py --photos OTHER_PHOTOS [--count 8] [--protection NAME]

Each photo is protected. Every candidate of a family is applied to the published file, and the
result is edited with each prompt and seed. An edit's scores are the attacker's: does it follow the
prompt, does it keep what the published file shows; the original is read for nothing but to protect
it. Within a family, a photo's candidates are ranked by both, as the worst case of a trial does; the
lower of the two ranks counts, and the candidate with the best mean over photos is frozen.
"""

import argparse

import numpy as np
import torch

from brittle.analysis.worst_case import lower_rank
from brittle.editors import Editor, Img2Img
from brittle.metrics import Follow, Keep
from brittle.models import EditModel, load_model
from brittle.noise import derive_seed
from brittle.protections import Protection
from brittle.sources.photos import TrialPhoto, load_photos
from brittle.transforms import Transform

FAMILIES = {
    "jpeg": [f"jpeg:quality={quality}" for quality in (95, 85, 75, 65, 50, 30)],
    "webp": [f"webp:quality={quality}" for quality in (90, 75, 50, 30)],
    "resize": [f"resize:factor={factor}" for factor in (0.8, 0.65, 0.5, 0.35)],
    "bilateral": [f"bilateral:size=5,times={times}" for times in (1, 2, 4, 8)],
    "denoise": [f"denoise:strength={strength}" for strength in (0.1, 0.2, 0.3, 0.4)],
    "impress": [f"impress:steps={steps}" for steps in (10, 30, 100)],
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="a folder that no trial uses")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, default=128, help="of the squares in pixels")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--protection", default="photoguard-encoder-jpeg")
    parser.add_argument("--prompt", action="append", help="repeat it; default: a sepia photo …")
    parser.add_argument("--seeds", type=int, default=2, help="edits a prompt")
    parser.add_argument("--family", action="append", choices=[*FAMILIES], help="default: all")
    options = parser.parse_args()
    model, protection = load_model(options.model), Protection.parse(options.protection)
    photos = [*load_photos(options.photos, square=options.side).values()][: options.count]
    published = [protection(model, of.image, seeds=[derive_seed(0, of.digest)]) for of in photos]
    prompts = options.prompt or ["a sepia photo", "golden hour"]
    print(f"{len(photos)} photos, {protection}, {prompts}, {options.seeds} seeds")
    frozen = []
    for family in options.family or FAMILIES:
        candidates = FAMILIES[family]
        scores = np.array(
            [
                [
                    attackers_scores(model, file, of, Transform.parse(text), prompts, options.seeds)
                    for text in candidates
                ]
                for file, of in zip(published, photos, strict=True)
            ]
        )  # (photos, candidates, 2)
        ranks = lower_rank(scores[..., :1], scores[..., 1:])[..., 0].mean(0)
        for text, mean, rank in zip(candidates, scores.mean(0), ranks, strict=True):
            print(
                f"{text:24} follow {mean[0]:.3f}  keep {mean[1]:.3f}  rank {rank:.2f}", flush=True
            )
        frozen.append(candidates[int(ranks.argmax())])
    print("tuned:", *frozen, sep="\n  - ")


def attackers_scores(
    model: EditModel,
    published: torch.Tensor,
    of: TrialPhoto,
    transform: Transform,
    prompts: list[str],
    seeds: int,
) -> tuple[float, float]:
    """Mean `follow` and `keep`, the latter against the published file, over prompts and seeds."""
    received = transform.apply(
        published, seeds=[derive_seed(0, of.digest, str(transform))], model=model
    )
    asked = [(prompt, derive_seed(seed, of.digest)) for prompt in prompts for seed in range(seeds)]
    editor: Editor = Img2Img().resolve(model)
    texts = [prompt for prompt, _ in asked]
    edits = editor.edit(
        model,
        received.expand(len(asked), -1, -1, -1),
        prompts=texts,
        seeds=[seed for _, seed in asked],
    )
    seen = model.fit(published).expand_as(edits)
    follow = Follow().score(edits, seen, prompts=texts, model=model)
    return float(follow.mean()), float(Keep().score(edits, seen).mean())


if __name__ == "__main__":
    main()
