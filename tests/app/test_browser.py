"""The page in a real browser, where Chromium and playwright are there."""

import re
import shutil
from threading import Thread

import pytest

from brittle.images import read_photo

pytest.importorskip("starlette", reason="pip install 'brittle[app]'")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
LONG = 120_000  # ms; the work is a few seconds on an idle computer
PHONE = {"width": 390, "height": 844}
playwright.expect.set_options(timeout=LONG)


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def address(server):
    """Where the app is served, by uvicorn as the command does it."""
    import uvicorn

    from brittle.app.server import _listening

    with _listening(0) as listening:
        served = uvicorn.Server(uvicorn.Config(server.routes(), log_level="warning"))
        thread = Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        served.should_exit = True
        thread.join(30)


@pytest.fixture
def page(chromium, address):
    """The page, which asks this server alone and makes no error of its own."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(LONG)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page
    assert [url for url in asked if not url.startswith((address, f"blob:{address}", "data:"))] == []
    assert errors == []
    context.close()


def choose(page, label, *files):
    """Choose files by the name that a screen reader says, and wait until they have arrived."""
    field = page.get_by_label(label)
    field.set_input_files(files)
    rows = field.locator("xpath=ancestor::section[@data-tray]").locator(".files li")
    playwright.expect(rows).to_have_count(len(files))


def width(page):
    return page.evaluate("document.documentElement.scrollWidth")


def test_check_shows_a_report(page, pictures):
    choose(page, "1. The original photo: choose files", pictures / "cat.png")
    choose(page, "2. The protected file: choose files", pictures / "moved.png")
    page.get_by_role("button", name="Check", exact=True).click()
    report = page.frame_locator("iframe[title='The report of the check']")
    playwright.expect(report.get_by_role("heading", name="The answer")).to_be_visible(timeout=LONG)
    page.set_viewport_size(PHONE)
    assert width(page) == PHONE["width"]
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the report").click()
    assert "<title>" in saved.value.path().read_text(encoding="utf-8")


def test_protect_compares_and_saves(page, pictures, tmp_path):
    page.get_by_role("tab", name="Protect").click()
    named = tmp_path / "cat #1?.png"
    shutil.copy(pictures / "cat.png", named)
    choose(page, "Your photos: choose files", named, pictures / "broken.jpg")
    assert "broken.jpg is damaged or incomplete" in page.inner_text(".files .bad")
    page.get_by_role("combobox", name="Protection").select_option("photoguard-encoder")
    page.get_by_role("button", name="Protect", exact=True).click()
    save = page.get_by_role("link", name=f"Save the protected {named.name}")
    playwright.expect(save).to_be_visible(timeout=LONG)
    with page.expect_download() as saved:
        save.click()
    saved.value.save_as(tmp_path / "protected.png")
    moved = read_photo(tmp_path / "protected.png").image - read_photo(pictures / "cat.png").image
    assert 0 < moved.abs().max() < 0.5
    page.set_viewport_size(PHONE)
    page.get_by_label("300 %").check()
    left, right = (page.get_by_alt_text(f"The {one} photo") for one in ("original", "protected"))
    playwright.expect(left).to_have_css("width", f"{3 * 64}px")
    playwright.expect(right).to_have_css("width", f"{3 * 64}px")
    page.get_by_role("group", name="Original").evaluate("pane => pane.scrollTo(3, 0)")
    other = page.get_by_role("group", name="Protected")
    playwright.expect(other).to_have_js_property("scrollLeft", 3)
    assert width(page) == PHONE["width"]


def test_cancel_stops_the_work(page, pictures, server):
    page.get_by_role("tab", name="Protect").click()
    choose(page, "Your photos: choose files", pictures / "cat.png")
    page.get_by_role("combobox", name="Protection").select_option("photoguard-notebook-img2img")
    page.get_by_role("button", name="Protect", exact=True).click()
    bar = page.get_by_role("progressbar", name="Progress")
    playwright.expect(bar).to_have_attribute("value", re.compile("."))
    page.get_by_role("button", name="Cancel").click()
    problem = page.locator("#panel-protect .problem")
    playwright.expect(problem).to_have_text("Stopped.")
    job = [*server.jobs._known.values()][-1]
    assert job.state == "stopped"
    assert page.get_by_role("button", name="Protect", exact=True).is_enabled()


def test_the_figure_follows_the_slider_by_the_keyboard(page):
    page.get_by_role("tab", name="Check").press("ArrowRight")
    playwright.expect(page.get_by_role("tab", name="Protect")).to_be_focused()
    page.keyboard.press("End")
    assert page.get_by_role("tabpanel", name="See it break").is_visible()
    edit = page.get_by_alt_text("Protected: its edit")
    playwright.expect(edit).to_be_visible(timeout=LONG)
    slider = page.get_by_role("slider", name="JPEG quality")
    assert slider.get_attribute("aria-valuetext") == "none, a PNG"
    slider.press("Home")
    compressed = re.compile(r"/jpeg%2010%2C%20sepia\.png$")
    playwright.expect(edit).to_have_attribute("src", compressed)
    page.set_viewport_size(PHONE)
    assert width(page) == PHONE["width"]


NAMELESS = """
elements => elements.filter(one => one.getClientRects().length && !(
  (one.labels && one.labels.length) || one.getAttribute('aria-label') || one.title
  || one.textContent.trim() || one.hasAttribute('alt'))).map(one => one.outerHTML)
"""


def test_all_that_can_be_used_has_a_name_and_can_be_reached(page):
    for tab in ("Check", "Protect", "See it break"):
        page.get_by_role("tab", name=tab).click()
        controls = page.locator("button, input, select, a, img, iframe, progress")
        assert controls.evaluate_all(NAMELESS) == []
        page.get_by_role("tab", name=tab).focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('[role=tabpanel]').hidden") is False
