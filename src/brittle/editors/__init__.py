"""Editors: they edit an image with an edit model, a prompt and a seed."""

from brittle.editors.base import Editor
from brittle.editors.img2img import Img2Img

__all__ = ["Editor", "Img2Img"]
