"""What is free, and what a gradient takes, before work begins."""

import pytest
import torch

from brittle import control_groups, parallel
from brittle.errors import UserError
from brittle.models import load_model, memory

CPU = torch.device("cpu")


def group(folder, **files: object):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A process in group /a/b, of which nothing is limited."""
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(control_groups, "CGROUPS", tmp_path / "groups")
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    group(tmp_path / "groups" / "a" / "b", memory_max="max", memory_current=2**20)
    return tmp_path / "groups"


def test_the_narrowest_limit_of_the_control_groups_counts(groups):
    assert memory.free_memory(CPU) > 2**20
    group(groups / "a", memory_max=3 * 2**20, memory_current=2**20)
    assert memory.free_memory(CPU) == 2 * 2**20
    group(groups / "a" / "b", memory_max=2**20, memory_current=2**20)
    assert memory.free_memory(CPU) == 0
    group(groups / "a" / "b", memory_stat="anon 7\ninactive_file 4096\nactive_file 9")
    assert memory.free_memory(CPU) == 4096


def test_the_older_control_groups_count_too(groups, tmp_path):
    (tmp_path / "cgroup").write_text("9:cpu:/a\n4:memory:/somewhere/else\n0::/\n")
    # In a container the process's own group is the root of what it sees.
    (groups / "memory").mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text("5000\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("2000\n")
    assert memory.free_memory(CPU) == 3000


def test_the_quota_of_a_container_bounds_the_cores(groups, tmp_path):
    own = parallel.cores()
    assert own >= 1
    group(groups / "a" / "b", cpu_max="max 100000")
    assert parallel.cores() == own
    group(groups / "a", cpu_max="50000 100000")
    assert parallel.cores() == 1
    (tmp_path / "cgroup").write_text("3:cpu,cpuacct:/\n")
    group(groups / "cpu")
    (groups / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (groups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert parallel.cores() == own
    (groups / "cpu" / "cpu.cfs_quota_us").write_text("90000\n")
    assert parallel.cores() == 1


def test_a_gradient_keeps_half_in_bfloat16_and_more_through_the_denoiser(embedded):
    fixed, kept = memory.kept_for_gradient(embedded, denoiser=False)
    half = load_model("embedded", device="cpu", dtype="bfloat16", size=128)
    assert memory.kept_for_gradient(half, denoiser=False)[1] == pytest.approx(kept / 2, rel=0.05)
    assert memory.kept_for_gradient(embedded, denoiser=True)[1] > 1.5 * kept
    assert fixed == 0
    # One map of 48 channels at full size in float32 is 192 bytes a pixel.
    assert 192 < kept < 2000


def test_what_is_kept_counts_no_weight(tiny_sd, embedded):
    model = load_model(tiny_sd, device="cpu", dtype="float32")
    first = memory.kept_for_gradient(model, denoiser=True)
    assert memory.kept_for_gradient(model, denoiser=True) == first


def test_too_little_memory_is_one_sentence(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2**30)
    memory.check_free(2**30, "This", CPU, "do without")
    with pytest.raises(
        UserError, match=r"^This needs 1.5 GiB and 1.0 GiB are free on cpu: do without\.$"
    ):
        memory.check_free(1.5 * 2**30, "This", CPU, "do without")
