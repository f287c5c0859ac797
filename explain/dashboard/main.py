"""Navigation and frame: which pages there are, and how they all look."""

from pathlib import Path

import streamlit as st

from explain import bundled

PAGES = Path(__file__).resolve().parent / "screens"
"""Not `pages`: Streamlit takes a folder of that name beside the script for an older kind of navigation."""
KEPT = (
    *("text", "model", "pair", "beside", "target", "contrast", "quantity", "granularity", "fixed"),
    *("phrases", "rationale", "heads_by", "ablation", "map_by", "map_specials", "map_norms", "masked", "combine"),
    *("bertviz_view", "inside_layer", "inside_head", "further", "actor", "masking"),
    *("labels", "template", "apart", "followed", "instead"),
)

st.set_page_config(page_title="Whyboard", page_icon=str(bundled.shipped("assets") / "logo.svg"), layout="centered")
st.html(f"<style>{(bundled.shipped('assets') / 'theme.css').read_text('utf-8')}</style>")
st.html(
    '<header class="wb-brand"><span>Whyboard</span><p>See what a Transformer decided, and why.</p></header>',
)
page = st.navigation(
    [
        st.Page(PAGES / "explain_page.py", title="Explain", url_path="explain", default=True),
        st.Page(PAGES / "attention_page.py", title="Attention", url_path="attention"),
        st.Page(PAGES / "inside_page.py", title="Inside", url_path="inside"),
        st.Page(PAGES / "evidence_page.py", title="Evidence", url_path="evidence"),
    ]
)
# Streamlit forgets what a person typed before another page runs; or it still has it, but for the other page's widget,
# and the new one would begin empty. Only then is a value set anew: it would overwrite what is being typed.
kept = st.session_state.setdefault("kept", {})
turned = st.session_state.get("page") != page.url_path
st.session_state.page = page.url_path
for key in KEPT:
    if key in st.session_state and turned:
        st.session_state[key] = st.session_state[key]
    elif key not in st.session_state and key in kept:
        st.session_state[key] = kept[key]
try:
    page.run()
finally:  # a page may stop early
    kept.update({key: st.session_state[key] for key in KEPT if key in st.session_state})
