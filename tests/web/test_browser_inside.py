"""Inside and Probabilities with the input docked beside them, in a real browser."""

import os
import re
from pathlib import Path

import pytest

from cnn.interpret.layers import feature_maps
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web.subject import initial_subject

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

FOUND = Path(os.environ.get("CNN_DATA", "no folder")).is_dir()
needs_data = pytest.mark.skipif(
    not FOUND, reason="CNN_DATA names no folder with MNIST and CIFAR-10"
)


@pytest.fixture
def inside(visit):
    """Opens the tab Inside, its views filled: `inside(width=390, theme="dark")`."""

    def open_tab(**options):
        page = visit(tab="Inside", reduced_motion="reduce", **options)
        expect(page.locator(".layer-maps button").first).to_be_visible()
        expect(page.locator("#activation .sum").first).to_be_visible()
        return page

    return open_tab


def open_section(page, name):
    page.get_by_role("navigation").get_by_role("button", name=name).click()


def current(page, view):
    """A derived view that shows the current version of the input."""
    page.locator(view).scroll_into_view_if_needed()
    shown = page.locator(f"{view} [data-version]:not(.stale)")
    expect(shown.first).to_be_visible()
    page.wait_for_function(
        "view => document.querySelector(`${view} [data-version]`).dataset.version == cnn.version",
        arg=view,
    )
    return page.locator(view)


def docked_label(page):
    return page.locator(".prediction:visible .headline:not([aria-busy]) .label")


def test_the_pad_stays_beside_inside_and_is_followed(inside):
    page = inside()
    expect(docked_label(page)).to_have_text("3")
    page.keyboard.press("7")
    expect(docked_label(page)).to_have_text("7")
    expect(current(page, "#network").locator(".class.best span")).to_have_text("7")
    open_section(page, "Attribution")
    expect(current(page, "#attribution").locator("h3").first).to_contain_text("7 predicted")


def test_a_cleared_pad_empties_everything_derived_from_it(inside):
    page = inside()
    page.get_by_role("button", name="Clear").click()
    expect(current(page, "#activation").locator(".empty")).to_contain_text("nothing to see")
    for section, view in (("Trace to the output", "#trace"), ("Attribution", "#attribution")):
        open_section(page, section)
        expect(current(page, view).locator(".empty")).to_contain_text("nothing to see")
    page.get_by_role("tab", name="Probabilities").click()
    for view in ("#predictions", "#softmax", "#centering"):
        expect(current(page, view).locator(".empty")).to_contain_text("nothing to see")


def test_a_view_of_an_older_input_is_dimmed_until_its_own_comes(inside):
    page = inside()
    page.evaluate("cnn.changed()")
    expect(page.locator("#activation [data-version]")).to_contain_class("stale")
    page.evaluate("cnn.settled()")
    current(page, "#activation")


def test_an_input_that_changes_while_an_older_one_is_answered_is_asked_about(inside):
    page = inside()
    page.evaluate(
        """() => new Promise((resolve) => {
            let count = 0;
            const timer = setInterval(() => {
                cnn.changed();
                cnn.settled();
                if (++count === 20) resolve(clearInterval(timer));
            }, 10);
        })"""
    )
    current(page, "#network")
    current(page, "#activation")


def test_another_network_changes_every_view(inside):
    page = inside()
    page.locator(".chooser:visible input").click()
    page.get_by_role("option", name="mnist-three-conv", exact=True).click()
    open_section(page, "Architecture")
    expect(current(page, "#architecture")).to_contain_text("dense_relu")
    open_section(page, "Layers")
    names = current(page, "#network").locator(".layer-head button[data-layer]")
    expect(names.last).not_to_have_text("norm1")


def test_a_photograph_is_docked_with_a_network_for_photographs(visit, photograph):
    page = visit(tab="Photo")
    visitor.give_photograph(page, photograph)
    expect(page.locator(".columns .note")).to_contain_text("300 x 200 pixels")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".input:visible .frame")).to_be_visible()
    expect(page.locator("#network .layer-head small").first).to_have_text("3 × 32 × 32")
    page.get_by_role("button", name="Drawing").click()
    expect(page.locator("canvas.pad")).to_be_visible()
    expect(page.locator("#network .layer-head small").first).to_have_text("1 × 28 × 28")


def test_pressing_a_layer_shows_all_its_maps_and_a_map_is_computed(inside):
    page = inside()
    page.locator(".layer-head button[data-layer=relu2]").click()
    expect(page.locator(".layer-maps h3")).to_contain_text("relu2: 64 maps of 14 × 14")
    expect(page.locator(".maps button")).to_have_count(64)
    page.locator(".maps button[data-map='5']").click()
    expect(page.locator(".maps button[aria-pressed=true]")).to_have_attribute("data-map", "5")
    expect(page.locator("#activation h3")).to_have_text("One number of map 5 of conv2")


