"""The checks before a deploy creates resources, one module per topic; `preflight.py` lists them."""
