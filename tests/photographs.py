"""Photographs that scikit-image brings along."""

from importlib import resources

from PIL import Image

PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def photograph(file: str, side: int) -> Image.Image:
    """A photograph, cropped to its centre."""
    with Image.open(str(resources.files("skimage") / "data" / file)) as image:
        image = image.convert("RGB")
        short = min(image.size)
        x, y = (image.width - short) // 2, (image.height - short) // 2
        box = (x, y, x + short, y + short)
        return image.crop(box).resize((side, side), Image.Resampling.LANCZOS)
