#!/bin/sh
# What the tests of this folder need, on a fresh Debian with Node 20: Chromium, nginx, and the packages
# that runtime/js names. Run as root, or where both programs are installed already.
set -eu
cd "$(dirname "$0")/../../runtime/js"
install() {
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
}
command -v chromium >/dev/null || [ -n "${RNVP_CHROMIUM:-}" ] || install chromium
# It is not started: the tests run it with a configuration of their own.
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || install nginx-light
# onnxruntime-node carries its CPU library; without this it would fetch a GPU one as well.
ONNXRUNTIME_NODE_INSTALL=skip npm install --no-package-lock --no-audit --no-fund
