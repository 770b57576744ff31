"""The page whose visitors' browsers predict their drawings, in a real browser."""

import pytest

from cnn.data import synthetic

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

QUESTIONS = "**/predictions/drawing"
NETWORKS = "**/component_server/"
TOLD = "**/run/predict*"
TRAINING = 120_000  # milliseconds, on a machine that does much else
SETTLED = ".headline:not([aria-busy])"
WITHOUT_WORKERS = {
    "none": "delete window.Worker",
    "refused": "window.Worker = class { constructor() { throw new Error('refused') } }",
    "broken": """
        const { postMessage } = Worker.prototype;
        Worker.prototype.postMessage = function ({ id, strokes, file }, ...rest) {
            return postMessage.call(this, strokes ? { id, strokes: 0 } : { id, file }, ...rest);
        }""",
}


@pytest.fixture(scope="module")
def address(browser):
    from support.server import running_app

    with running_app(CNN_BROWSER_INFERENCE="1") as address:
        yield address


@pytest.fixture
def page(visit):
    page = visit()
    page.locator("[data-inference=browser]").wait_for()
    has_settled(page, "3")
    page.questions = []
    page.on("request", lambda request: page.questions.append(request))
    return page


def has_settled(page, label):
    expect(page.locator(f"{SETTLED} .label").first).to_have_text(label)


def clear(page):
    """Wipe the pad, of which the server is told, and forget what was asked until then."""
    with page.expect_response(TOLD):
        page.keyboard.press("Escape")
    page.questions.clear()


def posted(page):
    """Which functions of the server were called: a component's, an event's, or its endpoint."""
    requests = [one for one in page.questions if one.method == "POST"]
    return [
        "drawing" if "predictions" in one.url else one.post_data_json.get("fn_name", "event")
        for one in requests
    ]


def test_a_drawing_is_predicted_without_a_question_and_told_to_the_server_once(page):
    clear(page)
    with page.expect_response(TOLD):
        visitor.draw_digit(page, 7)
    has_settled(page, "7")
    assert visitor.meter(page, "7") > 0.5
    assert posted(page) == ["event"]


def test_the_bars_and_maps_move_while_the_pen_is_down(page):
    clear(page)
    maps = "[...document.querySelectorAll('.strip canvas')].map((one) => one.toDataURL()).join()"
    before = page.evaluate(maps)
    (stroke,) = visitor.on_pad(page, synthetic.example(2))
    page.mouse.move(*stroke[0])
    page.mouse.down()
    for place in stroke[1:]:
        page.mouse.move(*place)
    expect(page.locator(".headline .label").first).to_have_text("2")
    page.wait_for_function(f"before => {maps} !== before", arg=before)
    assert posted(page) == []


def test_inside_maps_classes_and_one_activation_follow_the_pen_without_a_question(page):
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#activation .sum").first).to_be_visible()
    clear(page)
    expect(page.locator("#activation .empty")).to_be_visible()
    visitor.draw_digit(page, 1)
    expect(page.locator("#activation .sum").first).to_be_visible()
    page.wait_for_function("!document.querySelector('.inside .stale')")
    canvases = "[...document.querySelectorAll('#network canvas, #activation canvas')]"
    looks = f"{canvases}.map((one) => one.toDataURL())"
    before, asked = page.evaluate(looks), len(page.questions)
    changed = f"before => {looks}.filter((one, place) => one !== before[place]).length > 50"
    (stroke,) = visitor.on_pad(page, synthetic.example(2))
    page.mouse.move(*stroke[0])
    page.mouse.down()
    for place in stroke[1:]:
        page.mouse.move(*place)
    page.wait_for_function(changed, arg=before)
    assert len(page.questions) == asked
    assert page.locator(".inside .stale").count() == 0
    page.mouse.up()


def test_a_pressed_layer_shows_its_maps_without_waiting_for_the_server(page):
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#activation .sum").first).to_be_visible()
    clear(page)
    visitor.draw_digit(page, 7)
    has_settled(page, "7")
    page.wait_for_function("!document.querySelector('.inside .stale')")
    page.route("**/queue/join*", lambda route: None)  # the server answers nothing from here on
    page.locator(".layer-head button[data-layer=relu2]").click()
    expect(page.locator(".layer-maps h3")).to_contain_text("relu2: 64 maps of 14 × 14")
    expect(page.locator(".maps button")).to_have_count(64)
    shown = page.locator(".layer-maps canvas").evaluate_all(
        "maps => new Set(maps.map((map) => map.toDataURL())).size"
    )
    assert shown > 10


def test_without_a_connection_drawings_are_still_predicted(page):
    page.context.set_offline(True)
    for digit in (2, 4, 8):
        page.keyboard.press("Escape")
        visitor.draw_digit(page, digit)
        has_settled(page, str(digit))


def test_another_network_is_fetched_and_predicts(page):
    source = page.locator(".source .network").first.inner_text()
    with page.expect_response(NETWORKS):
        page.get_by_role("combobox", name="Network").first.click()
        page.get_by_role("option", name="mnist-tiny-cnn").click()
    expect(page.locator(".source .network").first).not_to_have_text(source)
    page.locator("[data-inference=browser]").wait_for()
    visitor.draw_digit(page, 5)
    has_settled(page, "5")
    assert "drawing" not in posted(page)[-2:]


def test_a_visitors_own_network_just_trained_predicts_in_the_browser(page):
    page.get_by_role("tab", name="Train").click()
    page.get_by_text("no download").click()
    expect(page.get_by_label("dataset", exact=True)).to_have_value("synthetic", timeout=TRAINING)
    page.get_by_role("button", name="Start", exact=True).click()
    with page.expect_response(QUESTIONS, timeout=TRAINING):
        page.get_by_role("button", name="Draw for it").click(timeout=TRAINING)
    expect(page.locator(".chooser:visible input")).to_have_value("mine (Synthetic digits)")
    page.locator("[data-inference=browser]").wait_for()
    page.context.set_offline(True)
    page.keyboard.press("Escape")
    visitor.draw_digit(page, 7)
    has_settled(page, "7")


def test_the_page_opens_without_waiting_for_the_network(browser, address):
    def hold_the_network(route):
        if "web_model" not in route.request.post_data:
            route.continue_()

    page = browser.new_context().new_page()
    page.route(NETWORKS, hold_the_network)
    page.goto(address)
    has_settled(page, "3")
    visitor.draw_digit(page, 7)
    has_settled(page, "7")
    page.context.close()


@pytest.mark.parametrize("script", WITHOUT_WORKERS.values(), ids=WITHOUT_WORKERS)
def test_a_browser_that_cannot_leaves_it_to_the_server(browser, address, script):
    page = browser.new_context().new_page()
    page.add_init_script(script)
    page.goto(address)
    has_settled(page, "3")
    with page.expect_request(QUESTIONS):
        visitor.draw_digit(page, 7)
    has_settled(page, "7")
    page.locator("[data-inference=server]").wait_for()
    page.context.close()


def test_a_damaged_network_leaves_it_to_the_server(browser, address):
    def damage(route):
        if "web_model" not in route.request.post_data:
            return route.continue_()
        model = route.fetch().json()
        return route.fulfill(json=model | {"file": model["file"][:1000]})

    page = browser.new_context().new_page()
    page.route(NETWORKS, damage)
    page.goto(address)
    has_settled(page, "3")
    visitor.draw_digit(page, 7)
    has_settled(page, "7")
    assert page.locator("[data-inference=browser]").count() == 0
    page.context.close()
