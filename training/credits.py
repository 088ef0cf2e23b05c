"""Writes ``CREDITS.txt``: who took the photos that the embedded model learned from.

python -m training.credits --config training/config.yaml
"""

from __future__ import annotations

from collections import Counter

from training.config import Config, from_command_line
from training.data import load_photos

HEAD = """Photos and software that the embedded model learned from

The weights in this directory were learned from the photos of three public collections and from the
latents of one published encoder. Neither photos nor weights of theirs are part of it.

TAEF2 (madebyollin/taesd), the teacher, MIT licence: Copyright (c) 2023 Ollin Boer Bohan
GroceryStoreDataset, photos, MIT licence: Marcus Klasson, Cheng Zhang and Hedvig Kjellstrom
Clothing dataset, photos, CC0 1.0: Alexey Grigorev and donors
TF flowers, photos, CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/), by the photographers
listed below

The MIT licence of the first two:

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def write_credits(config: Config) -> int:
    """Writes the file into the exported directory; returns how many credits it lists."""
    photos = load_photos(config.photos, "train") + load_photos(config.photos, "validation")
    counts = Counter((photo.source, photo.licence) for photo in photos)
    lines = sorted({photo.credit for photo in photos if photo.licence.startswith("CC-BY")})
    summary = [f"  {source} ({licence}): {n} photos" for (source, licence), n in counts.items()]
    text = "\n".join([HEAD, *lines, "", "In all:", *sorted(summary), ""])
    (config.export / "CREDITS.txt").write_text(text)
    return len(lines)


if __name__ == "__main__":
    print(write_credits(from_command_line(__doc__ or "")), "credits")
