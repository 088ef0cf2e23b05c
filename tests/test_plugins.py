"""Files of one's own: every command, and a trial that names them, knows their components."""

import subprocess
import sys

import pytest
from skimage import data, io
from typer.testing import CliRunner

from brittle.cli import app
from brittle.cli.app import _without_plugins
from brittle.component import load_plugin, registry
from brittle.errors import UserError
from brittle.transforms import Transform

PLUGIN = '''
from brittle.component import register
from brittle.images import quantise
from brittle.transforms import Transform


@register
class Posterise(Transform):
    """Fewer levels."""

    name = "posterise-mine"
    example = "posterise-mine:levels=4"
    levels: int = 4

    def receive(self, image, *, seed):
        steps = self.levels - 1
        return quantise((image * steps).round() / steps)
'''
TRIAL = """
photos: me.png
size: 128
prompts: heavy rain
protections: ['photoguard-encoder:steps=1']
placebos: [noise]
transforms: ['posterise-mine:levels=2']
editors: ['img2img:num_inference_steps=4']
floor_seeds: []
metrics: [psnr]
primary: {metric: psnr}
plugins: mine.py
"""


@pytest.fixture
def folder(tmp_path):
    io.imsave(tmp_path / "me.png", data.chelsea()[:64, :80])
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "trial.yaml").write_text(TRIAL)
    return tmp_path


def brittle(folder, *arguments):
    """A command in a folder, before and after which no plugin is known."""
    known, before = registry(Transform.family), {*sys.modules}
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        here.setattr(known, "components", {**known.components})
        done = CliRunner().invoke(app, arguments)
    for name in {*sys.modules} - before:
        if name.startswith("brittle_plugin_"):
            del sys.modules[name]
    return done


def test_a_command_knows_what_a_plugin_registers(folder):
    asked = ["transform", "me.png", "--with", "posterise-mine:levels=2", "-o", "out.png"]
    assert "Unknown transform" in brittle(folder, *asked).stderr
    command = [sys.executable, "-c", "from brittle.cli import main; main()", *asked[:2]]
    command += ["--plugin", "mine.py", *asked[2:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(io.imread(folder / "out.png").flatten()) == {0, 255}


@pytest.mark.parametrize("plugin", [["--plugin", "mine.py"], ["--plugin=mine.py"]])
def test_a_plugin_stands_anywhere_on_the_command_line(plugin, monkeypatch):
    loaded = []
    monkeypatch.setattr("brittle.load_plugin", loaded.append)
    assert [*_without_plugins(["list", *plugin, "editors"])] == ["list", "editors"]
    assert loaded == ["mine.py"]


def test_a_trial_runs_with_the_plugin_beside_it(folder):
    done = brittle(folder, "run", "trial.yaml", "--out", "out")
    assert done.exit_code == 0, done.stderr
    assert "posterise-mine" in (folder / "out" / "results.csv").read_text()
    (folder / "mine.py").write_text(PLUGIN + "# changed")
    done = brittle(folder, "run", "trial.yaml", "--out", "out")
    assert done.exit_code == 2
    assert "its plugins differ" in done.stderr


def test_a_trials_plugin_lies_beside_it(folder):
    (folder / "sub").mkdir()
    (folder / "trial.yaml").rename(folder / "sub" / "trial.yaml")
    written = (folder / "sub" / "trial.yaml").read_text()
    (folder / "sub" / "trial.yaml").write_text(written.replace("mine.py", "../mine.py"))
    done = brittle(folder, "run", "sub/trial.yaml", "--dry-run")
    assert done.exit_code == 2
    assert "lies outside the folder of that file" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("x = 1\ny = x + z\n", "line 2 can't be loaded: NameError"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_plugin_that_fails_is_one_sentence_with_its_place(tmp_path, code, said):
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(UserError, match=said):
        load_plugin(tmp_path / "bad.py")
    with pytest.raises(UserError, match="can't be read"):
        load_plugin(tmp_path / "none.py")


def test_the_same_file_runs_once(tmp_path):
    code = "import sys\nsys.brittle_runs = 1 + getattr(sys, 'brittle_runs', 0)"
    (tmp_path / "count.py").write_text(code)
    assert load_plugin(tmp_path / "count.py") == load_plugin(tmp_path / "count.py")
    assert sys.brittle_runs == 1
    del sys.brittle_runs
