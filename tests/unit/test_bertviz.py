"""BertViz behind our adapter: what is in the document, and how the frame around it is shut off."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from html.parser import HTMLParser
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from explain.dashboard import frames
from explain.errors import ExplainError, InputError
from explain.guard import PAGE_POLICY, AllowedHosts, Headers
from explain.render import bertviz
from tests.conftest import finish

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "assets" / "vendor"
HOSTILE = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "&amp;\u2028\u2029", "\u202e", "'\"\\", "{x}", "好"]
NPM = {  # of npm's d3@5.16.0 and jquery@3.7.1, downloaded and hashed apart from what is stored here
    "d3.min.js": "5dbe924b3847df010f0b8572dd6ef42ea87d6370eeff72b13ea236247412a53c",
    "jquery.min.js": "fc9a93dd241f6b045cbff0481cf4e1901becd0e12fb45166a8f17f95823f0b1a",
}
views = pytest.mark.parametrize("view", get_args(bertviz.View))


class Elements(HTMLParser):
    """The document as a browser reads it: elements with their attributes, and the text of each script."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts[-1] += data


def attention(layers: int, heads: int, count: int) -> np.ndarray:
    """Rows that sum to 1, as a softmax makes them."""
    raw = np.random.default_rng(0).gumbel(size=(layers, heads, count, count)).astype(np.float32)
    return np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)


def parameters(document: str) -> dict:
    return json.loads(Elements(document).scripts[0])


def test_vendored_files_are_those_of_npm() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text("utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    stored = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in VENDOR.iterdir() if p.name != "SHA256SUMS"}
    assert listed == stored
    assert stored.items() >= NPM.items()
    assert "Mike Bostock" in (VENDOR / "d3.LICENSE").read_text("utf-8")
    assert "OpenJS Foundation" in (VENDOR / "jquery.LICENSE").read_text("utf-8")


@views
def test_tokens_are_data_and_nothing_else(view: bertviz.View) -> None:
    weights = attention(2, 3, len(HOSTILE))
    document = bertviz.document(view, weights, HOSTILE, 1)
    read = Elements(document)
    plain = Elements(bertviz.document(view, weights, ["a"] * len(HOSTILE), 1))
    assert read.found == plain.found, "no token makes an element"
    assert read.scripts[1:] == plain.scripts[1:], "no token reaches a script that runs"
    shown = parameters(document)
    (drawn,) = shown["attention"]
    shown_as = [token.replace("\u202e", "[U+202E]") for token in HOSTILE]
    assert drawn["left_text"] == drawn["right_text"] == shown_as
    assert np.abs(np.array(drawn["attn"]) - weights).max() <= 5.1e-5
    assert shown["layer"] == 1


@given(some.text())
def test_escaped_json_ends_no_script_and_reads_back(text: str) -> None:
    written = bertviz.escaped({"a": [text]})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"a": [text]}


@views
def test_the_data_is_there_once_and_rounded(view: bertviz.View) -> None:
    weights = attention(2, 2, 5)
    weights[1, 1, 4, 3] = 0.98764321
    document = bertviz.document(view, weights, list("abcde"))
    assert document.count("0.9876") == 1
    assert "0.98764" not in document
    assert document.count("JSON.parse(document.getElementById('data')") == 1


