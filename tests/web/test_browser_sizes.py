"""Every tab in every size: nothing over the side, no small text, bars that can be seen."""

import pytest

pytest.importorskip("playwright.sync_api")
visitor = pytest.importorskip("support.visitor")

SIZES = [
    *((320, 640), (390, 844), (844, 390), (960, 700)),
    *((1024, 768), (1280, 800), (1920, 1080), (640, 400)),
]
TABS = ["Draw", "Photo", "Probabilities", "Inside", "Train", "Models"]
CONTENT = {
    "Draw": ".strip canvas",
    "Photo": "#examples img",
    "Probabilities": "#predictions td",
    "Inside": ".layers canvas",
    "Train": ".run-status",
    "Models": ".models td",
}
FAULTS = """() => {
    const faults = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) faults.push("the page scrolls sideways");
    const seen = { opacityProperty: true, visibilityProperty: true };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.data.trim();
        const part = texts.currentNode.parentElement;
        if (!text || part.closest("script, style") || !part.checkVisibility(seen)) continue;
        const size = parseFloat(getComputedStyle(part).fontSize);
        if (size < 13 && part.getBoundingClientRect().width > 1) {
            faults.push(`${size} px: ${part.tagName}.${part.className} ${text.slice(0, 20)}`);
        }
    }
    for (const bar of document.querySelectorAll(".track")) {
        const { width: long, right } = bar.getBoundingClientRect();
        if (!bar.checkVisibility(seen)) continue;
        if (long < 80) faults.push(`a bar of ${long} px`);
        if (right > width) faults.push("a bar over the side");
    }
    return [...new Set(faults)];
}"""
COVERED = """() => {
    const seen = { opacityProperty: true, visibilityProperty: true };
    const parts = document.querySelectorAll("button, input, [role=tab], canvas.pad");
    const isCovered = (part) => {
        if (!part.checkVisibility(seen)) return false;
        const { left, top, width, height } = part.getBoundingClientRect();
        const x = left + width / 2, y = top + height / 2;
        if (!width || x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return false;
        const above = document.elementFromPoint(x, y);
        if (!above || part.contains(above) || above.contains(part)) return false;
        return !above.closest("label, .wrap");
    };
    return [...parts].filter(isCovered).map((part) => part.outerHTML.slice(0, 120));
}"""


def walk(page):
    """Open each tab, and return what is wrong in it."""
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator(CONTENT[tab]).first.wait_for()
        yield from ((tab, fault) for fault in page.evaluate(FAULTS))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_tab_fits(visit, width, height):
    assert list(walk(visit(width=width, height=height))) == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800), (640, 400)])
def test_nothing_is_covered_in_draw_and_photo_even_from_right_to_left(visit, width, height):
    page = visit(width=width, height=height)
    page.evaluate("document.documentElement.dir = 'rtl'")
    for tab in TABS[:2]:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator(CONTENT[tab]).first.wait_for()
        assert page.evaluate(COVERED) == []


def test_type_grows_on_large_screens_and_for_a_lecture_hall(visit):
    def height(page):
        return page.locator(".header h1").bounding_box()["height"]

    usual, large = height(visit()), height(visit(width=1920, height=1080))
    page = visit(width=1920, height=1080)
    page.goto(page.url + "&present")
    page.locator("canvas.pad").wait_for()
    assert 1.05 * usual < large
    assert height(page) == pytest.approx(1.4 * usual, rel=0.05)


def test_a_phone_explains_the_page_in_three_sentences(visit):
    page = visit(width=390, height=844)
    page.get_by_role("button", name="What am I looking at?").click()
    about = page.locator("#about p")
    assert about.is_visible() and about.inner_text().count(".") == 3
    assert page.locator("meta[name=description]").get_attribute("content")
