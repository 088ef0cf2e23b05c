"""Draws docs/app.png: the page's figure at JPEG 75. Needs playwright and the computer's Chromium.

Run ``brittle app --no-browser``, and then this.
"""

import shutil
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ADDRESS = "http://127.0.0.1:8765/#figure"
PATIENCE = 300_000  # ms


def main() -> None:
    """Wait for the figure, and keep what a screen of 1100 x 690 px shows of it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1100, "height": 690})
        page.goto(ADDRESS)
        page.locator("#quality").fill("75")
        edit = page.locator("img[data-picture='protected edit']:not(.old)")
        expect(edit).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#panel-figure .running")).to_be_hidden(timeout=PATIENCE)
        page.wait_for_timeout(500)
        page.screenshot(path=Path(__file__).with_name("app.png"))
        browser.close()


if __name__ == "__main__":
    main()
