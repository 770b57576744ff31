"""Everybody can use the page: with the keyboard alone, by ear, and without motion."""

import shutil
import subprocess

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

FILLED = {
    "Draw": ".strip canvas",
    "Photo": "#examples img[alt]",
    "Probabilities": "#predictions td",
    "Inside": ".grid td",
    "Models": ".tabitem:visible td",
    "Train": ".run-status:visible",
}
AXE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, as npm has it. Where it cannot be had its tests are skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to get axe-core with")
    folder = tmp_path_factory.mktemp("axe")
    install = [npm, "install", "--no-save", "--ignore-scripts", "--prefix", str(folder), AXE]
    if subprocess.run(install, capture_output=True, timeout=120, cwd=folder).returncode:
        pytest.skip("npm could not get axe-core")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


NOT_OURS = [[".progress-text"]]  # what gradio makes, out of our hands


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_tab(visit, axe, theme):
    page = visit(theme=theme)
    page.evaluate(axe)
    serious = []
    for tab, content in FILLED.items():
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator(content).first.wait_for()
        options = {"resultTypes": ["violations"]}
        found = page.evaluate("given => axe.run(...given)", [{"exclude": NOT_OURS}, options])
        serious += [
            f"{tab}: {fault['help']}: {node['target']} {node['html'][:120]}"
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]
    assert serious == []


def test_a_digit_is_drawn_with_arrows_and_space(visit):
    page = visit()
    expect(page.locator(".headline .label").first).to_have_text("3")
    page.keyboard.press("Escape")
    page.locator("canvas.pad").focus()
    for key, times in (("ArrowUp", 7), ("Space", 1), ("ArrowDown", 14), ("Space", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    expect(page.locator(".headline .label").first).to_have_text("1")
    expect(page.locator(".headline:not([aria-busy]) .label").first).to_have_text("1")


def test_the_tab_key_reaches_the_pad_and_all_its_tools(visit):
    page = visit()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = "(document.activeElement.ariaLabel || document.activeElement.innerText)"
        reached.append(page.evaluate(focused).split(":")[0].strip())
    assert {"Drawing pad", "Undo", "Clear", "3", "7", "1", "9"} <= set(reached)


def test_an_open_list_is_closed_by_the_tab_key(visit):
    page = visit()
    options = page.get_by_role("option")
    page.locator(".chooser:visible input").first.focus()
    expect(options).not_to_have_count(0)
    page.keyboard.press("Tab")
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    expect(options).to_have_count(0)


def test_arrow_keys_move_between_the_tabs(visit):
    page = visit()
    tabs = ["Draw", "Photo", "Probabilities", "Inside", "Train", "Models"]
    page.get_by_role("tab", name="Draw", exact=True).focus()
    for tab in tabs[1:]:
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=tab, exact=True, selected=True)).to_be_visible()
