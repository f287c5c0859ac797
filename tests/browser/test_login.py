"""Signing in, in a real browser, at a provider on loopback: who sees what, and which tokens are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from explain.dashboard.examples import EXAMPLES, FIRST
from explain.dashboard.pages import PAGES
from tests.browser.harness import dashboard, free_port, settle
from tests.provider import CLIENT, FAULTS, SECRET, Provider, provider

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def who() -> Iterator[Provider]:
    """Who signs in next, and with which faults."""
    with provider() as found:
        yield found


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server prints."""
    return tmp_path_factory.mktemp("login") / "log"


@pytest.fixture(scope="module")
def address(who: Provider, log: Path) -> Iterator[str]:
    """A dashboard with a login; `page` looks at it."""
    port = free_port()
    given = {
        "METADATA_URL": who.metadata_url,
        "CLIENT_ID": CLIENT,
        "CLIENT_SECRET": SECRET,
        "REDIRECT_URI": f"http://localhost:{port}/oauth2callback",
        "ROLES_CLAIM": "groups",
        "ROLES": "readers=viewer,makers=analyst,checkers=auditor,owners=admin",
    }
    env = {f"EXPLAIN_LOGIN_{name}": value for name, value in given.items()} | {"EXPLAIN_HOME": str(log.parent / "home")}
    with dashboard(port, log, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", **env) as found:
        yield found


def sign_in(page: Page, address: str) -> None:
    """Press the button, and come back from the provider."""
    page.goto(address)
    with page.expect_response(lambda answer: "/oauth2callback" in answer.url):
        page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{address}/")
    quiet(page)


def quiet(page: Page) -> None:
    """Wait until the page stands still, whatever is on it."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_selector(".stMarkdown, .wb-brand")
    page.wait_for_timeout(400)


def signed_out(page: Page) -> None:
    """Nothing is there but the page that asks."""
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert [b.inner_text() for b in page.get_by_role("button").all() if b.is_visible()] == ["Sign in"]
    assert page.locator("textarea, iframe, .word, .wb-verdict, .js-plotly-plot, [data-testid=stDataFrame]").count() == 0
    assert page.locator("[data-testid=stSidebarNav]").count() == 0


def test_signed_out_there_is_a_sign_in_page_and_nothing_else(page: Page, address: str) -> None:
    heard: list[bytes] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: heard.append(frame if isinstance(frame, bytes) else frame.encode()))

    page.on("websocket", listen)
    record = "evidence?record=01940000-0000-7000-8000-000000000000"
    for path in ("", *(p.path for p in PAGES[1:]), record, "?actor=eve"):
        page.goto(f"{address}/{path}")
        quiet(page)
        signed_out(page)
        expect(page.get_by_text("127.0.0.1 asks who you are")).to_be_visible()
    said = b"".join(heard)
    assert b"Sign in" in said
    for word in (
        *EXAMPLES[FIRST].split(),
        "POSITIVE",
        "sentiment",
        "integrated_gradients",
        "Attention",
        "evidence_page",
    ):
        if len(word) > 5:
            assert word.encode() not in said, word
    for path in ("viz/x", "media/x.json", "_stcore/metrics", "_stcore/upload_file/a/b", "_stcore/anything/new"):
        assert page.request.get(f"{address}/{path}").status == 401


def test_a_viewer_cannot_explain(page: Page, address: str, who: Provider) -> None:
    who.person("vera", "readers")
    sign_in(page, address)
    settle(page)
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("takes the role analyst, and yours is viewer")
    expect(page.get_by_role("button", name="Explain", exact=True)).to_be_disabled()
    assert page.locator(".word, .wb-verdict").count() == 0
    expect(page.locator("[data-testid=stSidebarNav]")).not_to_contain_text("Evidence")
    for path in ("attention", "inside"):
        page.goto(f"{address}/{path}")
        settle(page)
        expect(page.locator("[data-testid=stAlert]")).to_contain_text("takes the role analyst")
    assert page.request.get(f"{address}/_stcore/metrics").status == 403


def test_an_analyst_explains_and_files_and_an_auditor_reads(
    page: Page, browser: Browser, address: str, who: Provider
) -> None:
    who.person("ann", "makers")
    sign_in(page, address)
    settle(page)
    expect(page.locator(".wb-verdict h2")).to_contain_text("POSITIVE")
    expect(page.locator("[data-testid=stSidebar]")).to_contain_text("ann@example.org · analyst")
    page.get_by_text("Save as evidence").click()
    expect(page.get_by_label("Signed in as")).to_have_value("ann@example.org")
    page.get_by_role("textbox", name="Case").fill("4711")
    page.get_by_role("button", name="File", exact=True).click()
    expect(page.get_by_text("FILED as record 1").first).to_be_visible()
    expect(page.get_by_text("Open the page Evidence")).to_have_count(0)
    tab = page.context.new_page()  # unwatched: Streamlit says on the console that there is no such page for them
    tab.goto(f"{address}/evidence")
    settle(tab)
    assert tab.locator("[data-testid=stDataFrame]").count() == 0
    assert "4711" not in tab.inner_text("body")
    tab.close()

    who.person("otto", "checkers")
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    other = context.new_page()
    sign_in(other, address)
    settle(other)
    expect(other.locator("[data-testid=stAlert]")).to_contain_text("takes the role analyst, and yours is auditor")
    other.locator("[data-testid=stSidebarNav]").get_by_text("Evidence").click()
    other.wait_for_selector("[data-testid=stDataFrame]")
    quiet(other)
    grid = other.locator("[data-testid=stDataFrame]").bounding_box()
    assert grid is not None
    other.mouse.click(grid["x"] + 14, grid["y"] + 54)  # the mark of the first row
    expect(other.get_by_text("Record 1", exact=True)).to_be_visible()
    report = other.frame_locator("iframe").first
    expect(report.locator("body")).to_contain_text("ann@example.org")
    expect(report.locator("body")).to_contain_text("OpenID Connect")
    place = other.locator("iframe").first.get_attribute("src")
    assert place is not None
    assert other.request.get(f"{address}{place}").status == 200
    assert other.get_by_role("button", name="Erase for good").count() == 0
    assert other.get_by_text("Keep or erase").count() == 0
    with browser.new_context() as stranger:
        assert stranger.request.get(f"{address}{place}").status == 401, "an address alone opens no record"
    context.close()


def test_the_login_opens_no_address_of_rest(page: Page, address: str, who: Provider) -> None:
    who.person("olga", "owners")
    sign_in(page, address)
    settle(page)
    assert page.request.get(f"{address}/api/v2/health/live").status == 200
    for path in ("v1/models", "metrics", "v1/jobs"):
        answer = page.request.get(f"{address}/api/{path}")
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized")
    answer = page.request.post(f"{address}/api/v1/explain", data={"inputs": "A good film."})
    assert answer.status == 401
    assert page.request.get(f"{address}/_stcore/metrics").status == 200, "an admin's page is"


def test_who_signs_out_is_out_in_every_tab_and_with_every_cookie(page: Page, address: str, who: Provider) -> None:
    who.person("ann", "makers")
    sign_in(page, address)
    settle(page)
    tab = page.context.new_page()
    tab.goto(address)
    settle(tab)
    kept = page.context.cookies()
    before = who.signed_out
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert who.signed_out == before + 1, "the provider was told"
    assert not [c for c in page.context.cookies() if c["name"].startswith("_streamlit_user")]
    tab.get_by_role("button", name="Explain", exact=True).click()
    expect(tab.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    page.context.add_cookies(kept)  # type: ignore[arg-type]
    page.goto(address)
    quiet(page)
    signed_out(page)
    tab.close()


def test_only_a_cookie_that_was_signed_here_names_anybody(page: Page, address: str, who: Provider) -> None:
    who.person("vera", "readers")
    sign_in(page, address)
    cookie = next(c for c in page.context.cookies() if c["name"] == "_streamlit_user")
    assert cookie["httpOnly"]
    value = cookie["value"]
    for forged in (value[:-2], f"{value[:-2]}AA", value[1:], "e30.e30.e30", ""):
        page.context.clear_cookies(name="_streamlit_user")
        if forged:
            page.context.add_cookies([{**cookie, "value": forged}])  # type: ignore[list-item]
        page.goto(address)
        quiet(page)
        signed_out(page)
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.set_extra_http_headers(
        {"X-Forwarded-User": "olga", "X-Streamlit-User": "olga", "X-Forwarded-Email": "o@x.org"}
    )
    page.goto(f"{address}/?actor=olga&groups=owners&role=admin")
    settle(page)
    expect(page.locator("[data-testid=stSidebar]")).to_contain_text("vera@example.org · viewer")


def test_without_a_role_there_is_nothing_to_see(page: Page, address: str, who: Provider) -> None:
    who.person("nora", "strangers")
    sign_in(page, address)
    expect(page.get_by_text("nobody has given you a role here")).to_be_visible()
    assert page.locator("textarea, .word, [data-testid=stSidebarNav]").count() == 0
    assert page.request.get(f"{address}/viz/x").status == 403
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_is_not_right_lets_nobody_in(page: Page, address: str, who: Provider, fault: str) -> None:
    who.person("olga", "owners")
    who.fault = fault
    sign_in(page, address)
    signed_out(page)
    assert page.request.get(f"{address}/_stcore/metrics").status == 401


def test_no_secret_is_in_the_log(address: str, who: Provider, log: Path) -> None:
    """The last of this file: codes, tokens and the client's secret of all sign-ins above."""
    said = log.read_text("utf-8", "replace")
    assert len(who.issued) > 20, "a code and two tokens a sign-in, of all tests above, in one process"
    assert said, "the server said something"
    for secret in (SECRET, *who.issued):
        assert secret not in said
    assert EXAMPLES[FIRST] not in said