def figures(page):
    """The numbers that the images of one activation show, by their captions."""
    return page.locator("#activation figcaption").all_text_contents()


def test_the_window_follows_the_pointer_and_the_network_computes_the_same(inside):
    page = inside()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#activation .plate").nth(3).hover(position={"x": 30, "y": 60})
    box = page.locator("#activation .plate").nth(3).bounding_box()
    row, column = int(60 / box["height"] * 28), int(30 / box["width"] * 28)
    expect(page.locator("#activation figcaption").nth(3)).to_contain_text(
        f"row {row}, column {column}"
    )
    network = ModelRegistry(BUNDLED).get("mnist-four-conv-norm").network
    values = dict(feature_maps(network, initial_subject().image))
    channel = int(page.locator(".maps button[aria-pressed=true]").get_attribute("data-map"))
    shown = [float(text.split()[-1].replace("\u2212", "-")) for text in figures(page)[3:]]
    for name, value, step in zip(
        ("conv1", "norm1", "relu1", "pool1"), shown, (1, 1, 1, 2), strict=True
    ):
        expected = values[name][channel, row // step, column // step].item()
        assert value == pytest.approx(expected, abs=0.01), name
    # the stream answers what was posted to queue/join, on opening the page
    assert not [url for url in asked if "/queue/data?" not in url]


def test_arrow_keys_move_the_window(inside):
    page = inside()
    page.locator("#activation .plate").nth(3).click(position={"x": 30, "y": 60})
    before = figures(page)[3]
    page.keyboard.press("ArrowRight")
    column = int(before.split("column ")[1].split(":")[0])
    expect(page.locator("#activation figcaption").nth(3)).to_contain_text(f"column {column + 1}")


def test_the_number_under_the_window_is_traced_to_the_output(inside):
    page = inside()
    page.locator("#activation .plate").nth(3).click(position={"x": 30, "y": 60})
    caption = figures(page)[3]
    open_section(page, "Trace to the output")
    trace = current(page, "#trace")
    expect(trace).to_contain_text("row " + caption.split("row ")[1].split(":")[0])
    expect(trace.locator("li").last).to_contain_text("softmax of all logits")


def test_the_section_is_in_the_address(inside):
    page = inside()
    open_section(page, "Filters")
    expect(page.locator("#filters img")).to_be_visible()
    assert "section=filters" in page.url
    page.go_back()
    expect(page.locator("#network")).to_be_visible()
    page.go_forward()
    page.reload()
    expect(page.get_by_role("button", name="Filters")).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("section", ["Layers", "Trace to the output", "Attribution", "Filters"])
def test_no_section_is_longer_than_two_and_a_half_screens(inside, section):
    page = inside()
    open_section(page, section)
    assert page.evaluate("document.documentElement.scrollHeight") <= 2000


def test_a_question_mark_explains_its_layer(inside):
    page = inside()
    page.get_by_role("button", name="What is ReLU?").first.click()
    expect(page.locator("#explain-ReLU")).to_be_visible()
    expect(page.locator("#explain-ReLU")).to_contain_text("max(0, x)")
    expect(page.locator("#explain-ReLU .example")).to_contain_text("of relu1, row")
    page.keyboard.press("Escape")
    expect(page.locator("#explain-ReLU")).to_be_hidden()


@pytest.mark.parametrize(
    "kind", ["convolution", "batch norm", "pooling", "dense", "logit", "softmax"]
)
def test_each_kind_of_layer_has_formula_graph_source_and_an_example_of_the_input(inside, kind):
    page = inside()
    page.get_by_role("button", name=f"What is {kind}?").first.click()
    explanation = page.locator(".explanation:popover-open")
    for part in (".formula", "svg", ".reference"):
        expect(explanation.locator(part)).to_be_visible()
    expect(explanation.locator(".example")).to_contain_text(re.compile(r"\d\.\d\d"))


def test_why_shows_three_methods_for_the_prediction_and_the_runner_up(visit):
    page = visit(reduced_motion="reduce")
    expect(docked_label(page)).to_have_text("3")
    page.locator(".why:visible").click()
    rows = current(page, "#attribution").locator(".attribution-row")
    expect(rows).to_have_count(2)
    for row in rows.all():
        expect(row.locator("figcaption")).to_have_text(
            ["What the network sees", "Grad-CAM", "Occlusion", "Integrated gradients"]
        )
    expect(page.locator(".decision")).to_contain_text("In distribution")


def test_the_second_class_can_be_chosen(inside):
    page = inside()
    open_section(page, "Attribution")
    current(page, "#attribution").locator("[data-class='8']").click()
    expect(page.locator("#attribution h3").last).to_contain_text("8 chosen")
    assert "class=8" in page.url


def test_back_returns_to_the_tab_and_the_layer_before(inside):
    page = inside()
    page.locator(".layer-head button[data-layer=relu2]").click()
    expect(page.locator(".layer-maps h3")).to_contain_text("relu2")
    page.locator(".layer-head button[data-layer=relu3]").click()
    expect(page.locator(".layer-maps h3")).to_contain_text("relu3")
    page.go_back()
    expect(page.locator(".layer-maps h3")).to_contain_text("relu2")
    page.get_by_role("tab", name="Probabilities").click()
    expect(page.locator("#predictions table")).to_be_visible()
    page.go_back()
    expect(page.locator("#network")).to_be_visible()


@needs_data
def test_the_test_images_that_activate_the_filter_most_are_shown(inside):
    page = inside()
    open_section(page, "Filters")
    expect(page.locator("#top-activations img")).to_be_visible(timeout=60_000)


@pytest.mark.skipif(FOUND, reason="the test images are there")
def test_without_test_images_it_says_so(inside):
    page = inside()
    open_section(page, "Filters")
    expect(page.locator("#top-activations")).to_contain_text("not on this machine")


def test_every_image_is_described(inside):
    page = inside()
    open_section(page, "Attribution")
    current(page, "#attribution")
    for image in page.locator(".inside:visible img").all():
        assert len(image.get_attribute("alt")) > 5


@pytest.mark.parametrize("tab", ["Inside", "Probabilities"])
@pytest.mark.parametrize("width", [320, 390, 640, 960, 1280])
def test_nothing_reaches_over_the_side_of_the_screen(visit, tab, width):
    page = visit(tab=tab, width=width)
    expect(page.locator(".derived [data-version]").locator("visible=true").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bars = page.locator(".prediction:visible .track").all()
    assert all(bar.bounding_box()["width"] >= 80 for bar in bars)


def test_a_tab_that_nobody_looks_at_asks_the_server_nothing(visit):
    asked = []
    page = visit()
    expect(docked_label(page)).to_have_text("3")
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("1")
    expect(docked_label(page)).to_have_text("1")
    assert not [url for url in asked if "queue/join" in url]


def test_the_first_maps_stand_under_the_pad_and_follow_it(visit):
    page = visit(reduced_motion="reduce")
    maps = page.locator(".strip:visible canvas")
    expect(maps).to_have_count(4)
    before = maps.first.evaluate("map => map.toDataURL()")
    page.keyboard.press("7")
    page.wait_for_function(
        "before => document.querySelector('.strip canvas').toDataURL() !== before", arg=before
    )


def test_every_network_has_a_row_and_the_last_is_their_mean(visit):
    page = visit(tab="Probabilities")
    rows = page.locator("#predictions tbody tr")
    expect(rows.last).to_contain_text("mean of all")
    assert all(row.locator("td").count() == 10 for row in rows.all())


def test_a_row_that_is_pressed_makes_its_network_the_pages(visit):
    page = visit(tab="Probabilities")
    page.locator("#predictions").get_by_role("button", name="mnist-three-conv", exact=True).click()
    pressed = page.locator("#predictions button[aria-pressed=true]")
    expect(pressed).to_have_text("mnist-three-conv")
    expect(page.locator(".chooser:visible input")).to_have_value("mnist-three-conv")


def test_a_row_that_is_pressed_predicts_the_photograph_too(visit, photograph):
    page = visit(tab="Photo")
    visitor.give_photograph(page, photograph)
    expect(page.locator(".columns .note")).to_contain_text("300 x 200 pixels")
    page.get_by_role("tab", name="Probabilities").click()
    table = current(page, "#predictions")
    table.get_by_role("button", name="cifar10-two-conv", exact=True).click()
    expect(page.locator(".chooser:visible input")).to_have_value("cifar10-two-conv")
    expect(current(page, "#predictions").locator("[aria-pressed=true]")).to_have_text(
        "cifar10-two-conv"
    )


def percent(text):
    return float(text.removeprefix(">").split()[0])


def test_a_higher_temperature_makes_the_best_class_less_probable(visit):
    page = visit(tab="Probabilities")
    best = page.locator(".by-hand .best td").last
    before = best.text_content()
    page.get_by_label("number input for Temperature").fill("10")
    expect(best).not_to_have_text(before)
    assert percent(best.text_content()) < percent(before)
    expect(page.locator("#softmax [data-version]")).not_to_have_class("stale")


def test_a_drawing_is_shown_on_its_way_to_the_middle(visit):
    page = visit(tab="Probabilities")
    expect(page.locator(".quartet img")).to_have_count(4)
    expect(page.locator("#centering tbody th")).to_have_text(["as drawn", "centred"])


def test_the_arrow_keys_move_between_tabs(visit):
    page = visit()
    page.get_by_role("tab", name="Draw").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Photo", selected=True)).to_be_focused()