@views
def test_nothing_is_loaded_from_anywhere(view: bertviz.View) -> None:
    document = bertviz.document(view, attention(1, 1, 3), list("abc"))
    read = Elements(document)
    assert [tag for tag, _ in read.found].count("script") == len(read.scripts) == 5
    assert not any({"src", "href", "data", "action"} & set(attributes) for _, attributes in read.found)
    policy = [a["content"] for tag, a in read.found if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"]
    assert "cloudflare" not in document
    assert "@import" not in document
    assert "<!--" not in document, "with a script behind it, it would hide the end of ours"


@views
def test_long_texts_are_refused_with_a_sentence(view: bertviz.View) -> None:
    longest = {"head view": 128, "model view": 48}[view]
    bertviz.require_short(view, longest)
    with pytest.raises(InputError, match=f"up to {longest} tokens, and this one has {longest + 1}"):
        bertviz.document(view, np.zeros((1, 1, longest + 1, longest + 1)), ["a"] * (longest + 1))


@pytest.mark.parametrize(("view", "count", "most"), [("head view", 128, 9_000_000), ("model view", 48, 1_800_000)])
def test_the_longest_text_of_the_bundled_model_is_shown_whole_and_stays_small(view, count, most) -> None:  # type: ignore[no-untyped-def]
    assert bertviz.layers(view, (6, 12, count), 3) == range(6)
    assert len(bertviz.document(view, attention(6, 12, count), ["token"] * count)) < most


@given(
    some.sampled_from(get_args(bertviz.View)),
    some.integers(1, 96), some.integers(1, 64), some.integers(1, 48), some.data(),
)  # fmt: skip
def test_deep_models_show_the_layers_around(view, depth, heads, count, data) -> None:  # type: ignore[no-untyped-def]
    around = data.draw(some.integers(0, depth - 1))
    found = bertviz.layers(view, (depth, heads, count), around)
    assert around in found
    assert found.start >= 0
    assert found.stop <= depth
    assert len(found) == 1 or len(found) * heads * count**2 <= bertviz.MOST[view]
    assert len(found) == depth or (len(found) + 1) * heads * count**2 > bertviz.MOST[view]
    said = bertviz.about(view, (depth, heads, count), around)
    assert (f"Layers {found[0]} to {found[-1]} of 0 to {depth - 1}" in said) == (len(found) < depth)


def test_only_shown_layers_are_in_the_document() -> None:
    weights = attention(24, 16, 48)
    found = parameters(bertviz.document("model view", weights, ["a"] * 48, 20))
    assert found["include_layers"] == [18, 19, 20, 21]
    assert np.allclose(found["attention"][0]["attn"], weights[18:22], atol=1e-4)


def test_bertviz_is_read_but_never_imported() -> None:
    code = (
        "import sys, numpy; from explain.render import bertviz;"
        "bertviz.document('head view', numpy.ones((1, 1, 1, 1)), ['a']);"
        "print({'torch', 'bertviz', 'IPython', 'streamlit'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("change", [("require.config(", "load("), ("= PYTHON_PARAMS;", "= params();")])
def test_a_bertviz_that_we_do_not_know_is_refused(
    change: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("bertviz")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).with_name("head_view.js").read_text("utf-8")
    (tmp_path / "head_view.js").write_text(script.replace(*change), "utf-8")
    other = ModuleSpec("bertviz", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(bertviz, "find_spec", lambda _: other)
    with pytest.raises(ExplainError, match="not the version"):
        bertviz.document("head view", attention(1, 1, 2), ["a", "b"])
    monkeypatch.setattr(bertviz, "find_spec", lambda _: None)
    with pytest.raises(ExplainError, match="pip install bertviz"):
        bertviz.document("head view", attention(1, 1, 2), ["a", "b"])


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[frames.route], middleware=[Middleware(Headers, policy=PAGE_POLICY), Middleware(AllowedHosts)]
    )
    return TestClient(app, headers={"host": "localhost:8501"})


def test_a_document_is_shut_off(client: TestClient) -> None:
    address = frames.place("a test", lambda: "<p>shown</p>")
    found = client.get(address)
    assert found.text == "<p>shown</p>"
    (own,) = found.headers.get_list("content-security-policy")
    rules = own.split("; ")
    assert rules[0] == "sandbox allow-scripts", "and not allow-same-origin, popups, forms or top navigation"
    assert {"default-src 'none'", "frame-ancestors 'self'"} <= set(rules)
    assert "frame-src 'self'" in PAGE_POLICY.split("; "), "so that no frame of a page goes anywhere else"
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-type"] == "text/html; charset=utf-8"


def test_only_this_machine_gets_one(client: TestClient) -> None:
    address = frames.place("a test", lambda: "<p>shown</p>")
    assert client.get(address, headers={"host": "evil.example:8501"}).status_code == 400
    assert client.get(address, headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("key", ["x", "0" * 40, "..%2f..%2fapp.py", "<script>alert(1)</script>"])
def test_other_addresses_hold_nothing(client: TestClient, key: str) -> None:
    found = client.get(f"/viz/{key}")
    assert found.status_code == 404
    assert "alert" not in found.text


def test_addresses_are_long_stable_and_say_nothing() -> None:
    one, two = frames.place("name one", lambda: "1"), frames.place("name two", lambda: "2")
    assert one != two
    assert len(one) == len("/viz/") + 40, "160 bits of a keyed hash"
    assert frames.place("name one", lambda: pytest.fail("built again")) == one
    assert hashlib.blake2b(b"name one", digest_size=20).hexdigest() not in one, "the key is this process's secret"


def test_few_are_kept_and_the_oldest_is_made_again(client: TestClient) -> None:
    first = frames.place("first", lambda: "first")
    for i in range(frames.KEPT):
        frames.place(f"later {i}", lambda: "later")
    assert client.get(first).status_code == 404
    assert len(frames._documents) == frames.KEPT
    assert frames.place("first", lambda: "again") == first
    assert client.get(first).text == "again"


def test_documents_are_kept_as_they_are_sent(client: TestClient) -> None:
    address = frames.place("wide", lambda: "a" * 10**6 + "\U0001f600\ud800")
    assert sys.getsizeof(frames._documents[address.removeprefix("/viz/")].data) < 2 * 10**6
    assert client.get(address).text.endswith("a\U0001f600?")


@pytest.fixture
def attention_page(app: AppTest) -> AppTest:
    """The Attention page with BertViz open."""
    finish(app)
    app.session_state["bertviz"] = True
    app.switch_page("screens/attention_page.py").run()
    return app


def frame(app: AppTest) -> str:
    """Address of the page's frame."""
    (found,) = app.get("iframe")
    return str(found.proto.src)


def test_the_page_shows_both_views(attention_page: AppTest, client: TestClient) -> None:
    assert not attention_page.exception
    one = client.get(frame(attention_page)).text
    assert "<title>BertViz head view</title>" in one
    shown = parameters(one)
    assert np.shape(shown["attention"][0]["attn"])[:2] == (2, 4)
    assert np.allclose(np.sum(shown["attention"][0]["attn"], axis=-1), 1, atol=2e-3)
    assert attention_page.session_state["open_head"][0] == shown["layer"]
    attention_page.segmented_control(key="bertviz_view").set_value("model view").run()
    assert "<title>BertViz model view</title>" in client.get(frame(attention_page)).text
    assert any("Click a head to enlarge it" in c.value for c in attention_page.caption)


def test_the_page_builds_nothing_before_it_is_opened(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "place", lambda *_: pytest.fail("built"))
    finish(app)
    app.switch_page("screens/attention_page.py").run()
    assert not app.exception
    assert not app.get("iframe")


def test_the_page_says_why_a_long_text_has_no_view(attention_page: AppTest) -> None:
    attention_page.segmented_control(key="bertviz_view").set_value("model view")
    attention_page.text_area(key="text").set_value("good film " * 30).run()
    assert not attention_page.exception
    assert not attention_page.get("iframe")
    assert any("up to 48 tokens" in w.value for w in attention_page.warning)


def test_hidden_words_are_never_drawn_with_the_whole_texts_attention(attention_page: AppTest) -> None:
    before = list(frames._documents)
    attention_page.multiselect(key="masked").set_value([1]).run()
    assert not attention_page.exception
    assert any("hidden words" in i.value for i in attention_page.info)
    assert list(frames._documents) == before
