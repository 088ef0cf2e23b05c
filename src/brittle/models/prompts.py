"""What a model reads of prompts, asked before work: all of one, one from another, a word at all."""

import re
import unicodedata
from collections.abc import Sequence

from brittle.errors import UserError, is_utf8
from brittle.models.edit_model import EditModel
from brittle.models.known import BROUGHT
from brittle.models.reading import read_json
from brittle.networks.prompt_classes import PROMPT_CLASSES, prompt_class

EMPTY_WORDS = ("and", "for", "from", "the", "this", "with")
"""Of three letters or more, and no answer to what an edit should show."""


def check_prompts(model: EditModel, prompts: Sequence[str]) -> None:
    """Refuse prompts that would give one edit twice, or none that was asked for.

    Raises:
        UserError: one that is no text; two that the text encoder reads as one; one of which the
            embedded model knows no word.
    """
    for prompt in prompts:
        if not is_utf8(prompt):
            raise UserError(f"The prompt {prompt!r} has bytes that are no UTF-8: type it again.")
        if model.name in BROUGHT and not _knows(model, prompt):
            raise UserError(
                f"The embedded model knows no word of {prompt!r}. It knows "
                f"{', '.join(PROMPT_CLASSES)}; for anything else name another model (--model, or "
                "a trial's `model`)."
            )
    if not _may_be_alike(model, prompts):
        return
    seen: dict[tuple[int, ...], str] = {}
    for prompt in dict.fromkeys(prompts):
        tokens = tuple(model.reader.tokens(prompt).flatten().tolist())
        if other := seen.get(tokens):
            differ = (
                f"they differ only past the {model.reader.longest} tokens that it reads: shorten "
                f"them"
                if model.reader.is_cut(prompt)
                else "they differ only in capitals or spaces: drop one"
            )
            raise UserError(
                f"{model.name} reads the prompts {other!r} and {prompt!r} as the same; {differ}."
            )
        seen[tokens] = prompt


def cut_prompts(model: EditModel, prompts: Sequence[str]) -> tuple[str, ...]:
    """Those prompts whose end has no effect."""
    return tuple(prompt for prompt in prompts if model.reader.is_cut(prompt))


def cut_note(model: EditModel, prompt: str) -> str:
    """What a person is told about a prompt that is cut."""
    return (
        f"{model.name} reads {model.reader.longest} tokens of a prompt, and this one is longer: "
        f"its end has no effect ({prompt!r})."
    )


def _knows(model: EditModel, prompt: str) -> bool:
    """Whether the vocabulary has a whole word of the prompt."""
    if prompt_class(prompt) is not None or model.base_directory is None:
        return True
    vocabulary = read_json(model.base_directory / "tokenizer" / "vocab.json", missing=model.name)
    words = set(re.findall(r"\w{3,}", prompt.lower())).difference(EMPTY_WORDS)
    return any(f"{word}</w>" in vocabulary for word in words)


def _may_be_alike(model: EditModel, prompts: Sequence[str]) -> bool:
    """Whether it is worth to ask the tokenizer, which takes a second to read."""
    plain = {" ".join(unicodedata.normalize("NFC", one).lower().split()) for one in prompts}
    return len(plain) < len(set(prompts)) or sum(map(model.reader.may_be_cut, prompts)) > 1
