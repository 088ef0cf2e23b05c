"""The paper's experiment on one photo, in the library's own words.

python examples/protect_compress_edit.py
"""

import brittle
from brittle.metrics import PSNR
from brittle.sources.photos import load_photos

photo = load_photos("sample", square=128)["astronaut"].image
model = brittle.load_model("embedded")

protected = brittle.protect(photo, "photoguard-encoder", model=model)
print(f"published: {PSNR().score(protected, photo).item():.1f} dB from the photo")

for transform in ("none", "jpeg:quality=65"):
    # The control: the unprotected photo under the same transform, prompt and seed.
    received = [brittle.transform(image, transform) for image in (protected, photo)]
    edited = [brittle.edit(image, "heavy rain", model=model, seed=1) for image in received]
    moved = PSNR().score(*edited).item()
    print(f"{transform}: the edit is {moved:.1f} dB from the unprotected photo's")
