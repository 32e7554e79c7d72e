#!/bin/sh
# What the tests of this folder need, on a fresh Debian with Node 20: Chromium, and the packages
# that runtime/js names. Run as root, or where Chromium is installed already.
set -eu
cd "$(dirname "$0")/../../runtime/js"
if ! command -v chromium >/dev/null && [ -z "${RNVP_CHROMIUM:-}" ]; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
fi
# onnxruntime-node carries its CPU library; without this it would fetch a GPU one as well.
ONNXRUNTIME_NODE_INSTALL=skip npm install --no-package-lock --no-audit --no-fund
