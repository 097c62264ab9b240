# Sourced by demo.sh, run.sh and shell.sh: where the state lies, and which creator is used.
# You can source it yourself:  . docs/examples/env.sh

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH="$checkout/.venv/bin:$PATH"
export CONTENTHUBD_STATE_DIR=${CONTENTHUBD_STATE_DIR:-$checkout/.state}
export CONTENTHUBD_SOCKET=${CONTENTHUBD_SOCKET:-$CONTENTHUBD_STATE_DIR/control.sock}

require_absolute_state_dir() {
  if [[ $CONTENTHUBD_STATE_DIR != /* ]]; then
    echo "The state directory $CONTENTHUBD_STATE_DIR is not an absolute path." >&2
    echo "Set CONTENTHUBD_STATE_DIR to one, such as $PWD/$CONTENTHUBD_STATE_DIR." >&2
    exit 2
  fi
}

make_state_dir() {
  require_absolute_state_dir
  if ! mkdir -p "$CONTENTHUBD_STATE_DIR" || [[ ! -w $CONTENTHUBD_STATE_DIR ]]; then
    echo "The state directory $CONTENTHUBD_STATE_DIR cannot be written." >&2
    echo "Make it writable for $(id -un), or name another with CONTENTHUBD_STATE_DIR (an absolute path)." >&2
    exit 1
  fi
}

# A content-creator is configured if any of these says so; otherwise the bundled simulator stands in.
creator_is_configured() {
  [[ -n ${CONTENTHUBD_CREATOR__COMMAND:-} || -n ${CREATOR_CLI_PATH:-} || -n ${CONTENTHUBD_CONFIG:-} ||
    -e ${XDG_CONFIG_HOME:-$HOME/.config}/contenthubd/config.toml || -e /etc/contenthubd/config.toml ]]
}

using_simulator=
if ! creator_is_configured; then
  using_simulator=yes
  export CONTENTHUBD_CREATOR__COMMAND='["content-creator-simulator"]'
  export CONTENTHUBD_CREATOR__WORKER_COMMAND='["content-creator-simulator", "worker"]'
  export CONTENTHUBD_CREATOR__ENV_FILE="$checkout/docs/examples/simulator.env"
  # The simulator writes an article in half a second; looking every 30 s suits a creator that needs minutes.
  export CONTENTHUBD_TASKS__POLL_INTERVAL_SECONDS=${CONTENTHUBD_TASKS__POLL_INTERVAL_SECONDS:-1}
fi
