"""A text encoder with its tokenizer: how much of a prompt it reads, and what it says of it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brittle.errors import UserError
from brittle.models.parts import Part, Parts
from brittle.silence import silence


@dataclass(frozen=True)
class TextEncoder:
    """One of a model's text encoders, which may have several, and the tokenizer before it."""

    parts: Parts
    encoder: Part = "text_encoder"
    tokenizer: Part = "tokenizer"
    most: int | None = None
    """How many tokens it is given where its files don't say: T5 reads any number."""

    @property
    def longest(self) -> int:
        """How many tokens of a prompt it reads, first and last included."""
        if self.most:
            return self.most
        files = self.parts.files
        positions = files.config(self.encoder).get("max_position_embeddings") or 77
        try:
            longest = files.config(self.tokenizer).get("model_max_length") or positions
        except UserError:  # a tokenizer without a configuration is CLIP's
            longest = positions
        return int(min(longest, positions))

    def may_be_cut(self, prompt: str) -> bool:
        """Whether `is_cut` has to be asked: a token is a byte at least, and two are around them."""
        return len(prompt.encode("utf-8", "replace")) + 2 > self.longest

    def is_cut(self, prompt: str) -> bool:
        """Whether the end of a prompt has no effect, since it is longer than `longest`."""
        if not self.may_be_cut(prompt):
            return False
        with silence():
            return len(self.parts.part(self.tokenizer)(prompt).input_ids) > self.longest

    def tokens(self, prompt: str) -> Tensor:
        """What it reads of a prompt, (1, length), padded or cut.

        Raises:
            UserError: the tokenizer belongs to another text encoder.
        """
        shape = {"padding": "max_length", "max_length": self.longest, "return_tensors": "pt"}
        with silence(), self.parts.running(self.tokenizer):
            tokenizer = self.parts.part(self.tokenizer)
            tokens: Tensor = tokenizer(prompt, truncation=True, **shape).input_ids
        config = self.parts.part(self.encoder).config.get_text_config()
        if int(tokens.max()) >= config.vocab_size:
            raise UserError(
                f"{self.parts.name}: its tokenizer has more words than its text encoder knows: "
                f"they belong to different models; export or download the model again."
            )
        with torch.inference_mode(False):
            return tokens.to(self.parts.device, copy=True)

    def read(self, prompt: str, **options: Any) -> Any:
        """The module's output of a prompt, whose end is cut where it is longer than `longest`."""
        tokens = self.tokens(prompt)
        with torch.inference_mode(False), torch.no_grad(), self.parts.running(self.encoder):
            return self.parts.part(self.encoder)(tokens, **options)
