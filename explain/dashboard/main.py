"""Frame: how all pages look, and what they remember for each other; `pages` says which there are."""

import streamlit as st

from explain import bundled
from explain.dashboard import pages, signing
from explain.dashboard.choices import PREFIX

KEPT = (
    *("text", "model", "pair", "beside", "target", "contrast", "quantity", "granularity", "fixed"),
    *("phrases", "rationale", "heads_by", "ablation", "map_by", "map_specials", "map_norms", "masked", "combine"),
    *("bertviz_view", "inside_layer", "inside_head", "further", "actor", "masking"),
    *("labels", "template", "apart", "followed", "instead", "form"),
)

st.set_page_config(page_title="Whyboard", page_icon=str(bundled.shipped("assets") / "logo.svg"), layout="centered")
st.html(f"<style>{(bundled.shipped('assets') / 'theme.css').read_text('utf-8')}</style>")
st.html(
    '<header class="wb-brand"><span>Whyboard</span><p>See what a Transformer decided, and why.</p></header>',
)
page = pages.current()
signing.bar()
# Streamlit forgets what a person typed before another page runs; or it still has it, but for the other page's widget,
# and the new one would begin empty. Only then is a value set anew: it would overwrite what is being typed.
kept = st.session_state.setdefault("kept", {})
turned = st.session_state.get("page") != page.url_path
st.session_state.page = page.url_path
known = {*KEPT, *(key for key in (*map(str, st.session_state), *kept) if key.startswith(PREFIX))}
for key in known:
    if key in st.session_state and turned:
        st.session_state[key] = st.session_state[key]
    elif key not in st.session_state and key in kept:
        st.session_state[key] = kept[key]
try:
    page.run()
finally:  # a page may stop early
    kept.update({key: st.session_state[key] for key in known if key in st.session_state})
