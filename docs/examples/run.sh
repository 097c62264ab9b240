#!/usr/bin/env bash
# `make run`: the daemon in the foreground, on the state directory of this checkout.
set -euo pipefail
. "$(dirname "$0")/env.sh"

make_state_dir
if [[ -n $using_simulator ]]; then
  echo 'No content-creator is configured: the bundled simulator writes the articles.'
fi
echo "State: $CONTENTHUBD_STATE_DIR. In a second terminal run 'make shell', then for example: contenthubctl health"
exec contenthubd
