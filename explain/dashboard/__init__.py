"""The dashboard: Streamlit on top of the service and the renderers. It never touches torch."""
