"""The recipe of the embedded model. Run its steps as modules; see ``training/README.md``."""
