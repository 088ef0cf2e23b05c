"""Malformed trial files: every key with every kind of oddity, and files that are odd as a whole."""

import random
from collections.abc import Iterator

BASE = ("prompts: heavy rain", "photos: photos")
KEYS = (
    *("title", "photos", "square", "mask", "model", "size", "protections", "names", "budgets"),
    *("placebos", "transforms", "editors", "prompts", "seeds", "tuning_seeds", "floor_seeds"),
    *("metrics", "calibration", "primary", "threat_model", "not_tried", "batch", "plugins"),
    *("primary.metric", "primary.arms", "primary.transforms", "primary.editor", "primary.alpha"),
    *("primary.margins", "primary.margins.broken", "primary.contrasts", "nonsense", "names.short"),
)
PARAMETERS = (
    "protections: photoguard-encoder:steps={}",
    "protections: photoguard-encoder:budget={}",
    "protections: photoguard-encoder:expectation={}",
    "protections: photoguard-encoder:with_models={}",
    "protections: encoder:target={}",
    "transforms: jpeg:quality={}",
    "transforms: crop:fraction={}",
    "transforms: jpeg:quality=50+{}",
    "editors: img2img:strength={}",
    "editors: img2img:num_inference_steps={}",
    "metrics: lpips:net={}",
    "metrics: follow:clip={}",
    "budgets: ['{}', 8/255]",
)
BOMB = "[&a [x, x, x, x, x, x, x, x, x, x]" + "".join(
    f", &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(9)
)
BOMB += "]"
MERGES = "{a: &a {x: 1}" + "".join(
    f", {chr(98 + i)}: &{chr(98 + i)} {{<<: [{', '.join(['*' + chr(97 + i)] * 10)}]}}"
    for i in range(9)
)
MERGES += "}"


def _nested(depth: int, of: str) -> str:
    return of[0] * depth + of[1] * depth


