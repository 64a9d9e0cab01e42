"""Scripts, one an application: `python -m experiments` lists them."""

import os

# TensorFlow reads these when it is imported, so they have to be set before any experiment's own imports, and without
# importing kerasapps, whose builders import it.
if os.environ.get("KERASAPPS_DEBUG") != "1":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
