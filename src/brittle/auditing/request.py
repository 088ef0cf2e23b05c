"""What an audit is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from brittle.editors import Editor
from brittle.errors import UserError
from brittle.transforms import Transform

TRANSFORMS = (
    *("jpeg:quality=95", "jpeg:quality=85", "jpeg:quality=75", "jpeg:quality=65"),
    *("jpeg:quality=50", "gaussian-blur:sigma=1", "resize:factor=0.5", "flip"),
)
PROMPTS = ("a sepia photo", "golden hour")


@dataclass(frozen=True)
class Request:
    """What is to be audited, and how.

    Raises:
        UserError: an unknown transform or editor, an editor that needs a mask, an empty prompt.
    """

    transforms: tuple[Transform, ...]
    prompts: tuple[str, ...]
    editor: Editor
    quick: bool
    seed: int

    @classmethod
    def read(
        cls,
        transforms: Sequence[str],
        prompts: Sequence[str],
        editor: str | Editor,
        *,
        quick: bool,
        seed: int,
    ) -> "Request":
        """From text."""
        named = [Transform.parse(text) for text in ("none", *transforms)]
        for transform in named:
            if reason := transform.missing():
                raise UserError(f"{transform} can't run here: {reason}.")
        chosen = Editor.read(editor)
        if chosen.needs_mask:
            raise UserError(f"{chosen.name} needs a mask: an audit edits whole photos (img2img).")
        if chosen.name == "none":
            raise UserError("The editor none makes no edits: say --quick for that.")
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise UserError("A prompt is empty: say what the edits should show.")
        unique = {str(transform): transform for transform in named}
        return cls(tuple(unique.values()), tuple(dict.fromkeys(prompts)), chosen, quick, seed)
