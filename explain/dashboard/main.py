"""Navigation and frame: which pages there are, and how they all look."""

from pathlib import Path

import streamlit as st

from explain import bundled

PAGES = Path(__file__).parent / "pages"

st.set_page_config(page_title="Whyboard", page_icon=str(bundled.shipped("assets") / "logo.svg"), layout="centered")
st.html(f"<style>{(bundled.shipped('assets') / 'theme.css').read_text('utf-8')}</style>")
st.html(
    '<header class="wb-brand"><span>Whyboard</span><p>See what a Transformer decided, and why.</p></header>',
)
st.navigation([st.Page(PAGES / "explain_page.py", title="Explain", url_path="explain", default=True)]).run()
