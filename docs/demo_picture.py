"""Make the README's picture, docs/demo.png, from the folder of a demo.

python docs/demo_picture.py brittle-demo
"""

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLUMNS = (
    ("photo", "original", "none", "received"),
    ("its edit", "original", "none", "edited"),
    ("protected", "photoguard-encoder", "none", "received"),
    ("its edit", "photoguard-encoder", "none", "edited"),
    ("protected, JPEG 75", "photoguard-encoder", "jpeg:quality=75", "received"),
    ("its edit", "photoguard-encoder", "jpeg:quality=75", "edited"),
    ("photo, JPEG 75", "original", "jpeg:quality=75", "received"),
    ("its edit", "original", "jpeg:quality=75", "edited"),
)
PHOTOS = ("astronaut", "chelsea", "coffee", "grace_hopper")
SIDE, GAP, HEAD = 128, 4, 24


def main(folder: Path, prompt: str) -> None:
    """Lay out four photos in rows, each state of them with its edit beside it."""
    cells = {
        (cell["image"], cell["arm"], cell["transform"]): cell
        for cell in json.loads((folder / "index.json").read_text())
        if cell["prompt"] == prompt and cell["seed"] == 0
    }
    width = len(COLUMNS) * SIDE + (len(COLUMNS) // 2 - 1) * 3 * GAP + len(COLUMNS) * GAP
    sheet = Image.new("RGB", (width, HEAD + len(PHOTOS) * (SIDE + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, (title, arm, transform, kind) in enumerate(COLUMNS):
        left = column * (SIDE + GAP) + column // 2 * 3 * GAP
        draw.text((left + 2, 4), title, fill="black", font=font)
        for row, photo in enumerate(PHOTOS):
            with Image.open(folder / cells[photo, arm, transform][kind]) as picture:
                sheet.paste(picture, (left, HEAD + row * (SIDE + GAP)))
    sheet.save(Path(__file__).with_name("demo.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:] or ["a sepia photo"])
