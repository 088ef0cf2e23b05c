r"""Make the README's picture, docs/demo.png, from the demo's trial at 512 px.

brittle run trials/demo.yaml --set square=512 --set size=512 --set 'prompts=[a sepia photo]' \
  --set 'transforms=[none,"jpeg:quality=85","jpeg:quality=75"]' --out demo-512
python -m docs.demo_picture demo-512
"""

import json
import sys
from pathlib import Path

from PIL import Image
from training.sheets import Column, labelled_sheet

GROUPS = (
    ("unprotected", "original", "none"),
    ("protected", "photoguard-encoder", "none"),
    ("protected, JPEG 75", "photoguard-encoder", "jpeg:quality=75"),
    ("unprotected, JPEG 75", "original", "jpeg:quality=75"),
)
PHOTOS = ("astronaut", "chelsea", "coffee", "grace_hopper")
SIDE = 192
LETTERS = 34
"""Of a picture that pages show at two fifths of its size."""


def main(folder: Path, prompt: str) -> None:
    """Lay out four photos in rows, each state of them with its edit beside it."""
    cells = {
        (cell["image"], cell["arm"], cell["transform"]): cell
        for cell in json.loads((folder / "index.json").read_text())
        if cell["prompt"] == prompt and cell["seed"] == 0
    }
    columns = [
        Column(
            title,
            [Image.open(folder / cells[photo, arm, transform][kind]) for photo in PHOTOS],
            group,
        )
        for group, arm, transform in GROUPS
        for title, kind in (("the picture", "received"), ("its edit", "edited"))
    ]
    rows = [photo.replace("_", " ") for photo in PHOTOS]
    sheet = labelled_sheet(columns, rows, side=SIDE, letters=LETTERS)
    sheet.save(Path(__file__).with_name("demo.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:] or ["a sepia photo"])
