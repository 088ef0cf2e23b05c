"""The peak memory of `brittle protect`, beside what is estimated before the work.

    python benchmarks/protection_memory.py [--side 1000 2000 3464] [--with PROTECTION …]

Each row is a process of its own, imports included, on a square photo of that side. The peak is the
kernel's (VmHWM), so Linux only; bytes a pixel are of the peak beyond `FIXED_BYTES`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from brittle.images import quantise, write_image
from brittle.models import load_model
from brittle.protections import Protection
from brittle.protections.base import FIXED_BYTES

PROTECTIONS = (
    "encoder:steps=2",
    "encoder:steps=2,budget=l2:8,step_size=0.5",
    "encoder:steps=2,budget=perceptual:2",
    "encoder-away-jpeg:steps=2",
    "diffusion:steps=1,draws=1",
)
MEASURED = """
import sys
from brittle.cli import app
try:
    app(sys.argv[1:])
finally:
    status = open("/proc/self/status").read()
    print("peak", status.split("VmHWM:")[1].split()[0])
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, nargs="+", default=[1000, 2000, 3464])
    parser.add_argument("--with", dest="protections", nargs="+", default=PROTECTIONS)
    options = parser.parse_args()
    model = load_model()
    for protection in options.protections:
        for side in options.side:
            peak = peak_of("protect", protection, side)
            estimate = Protection.parse(protection).memory(model, [(side, side)])
            print(f"{protection:42}  {side**2 / 1e6:5.1f} Mpx  peak {peak / 1e9:5.2f} GB, "
                  f"estimate {estimate / 1e9:5.2f} GB, {(peak - FIXED_BYTES) / side**2:4.0f} bytes "
                  f"a pixel", flush=True)  # fmt: skip


def peak_of(name: str, component: str, side: int) -> float:
    """Bytes that `brittle protect` or `transform` took at most with a component."""
    from encoder_attack import samples

    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "photo.png", Path(folder) / "out.png"
        write_image(photo, quantise(samples(1, side)))
        command = [sys.executable, "-c", MEASURED, name, str(photo), "--with", component]
        done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return 1024 * float(done.stdout.split("peak")[-1])


if __name__ == "__main__":
    main()
