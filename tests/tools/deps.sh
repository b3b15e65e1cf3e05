#!/bin/sh
# Installs the Debian packages named in $DEBS that are missing; elsewhere prints them.
# SPDX-License-Identifier: MIT
set -eu
if ! command -v apt-get >/dev/null 2>&1; then
    echo "install these (Debian names) with your package manager:"
    echo "  $DEBS"
    exit 0
fi
missing=
for p in $DEBS; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
    echo "everything needed is installed"
    exit 0
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
fi
$sudo apt-get update -qq
# shellcheck disable=SC2086  # a list of package names
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
