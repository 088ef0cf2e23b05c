"""A protection of one's own: one class with one method, compared with PhotoGuard's encoder attack.

python examples/my_protection.py
"""

import brittle
from brittle.component import register
from brittle.metrics import Latent
from brittle.protections import PGD
from brittle.sources.photos import load_photos


@register
class Flatten(PGD):
    """Flattens the latent, so that the editor starts from less information."""

    name = "flatten"

    def objective(self, model, perturbed, image, *, mask, seeds, prepared):
        """Spread of each latent, (N,)."""
        return model.encode(model.fit(perturbed)).std(dim=(1, 2, 3))


if __name__ == "__main__":
    photo = load_photos("sample", square=128)["chelsea"].image
    model = brittle.load_model("embedded")
    mine = "flatten:budget=12.75/255,steps=10,step_size=0.01"
    for protection in (mine, "photoguard-encoder:steps=10"):
        protected = brittle.protect(photo, protection, model=model)
        for transform in ("none", "jpeg:quality=75"):
            # The control is the unprotected photo under the same transform.
            pair = [brittle.transform(image, transform) for image in (protected, photo)]
            moved = Latent().score(*pair, model=model).item()
            print(f"{protection}, {transform}: the latent is moved by {moved:.2f}")
