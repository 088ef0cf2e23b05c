"""What an audit is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from brittle.analysis.randomization_test import DRAWS
from brittle.declaration.primary import MAX_PRIMARY_TRANSFORMS, Primary
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.transforms import Transform

TRANSFORMS = (
    *("jpeg:quality=95", "jpeg:quality=85", "jpeg:quality=75", "jpeg:quality=65"),
    *("jpeg:quality=50", "gaussian-blur:sigma=1", "resize:factor=0.5", "flip"),
)
PROMPTS = ("a sepia photo", "golden hour")
MOST_DRAWS = 999


@dataclass(frozen=True)
class Request:
    """What is to be audited, and how.

    Raises:
        UserError: an unknown transform or editor, an editor that needs a mask, an empty prompt, a
            number of draws that is too small or too large.
    """

    transforms: tuple[Transform, ...]
    prompts: tuple[str, ...]
    editor: Editor
    quick: bool
    thorough: bool
    seed: int
    draws: int | None = None
    """Random perturbations of each kind that the encoder sees without a transform, whatever they
    show; None: as many as it takes."""

    @classmethod
    def read(
        cls,
        transforms: Sequence[str],
        prompts: Sequence[str],
        editor: str | Editor,
        *,
        quick: bool,
        thorough: bool,
        seed: int,
        draws: int | None = None,
    ) -> "Request":
        """From text."""
        if quick and thorough:
            raise UserError("An audit is quick or thorough: say one of --quick and --thorough.")
        if draws is not None and not DRAWS <= draws <= MOST_DRAWS:
            raise UserError(
                f"{draws} draws: say {DRAWS} to {MOST_DRAWS}; the smallest p is 1 / (1 + draws)."
            )
        named = [Transform.parse(text) for text in ("none", *transforms)]
        for transform in named:
            if reason := transform.capabilities.missing:
                raise UserError(f"{transform} can't run here: {reason}.")
        chosen = Editor.read(editor)
        if chosen.needs_mask:
            raise UserError(f"{chosen.name} needs a mask: an audit edits whole photos (img2img).")
        if chosen.name == "none":
            raise UserError("The editor none makes no edits: say --quick for that.")
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise UserError("A prompt is empty: say what the edits should show.")
        unique = {str(transform): transform for transform in named}
        wanted = tuple(dict.fromkeys(prompts))
        return cls(tuple(unique.values()), wanted, chosen, quick, thorough, seed, draws)

    @property
    def edited(self) -> tuple[Transform, ...]:
        """After which transforms edits are made: none, and all others if thorough.

        Otherwise the first four, those first that a trial's verdicts are about: each takes minutes.
        """
        none, *others = self.transforms
        if self.thorough:
            return self.transforms
        usual = Primary().transforms
        first = sorted(others, key=lambda one: str(one) not in usual)[:MAX_PRIMARY_TRANSFORMS]
        return (none, *(one for one in others if one in first))
