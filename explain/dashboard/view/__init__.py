"""Browser components and the Python that mounts them."""
