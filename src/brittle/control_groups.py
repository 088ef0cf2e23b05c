"""What the system's control groups allow this process, as in a container: see cgroups(7)."""

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def groups_of(controller: str) -> Iterator[Path]:
    """The folders of this process's groups that may limit ``memory`` or ``cpu``, from its own up.

    None where the system has no control groups.
    """
    for line in text_of(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        mount = CGROUPS / controller if controller in controllers.split(",") else CGROUPS
        # In a container the path may be the host's, and its own group is the root.
        yield from dict.fromkeys([*_upwards(mount, path), mount])


def text_of(path: Path) -> str:
    """A file's text; empty where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _upwards(mount: Path, path: str) -> list[Path]:
    group = mount / path.strip("/")
    return [group, *(parent for parent in group.parents if mount in parent.parents)]
