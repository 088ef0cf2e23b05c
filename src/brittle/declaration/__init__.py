"""The trial as one writes it, and what it declares before it runs."""