VALUES = (
    *(
        "",
        "~",
        "true",
        "0",
        "-1",
        "1.5",
        "1e308",
        "1e999",
        ".inf",
        "-.inf",
        ".nan",
        "0x10",
        "1_000",
    ),
    *("²", "٣", "'²'", "2026-01-01", "4:2:0", "9" * 5000, "-" + "9" * 5000, "1." + "0" * 5000),
    *('""', '"  "', '"\\0"', '"a\\0b"', '"\\ud800"', '"\\udc80x"', '"\\x1b[31m"', '"\\u202egpj"'),
    *("a" * 300, "a" * 100_000, "a/" * 3000 + "b", "../../etc/passwd", "/etc/passwd", "/dev/zero"),
    *("/dev/null", "/proc/self/mem", "~", "~/x", "~nobody/x", ".", "..", "trial.yaml", "\\\\h\\x"),
    *("[]", "[[]]", "[[[1]]]", "[~]", "[true]", "[1, a, {}]", "{}", "{a: b}", "{1: 2}", "{[a]: b}"),
    *(
        "{~: 1}",
        "{true: 1}",
        "{<<: 1}",
        "{<<: [1]}",
        "{<<: {prompts: x}}",
        "{a: 1, a: 2}",
        "[a, a]",
    ),
    *(_nested(60, "[]"), _nested(400, "[]"), _nested(20_000, "[]")),
    "{a: " * 3000 + "1" + "}" * 3000,
    *("!!int x", "!!int ''", "!!float x", "!!bool x", "!!null x", "!!timestamp x", "!!binary '@@'"),
    *(
        "!!binary aGk=",
        "!!set {a, b}",
        "!!omap [a]",
        "!!omap [a: 1]",
        "!!pairs [a: 1]",
        "!!str [a]",
    ),
    *("!!map [a]", "!!seq {a: b}", "!!merge x", "!!value x", "!x y", "!!python/none x", "!<x> y"),
    *("!!python/object/apply:os.system [id]", "*nowhere", "&a [*a]", "&a {a: *a}", BOMB, MERGES),
    *("{name: jpeg}", "{name: jpeg, quality: ²}", "{name: 1}", "{family: editor, name: jpeg}"),
    *("[{}]", "{name: jpeg, fields: 1}", "{name: jpeg, version: 99}", ":", "a:", ":a", "a:b=c"),
    *(
        "jpeg:=",
        "+",
        "none",
        "none+none",
        "'jpeg:quality='",
        "jpeg:quality=1e400",
        "jpeg:quality=[",
    ),
    *(
        "'a,b'",
        "'\t'",
        "jpeg:quality=" + "9" * 5000,
        "8/0",
        "1e999/1",
        "l2:nan",
        "l2:1@0",
        "lpips:",
    ),
    "perceptual:-1",
)
WHOLE = (
    *(
        b"",
        b"\n\n",
        b"# nothing",
        b"---",
        b"--- 1\n--- 2\n",
        b"null",
        b"[]",
        b"1",
        b"prompts",
        b"{}",
    ),
    *(
        b"\xff\xfe\x00",
        b"\xef\xbb\xbfprompts: rain",
        "prompts: rain".encode("utf-16"),
        b"\x00" * 99,
    ),
    *(b"prompts: \xff\xff", b"\t", b"prompts:\train", b"prompts: rain\n\tx: 1", b"prompts: 'rain"),
    *(b"prompts: rain\nprompts: snow", b"{prompts: rain", b"prompts: rain}", b"? prompts\n: rain"),
    *(b"? [a]\n: b", b"? {a: b}\n: c", b"%YAML 9.9\n--- {}", b"%TAG ! x\n--- {}", b"`x", b"@x"),
    *(b"prompts: |\n x", b"prompts: rain\x07", b"prompts: rain\xc2\x9b31m", b"prompts: &a [*a]"),
    *(b"[" * 100_000, b"{a: " * 50_000, b"- " * 20_000, b"&a " * 9000, b"!" * 9000, b"? " * 5000),
    b"prompts: rain\n" + b"#" * 3_000_000,
    b"prompts: [" + b"rain, " * 400_000 + b"]",
    b"<<: {prompts: rain}\nseeds: [0]",
    b"{prompts: rain, photos: " + b"x" * 70_000 + b"}",
    f"prompts: {BOMB}".encode(),
    MERGES.encode(),
    f"title: &t\n  - {'x' * 1000}\nnot_tried: [{'*t, ' * 20_000}]".encode(),
)


def _valued(key: str, value: str) -> str:
    """A trial with one odd value, on a line of its own key."""
    lines = [line for line in BASE if line.partition(":")[0] != key.partition(".")[0]]
    *parents, last = key.split(".")
    opened = "".join(f"{parent}: {{" for parent in parents)
    return "\n".join([*lines, f"{opened}{last}: {value}{'}' * len(parents)}"]) + "\n"


def every_trial() -> Iterator[tuple[str, bytes]]:
    """All malformed files, each with a name that says what it is."""
    for number, data in enumerate(WHOLE):
        yield f"whole {number}", data
    for key in KEYS:
        for value in VALUES:
            yield f"{key}: {value[:40]}", _valued(key, value).encode("utf-8", "surrogatepass")
    for form in PARAMETERS:
        for value in VALUES:
            quoted = form.format(value.replace("'", "''")).replace(": ", ": '", 1) + "'"
            line = quoted if not form.startswith("budgets") else form.format(value)
            yield f"{form[:40]} {value[:40]}", "\n".join([*BASE, line, ""]).encode()


def some_trials(count: int, seed: int) -> list[tuple[str, bytes]]:
    """The files that are odd as a whole, and a random choice of the others."""
    every = list(every_trial())
    whole, rest = every[: len(WHOLE)], every[len(WHOLE) :]
    return [*whole, *random.Random(seed).sample(rest, count - len(whole))]
