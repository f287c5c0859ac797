"""Does the service keep its promises under more work than it can do? See `__main__`."""
