#!/usr/bin/env bash
# `make shell`: your own shell, with contenthubctl on PATH and pointed at the daemon of `make run`.
set -euo pipefail
. "$(dirname "$0")/env.sh"

require_absolute_state_dir
echo "contenthubctl talks to $CONTENTHUBD_SOCKET here. Leave with 'exit'."
"${SHELL:-/bin/bash}" || true # it ends with the exit code of the last command typed there
