"""What a visitor has made is there again after a reload, in a real browser."""

import pytest

from cnn.data import strokes, synthetic

expect = pytest.importorskip("playwright.sync_api").expect

TRAINING = {"timeout": 120_000}  # milliseconds, on a machine that does much else
MINE = "mine (Synthetic digits)"
BLOCK_STORAGE = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("blocked", "SecurityError"); } })"""


def train(page, epochs="0.2"):
    page.get_by_role("tab", name="Train").click()
    page.get_by_text("no download").click()
    expect(page.get_by_label("dataset", exact=True)).to_have_value("synthetic", **TRAINING)
    page.get_by_label("epochs", exact=True).fill(epochs)
    page.get_by_role("button", name="Start", exact=True).click()


def finish(page):
    expect(page.locator(".run-status")).to_contain_text("test accuracy", **TRAINING)


def test_a_reloaded_page_has_its_network_and_its_run_again(visit):
    page = visit()
    train(page)
    finish(page)
    accuracy = page.locator(".run-status b").inner_text()
    page.get_by_role("button", name="Draw for it").click()
    expect(page.locator(".chooser:visible input").first).to_have_value(MINE)
    page.reload()
    expect(page.locator(".chooser:visible input").first).to_have_value(MINE)
    expect(page.locator(".source").first).to_contain_text("Synthetic digits")
    page.get_by_role("tab", name="Train").click()
    expect(page.locator(".run-status b")).to_have_text(accuracy)
    expect(page.get_by_role("img", name="Loss by step: training")).to_be_visible()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def test_a_run_goes_on_while_its_page_is_loaded_again_which_warns_first(visit):
    page = visit()
    warnings = []

    def leave(dialog):
        warnings.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    train(page, epochs="500")
    expect(page.locator(".run-status")).to_contain_text("images per second", **TRAINING)
    page.reload()
    assert warnings == ["beforeunload"]
    page.get_by_role("tab", name="Train").click()
    expect(page.locator(".run-status")).to_contain_text("images per second", **TRAINING)
    expect(page.get_by_role("img", name="Loss by step: training")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Stop and keep").click()
    finish(page)
    expect(page.get_by_role("button", name="Draw for it")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    page.reload()
    assert len(warnings) == 1


def test_the_page_does_not_jump_when_a_run_is_continued(visit):
    page = visit()
    train(page)
    finish(page)
    proceed = page.get_by_role("button", name="Continue")
    proceed.scroll_into_view_if_needed()
    top = "document.querySelector('.curves').getBoundingClientRect().top"
    before = page.evaluate(top)
    proceed.click()
    expect(page.get_by_role("button", name="Stop and keep")).to_be_visible()
    expect(page.locator(".run-status")).to_contain_text("images per second", **TRAINING)
    assert page.evaluate(top) == pytest.approx(before, abs=1)
    finish(page)
    expect(page.locator(".runs")).to_contain_text("continues run 1", **TRAINING)
    assert page.evaluate(top) == pytest.approx(before, abs=1)


def test_a_second_tab_of_the_browser_has_the_same_session_and_another_browser_has_not(
    visit, address
):
    page = visit()
    page.locator(".chooser:visible input").first.click()
    page.get_by_role("option", name="mnist-three-conv", exact=True).click()
    expect(page.locator(".source").first).to_contain_text("three-conv,")
    second = page.context.new_page()
    second.goto(address)
    expect(second.locator(".chooser:visible input").first).to_have_value("mnist-three-conv")
    other = visit()
    expect(other.locator(".source").first).to_contain_text("four-conv-norm")


def test_the_token_is_in_no_address(visit):
    page = visit()
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    page.reload()
    page.wait_for_function("localStorage.getItem('cnn-session')")
    expect(page.locator(".headline .label").first).to_have_text("3")
    token = page.evaluate("localStorage.getItem('cnn-session')")
    assert len(token) >= 40
    assert not [address for address in [page.url, *addresses] if token in address]


def test_a_token_that_no_session_has_is_replaced(visit):
    page = visit()
    page.evaluate("localStorage.setItem('cnn-session', 'made-up')")
    page.reload()
    page.wait_for_function("localStorage.getItem('cnn-session') !== 'made-up'")
    expect(page.locator(".headline .label").first).to_have_text("3")


def test_a_browser_that_keeps_nothing_is_warned_and_works(browser, address):
    context = browser.new_context()
    context.add_init_script(BLOCK_STORAGE)
    page = context.new_page()
    page.goto(address)
    expect(page.locator(".unsaved")).to_be_visible()
    expect(page.locator(".headline .label").first).to_have_text("3")
    context.close()


def test_where_the_browser_stores_there_is_no_warning(visit):
    page = visit()
    expect(page.locator(".headline .label").first).to_have_text("3")
    expect(page.locator(".unsaved")).to_be_hidden()


def test_a_link_opens_on_the_resumed_session(visit, address):
    page = visit()
    train(page)
    finish(page)
    drawing = strokes.encode(synthetic.example(7))
    page.goto(f"{address}/?tab=draw&drawing={drawing}&network=mnist-three-conv")
    expect(page.locator(".chooser:visible input").first).to_have_value("mnist-three-conv")
    page.locator(".chooser:visible input").first.click()
    expect(page.get_by_role("option", name=MINE)).to_be_visible()
