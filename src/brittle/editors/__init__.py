"""Editors: they edit an image with an edit model, a prompt and a seed."""

from brittle.editors.base import Editor
from brittle.editors.finetune import FineTune
from brittle.editors.identity import Identity
from brittle.editors.img2img import Img2Img
from brittle.editors.inpaint import Inpaint
from brittle.editors.instruct import Instruct
from brittle.editors.ip_adapter import IPAdapter

__all__ = ["Editor", "FineTune", "IPAdapter", "Identity", "Img2Img", "Inpaint", "Instruct"]
