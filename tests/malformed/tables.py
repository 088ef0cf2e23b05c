"""Malformed tables of edits: every column with every kind of oddity, and files odd as a whole."""

import random
from collections.abc import Iterator

COLUMNS = ("photo", "arm", "transform", "prompt", "seed", "edit", "original")
ROWS = (
    ("dog", "original", "none", "rain", "0", "a.png", "dog.png"),
    ("dog", "shield", "none", "rain", "0", "b.png", "dog.png"),
    ("dog", "placebo", "none", "rain", "0", "c.png", "dog.png"),
)
VALUES = (
    *(
        "",
        " ",
        "\u00a0",
        "²",
        "٣",
        "-²",
        "1.0",
        "1e3",
        "-1",
        "+1",
        "--1",
        "007",
        "0x1",
        "NaN",
        "1_0",
    ),
    *("9" * 25, "9" * 5000, "-" + "9" * 5000, "a" * 300),
    *("a" * 100_000, "a" * 200_000, "a/" * 3000),
    *(
        "\x1b[31mred",
        "\u202egpj",
        "\ufeff",
        "\u2028",
        "é",
        "e\u0301",
        "ß",
        "😀",
        "\x07",
        "\x7f",
        "\x85",
    ),
    *(
        "=1+1",
        "@SUM(1)",
        "+x",
        "-x",
        "'=1",
        "\ttab",
        "a\nb",
        'a"b',
        "a,b",
        "a;b",
        '"',
        "''",
        "\\",
        "\\n",
    ),
    *(
        "../x.png",
        "/etc/passwd",
        "C:\\x.png",
        "\\\\host\\x",
        "~",
        ".",
        "..",
        "",
        "CON",
        "a.png/",
        "a.png/x",
    ),
    *(
        "http://x/y.png",
        "file:///etc/passwd",
        "a.png\x1f",
        "A.PNG",
        "none",
        "original",
        "gray",
        "grey",
    ),
    *(
        "placebo",
        "placebo(",
        "placebo()",
        "placebo(nobody)",
        "placebo(shield)",
        "noise(shield)",
        "(x)",
    ),
    *(
        "base model",
        "placebo(placebo)",
        "jpeg",
        "jpeg:quality=75",
        "jpeg:quality=²",
        "jpeg:quality=999",
    ),
    *(
        "jpeg:quality=" + "9" * 5000,
        "jpeg:",
        "jpeg:x",
        ":",
        "x:y=z",
        "rotate:degrees=1e999",
        "none+none",
    ),
    *(
        "flip+flip",
        "jpeg:quality=[[[[",
        "denoise",
        "crop:fraction=0.0001",
        "[" * 5000,
        "None",
        "{}",
        "~",
    ),
)
HEADER = ",".join(COLUMNS)
LINES = "\n".join(",".join(row) for row in ROWS)
TEXT = f"{HEADER}\n{LINES}\n"
WHOLE = (
    *(
        b"",
        b"\n",
        b" ",
        b",,,,,,",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
    ),
    *(
        HEADER.encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-32"),
        b"\xef\xbb\xbf" + TEXT.encode(),
    ),
    *(TEXT.replace("rain", "régn").encode("latin-1"), TEXT.replace("\n", "\r").encode()),
    *(
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", ";").encode(),
    ),
    TEXT.replace(",", "|").encode(),
    *(TEXT.replace("rain", '"rain').encode(), TEXT.encode()[:-20]),
    *(TEXT.replace("rain", '"ra""in"').encode(), TEXT.replace("rain", '"ra"in').encode()),
    *(TEXT.replace("rain", "ra\x00in").encode(), TEXT.replace("photo", "Photo ").encode()),
    *(TEXT.replace("photo", "foto").encode(), TEXT.replace("photo", "arm").encode()),
    *(
        TEXT.replace("photo,", "").encode(),
        TEXT.replace("photo", "").encode(),
        f"sep=,\n{TEXT}".encode(),
    ),
    *(
        TEXT.replace("photo", "ph" + "o" * 100_000).encode(),
        (TEXT + LINES).encode(),
        LINES.encode(),
    ),
    TEXT.replace("photo,arm", "arm,photo").encode(),
    *((TEXT + "," * 50).encode(), b"," * 100_000),
    *((HEADER + "\n" + LINES.splitlines()[1]).encode(), (TEXT + "dog\n").encode()),
    *(
        (TEXT + "\n" * 9000).encode(),
        (TEXT + '"' + "x" * 200_000).encode(),
        b"[1, 2]",
        b"{}",
        b"<table>",
    ),
    TEXT.replace("original,none", "shield,none").encode(),
    TEXT.replace("dog.png", "cat.png").encode(),
    TEXT.replace("b.png", "a.png").encode(),
    TEXT.replace("b.png", "broken.png").encode(),
    TEXT.replace("b.png", "edits.csv").encode(),
    TEXT.replace("b.png", "wide.png").encode(),
    TEXT.replace("dog.png", "wide.png").encode(),
    TEXT.replace("dog,shield,none", "dog,shield,flip").encode(),
)


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def every_table() -> Iterator[tuple[str, bytes]]:
    """All malformed tables, each with a name that says what it is."""
    for number, data in enumerate(WHOLE):
        yield f"whole {number}", data
    for column, name in enumerate(COLUMNS):
        for value in VALUES:
            for rows in (range(len(ROWS)), [1]):
                lines = [
                    [
                        value if row in rows and at == column else cell
                        for at, cell in enumerate(cells)
                    ]
                    for row, cells in enumerate(ROWS)
                ]
                text = "\n".join([HEADER, *(",".join(map(_quoted, line)) for line in lines)])
                where = "everywhere" if len(rows) > 1 else "once"
                yield f"{name} {where}: {value[:40]!r}", text.encode()


def some_tables(count: int, seed: int) -> list[tuple[str, bytes]]:
    """The tables that are odd as a whole, and a random choice of the others."""
    every = list(every_table())
    whole, rest = every[: len(WHOLE)], every[len(WHOLE) :]
    return [*whole, *random.Random(seed).sample(rest, count - len(whole))]
