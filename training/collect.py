r"""Writes the parquet files that the recipe reads, from the public originals.

    python -m training.collect --out data/photos \
        --flowers flower_photos --grocery GroceryStoreDataset/dataset --clothing clothing-dataset

Any of the three may be left out. Photos are shrunk to a short side of 144 px; one in twenty goes to
the validation file, by a hash of its path, so that the split doesn't depend on the order of files.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
from PIL import Image, ImageOps

from training.data import Photo

SHORT_SIDE = 144
VALIDATION = 20  # one photo in so many
TEXTS = ("id", "source", "label", "caption", "licence", "credit")
SCHEMA = pyarrow.schema([*((name, pyarrow.string()) for name in TEXTS), ("image", "binary")])
SINGULAR = {"tulips": "tulip", "roses": "rose", "sunflowers": "sunflower"}


def shrink(file: Path) -> bytes:
    """The picture upright, at most ``SHORT_SIDE`` on its short side and 180 px on its long one."""
    picture = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    scale = SHORT_SIDE / min(picture.size)
    picture = picture.resize([max(SHORT_SIDE, round(scale * side)) for side in picture.size])
    width, height = (min(side, 180) for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    buffer = io.BytesIO()
    picture = picture.crop((left, top, left + width, top + height))
    picture.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def photo(file: Path, source: str, label: str, name: str, licence: str, credit: str) -> Photo:
    """One row; ``name`` is what the caption calls the thing."""
    key = hashlib.sha256(f"{source}/{file.name}".encode()).hexdigest()[:12]
    return Photo(key, source, label, f"a photo of {name}", licence, credit, shrink(file))


def flowers(folder: Path) -> Iterator[Photo]:
    """TF flowers: a folder for each kind, photographers in LICENSE.txt."""
    credits = dict(
        line.split(" ", 1) for line in (folder / "LICENSE.txt").read_text().splitlines()
        if line.count(" ") and ".jpg " in line
    )  # fmt: skip
    for file in sorted(folder.glob("*/*.jpg")):
        label = SINGULAR.get(file.parent.name, file.parent.name)
        credit = credits.get(f"{file.parent.name}/{file.name}", "CC-BY, photographer not listed")
        yield photo(file, "flowers", label, f"a {label}", "CC-BY-2.0", credit.strip())


def grocery(folder: Path) -> Iterator[Photo]:
    """GroceryStoreDataset's fruit and vegetables: split/kind/coarse/fine/*.jpg."""
    credit = "Klasson, Zhang and Kjellstrom, GroceryStoreDataset"
    for kind in ("Fruit", "Vegetables"):
        for file in sorted(folder.glob(f"*/{kind}/**/*.jpg")):
            parts = file.relative_to(folder).parts[2:-1]
            coarse, fine = (part.replace("-", " ").lower() for part in (parts[0], parts[-1]))
            yield photo(file, "grocery", coarse, f"{fine} ({coarse})", "MIT", credit)


def clothing(folder: Path) -> Iterator[Photo]:
    """clothing-dataset: images.csv names each picture's label."""
    credit = "Clothing dataset (A. Grigorev and donors)"
    with (folder / "images.csv").open(newline="") as opened:
        for row in csv.DictReader(opened):
            label = row["label"].replace("-", " ").lower()
            file = next(folder.glob(f"images*/{row['image']}.jpg"), None)
            if file is not None and label not in {"not sure", "other", "skip"}:
                yield photo(file, "clothing", label, f"a {label}", "CC0-1.0", credit)


def collect(sources: dict[str, Path], out: Path) -> dict[str, int]:
    """Writes ``train-0of1.parquet`` and ``validation.parquet``; returns how many rows each has."""
    readers = {"flowers": flowers, "grocery": grocery, "clothing": clothing}
    rows: dict[str, list[dict[str, object]]] = {"train-0of1": [], "validation": []}
    for name, folder in sources.items():
        for found in readers[name](folder):
            row = asdict(found)
            row["image"] = row.pop("jpeg")
            held_out = int(found.id, 16) % VALIDATION == 0
            rows["validation" if held_out else "train-0of1"].append(row)
    out.mkdir(parents=True, exist_ok=True)
    for split, content in rows.items():
        table = pyarrow.Table.from_pylist(content, schema=SCHEMA)
        parquet.write_table(table, out / f"{split}.parquet")
    return {split: len(content) for split, content in rows.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("data/photos"))
    for kind in ("flowers", "grocery", "clothing"):
        parser.add_argument(f"--{kind}", type=Path)
    given = vars(parser.parse_args())
    target = given.pop("out")
    print(collect({name: folder for name, folder in given.items() if folder}, target))
