"""Whatever a visitor is refused, a sentence says so, in a real browser."""

import json

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

IN_TIME = {"timeout": 60_000}  # milliseconds, on a machine that does much else


def test_to_stop_what_was_not_begun_is_told(visit):
    page = visit(tab="Train")
    page.get_by_role("button", name="Stop and keep").click()
    expect(page.get_by_test_id("toast-text")).to_contain_text("Press Start first", **IN_TIME)


@pytest.mark.parametrize("tab", ["Draw", "Photo"])
def test_to_choose_a_network_that_has_gone_is_told(visit, tab):
    page = visit(tab=tab)

    def goes(route):
        sent = json.loads(route.request.post_data)
        sent["data"][-1] = "gone"
        route.continue_(post_data=json.dumps(sent))

    page.locator(".chooser input:visible").click()
    page.route("**/queue/join*", goes)
    page.get_by_role("option").nth(1).click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("gone", **IN_TIME)


def test_a_temperature_out_of_range_is_told(visit):
    page = visit(tab="Probabilities")
    expect(page.locator(".beliefs").first).to_be_visible(**IN_TIME)
    page.get_by_label("number input for Temperature").fill("50")
    expect(page.get_by_test_id("toast-text")).to_contain_text("50", **IN_TIME)


def test_a_page_with_too_many_waiting_says_so_and_answers_again_when_asked(visit):
    page = visit(tab="Photo")
    example = page.locator("#examples button").first
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "full"}))
    example.click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("currently busy", **IN_TIME)
    page.unroute("**/queue/join*")
    example.click()
    expect(page.locator(".bench .answer .share")).to_contain_text("%", **IN_TIME)
