"""Charts: where marks stand."""

import re

import pytest

from brittle.reporting.charts import LEFT, RIGHT, WIDTH, Axis, Chart, steps

Y = Axis(0, 1, ((0, "0"), (1, "1")), "share")


def chart(x: Axis) -> Chart:
    return Chart("name", "Title <&>", "Description", x, Y)


def test_axes_may_run_either_way() -> None:
    up, down = chart(Axis(10, 95, (), "x")), chart(Axis(95, 10, (), "x"))
    assert up.px(10) == down.px(95) == LEFT
    assert up.px(95) == down.px(10) == WIDTH - RIGHT
    assert up.py(1) == up.top < up.py(0) == up.top + up.plot_height


def test_whisker_spans_its_interval() -> None:
    one = chart(Axis(0, 2, (), "x"))
    one.whisker(1, 0.25, 0.75, "original")
    found = re.search(r'd="M([\d.]+) ([\d.]+)V([\d.]+)', one.render())
    assert found
    at, low, high = map(float, found.groups())
    assert (at, low, high) == (
        round(one.px(1), 1),
        round(one.py(0.25), 1),
        round(one.py(0.75), 1),
    )


def test_words_are_escaped() -> None:
    one = chart(Axis(0, 2, (), "x"))
    one.mark(1, 0.5, "circle", "original", "<b>")
    text = one.render()
    assert "Title &lt;&amp;&gt;" in text
    assert "<title>&lt;b&gt;</title>" in text


def test_labels_never_cover_each_other() -> None:
    one = chart(Axis(0, 1, (), "x"))
    one.labels([(0.5 + 0.004 * number, 0.5, f"q{number}") for number in range(12)])
    found = re.findall(r'class="label" x="([\d.]+)" y="([\d.]+)">(\w+)<', one.render())
    boxes = [(float(x), float(y), 7.2 * len(words)) for x, y, words in found]
    assert len(boxes) >= 4
    for number, (x, y, width) in enumerate(boxes):
        for other_x, other_y, other_width in boxes[:number]:
            apart = x >= other_x + other_width or other_x >= x + width or abs(y - other_y) >= 14
            assert apart


def words_of_levels(one: Chart) -> list[tuple[float, float, str]]:
    """Right end, baseline and words of each level."""
    found = re.findall(r'class="note halo" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', one.render())
    return [(float(x), float(y), words) for x, y, words in found]


@pytest.mark.parametrize("height", [0, 0.02, 0.5, 0.98, 1])
def test_the_words_of_a_level_lie_inside_the_plot(height: float) -> None:
    one = chart(Axis(0, 1, (), "x"))
    one.level(height, "without learning")
    ((right, baseline, words),) = words_of_levels(one)
    assert words == "without learning"
    assert right - 7.2 * len(words) >= LEFT
    assert right <= WIDTH - RIGHT
    assert one.top + 10 <= baseline <= one.top + one.plot_height


def test_the_words_of_a_level_avoid_marks_whiskers_and_lines() -> None:
    one = chart(Axis(0, 1, (), "x"))
    one.level(0.5, "as good")
    one.whisker(0.97, 0.2, 0.9, "placebo")
    one.line([(0.5, 0.54), (0.9, 0.54)], "placebo")
    one.line([(0.5, 0.46), (0.9, 0.46)], "protection")
    ((right, _, _),) = words_of_levels(one)
    assert right <= one.px(0.5)
    assert right > one.px(0.5) - 12


def test_two_levels_keep_apart() -> None:
    one = chart(Axis(0, 1, (), "x"))
    one.level(0.5, "one level")
    one.level(0.52, "another level")
    (_, first, _), (_, second, _) = words_of_levels(one)
    assert abs(first - second) >= 14


def test_steps_include_both_ends() -> None:
    assert steps(-0.25, 1, 0.25) == (-0.25, 0, 0.25, 0.5, 0.75, 1)


@pytest.mark.parametrize(("length", "columns"), [(5, 3), (20, 2), (40, 1), (90, 1)])
def test_words_of_the_legend_never_overlap(length, columns):
    words = [letter * length for letter in "abc"]
    drawn = Chart("name", "", "", Y, Y, [("original", "circle", one) for one in words])
    places = re.findall(r'class="key" x="([\d.]+)" y="([\d.]+)"[^>]*>([abc]+…?)<', drawn.render())
    assert len({x for x, *_ in places}) == columns
    for x, y, text in places:
        later = [float(other) for other, row, _ in places if row == y and float(other) > float(x)]
        assert float(x) + 7 * len(text) < min(later, default=WIDTH)
