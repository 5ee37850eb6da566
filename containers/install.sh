#!/bin/sh
# What both images get on Debian: system packages, and the hash-pinned environment of `make setup`.
set -eu
cd "$(dirname "$0")/.."

export DEBIAN_FRONTEND=noninteractive UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  ca-certificates git make openssh-client python3 python3-venv
rm -rf /var/lib/apt/lists/*

make setup
# Records name the commit, whoever runs the container.
git config --system --add safe.directory "$PWD"
