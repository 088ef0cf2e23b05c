"""The tokenizer (a small byte-complete CLIP vocabulary) and the untrained text encoder."""

from __future__ import annotations

import json

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from brittle.networks.prompt_classes import PROMPT_CLASSES
from training.captions import OTHER_SUBJECTS, PLAIN, RESERVED, VAGUE, nonsense
from training.config import Config, Text
from training.data import Photo, load_photos

START, END = "<|startoftext|>", "<|endoftext|>"
SUFFIX = "</w>"
WORDS = r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def corpus(photos: list[Photo], seed: int) -> list[str]:
    """What the vocabulary is learned from: all captions and wordings, and some nonsense."""
    rng = np.random.default_rng([seed, 11])
    captions = sorted({photo.caption for photo in photos} | {photo.label for photo in photos})
    wordings = [w for look in PROMPT_CLASSES.values() for w in (*look.subject, *look.alone)]
    fixed = [text.replace("{}", "a") for text in (*wordings, *PLAIN, *VAGUE, *OTHER_SUBJECTS)]
    return captions * 3 + fixed * 8 + [nonsense(rng) for _ in range(1500)]


def make_tokenizer(photos: list[Photo], settings: Text, seed: int) -> CLIPTokenizer:
    """A CLIPTokenizer with ``settings.vocabulary`` tokens, the reserved words among them."""
    learner = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary - 2 * len(alphabet),
        end_of_word_suffix=SUFFIX,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    texts = corpus(photos, seed) + list(RESERVED) * 2000
    learner.train_from_iterator(texts, trainer)
    merges = learner_merges(learner)
    # Every byte alone and at a word's end first: no text can fall out of the vocabulary.
    tokens = alphabet + [letter + SUFFIX for letter in alphabet]
    seen = set(tokens)
    for left, right in merges:
        if left + right not in seen:
            seen.add(left + right)
            tokens.append(left + right)
    tokens += [START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=settings.length)


def saved_tokenizer(config: Config) -> CLIPTokenizer:
    """The tokenizer of this working folder; made at the first call."""
    folder = config.work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        photos = load_photos(config.photos, "train")
        made = make_tokenizer(photos, config.text, config.seed)
        made.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def learner_merges(learner: Tokenizer) -> list[tuple[str, str]]:
    """The merges of a trained BPE, in order."""
    raw = json.loads(learner.to_str())["model"]["merges"]
    return [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in raw]


def make_text_encoder(tokenizer: CLIPTokenizer, settings: Text) -> CLIPTextModel:
    """A small CLIPTextModel for ``tokenizer``, untrained."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=4 * settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=settings.length,
            projection_dim=settings.width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",
        )
    )
