"""Refusals are sentences, in a real browser."""

import json

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

IN_TIME = {"timeout": 60_000}  # milliseconds, on a machine that does much else


def test_there_is_no_stop_button_without_a_run(visit):
    page = visit(tab="Train")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop and keep")).to_be_hidden()


@pytest.mark.parametrize("tab", ["Draw", "Photo"])
def test_choosing_a_network_that_is_gone_is_an_error(visit, tab):
    page = visit(tab=tab)

    def goes(route):
        sent = json.loads(route.request.post_data)
        sent["data"][-1] = "gone"
        route.continue_(post_data=json.dumps(sent))

    page.locator(".chooser input:visible").click()
    page.route("**/queue/join*", goes)
    page.get_by_role("option").nth(1).click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("gone", **IN_TIME)


def test_a_temperature_out_of_range_is_an_error(visit):
    page = visit(tab="Probabilities")
    expect(page.locator("#predictions td").first).to_be_visible(**IN_TIME)
    page.get_by_label("number input for Temperature").fill("50")
    expect(page.get_by_test_id("toast-text")).to_contain_text("50", **IN_TIME)


def test_a_full_queue_is_an_error_and_the_next_request_is_answered(visit):
    page = visit(tab="Photo")
    example = page.locator("#examples button").first
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "full"}))
    example.click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("currently busy", **IN_TIME)
    page.unroute("**/queue/join*")
    example.click()
    expect(page.locator(".prediction:visible .headline")).to_contain_text("%", **IN_TIME)
