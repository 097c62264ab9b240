#!/usr/bin/env bash
# `make demo`: ten topics in, ten published articles out, with public commands only.
# Uses the daemon that already runs on this state directory, else starts one and stops it at the end.
# Exit code: that of the batch (0 when every article was published).
set -euo pipefail
here=$(dirname "$0")
. "$here/env.sh"

daemon_pid=
daemon_log=$CONTENTHUBD_STATE_DIR/demo.log

stop_daemon() {
  local code=$? pid=$daemon_pid
  daemon_pid=
  [[ -n $pid ]] || return 0
  if [[ $code == 130 ]]; then
    echo "The demo stops its daemon; what is unfinished goes on at the next 'make demo' or 'make run'." >&2
  fi
  kill -TERM "$pid" 2>/dev/null || return 0 # it has already ended; its log was shown
  wait "$pid" || echo "The daemon ended with an error; its log is $daemon_log" >&2
}

start_daemon() {
  contenthubd >>"$daemon_log" 2>&1 &
  daemon_pid=$!
  contenthubctl health --wait >/dev/null 2>&1 &
  local watcher=$! code=0
  wait -n -p ended "$daemon_pid" "$watcher" || code=$?
  if [[ $ended == "$watcher" && $code == 0 ]]; then
    return
  fi
  kill "$watcher" 2>/dev/null || true # it may have ended with the daemon
  echo "The daemon did not become ready. The end of $daemon_log:" >&2
  tail -n 20 "$daemon_log" >&2
  exit 1
}

create_account() {
  local said code=0
  said=$(contenthubctl account create demo 2>&1) || code=$?
  if [[ $code != 0 && $code != 6 ]]; then # 6: it is there already
    echo "$said" >&2
    exit "$code"
  fi
}

trap stop_daemon EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_state_dir
reached=0
contenthubctl health >/dev/null 2>&1 || reached=$?
if [[ $reached != 5 ]]; then # 5: nobody answers
  echo 'A daemon is already running on this state directory; it is used and left running.'
else
  if [[ -n $using_simulator ]]; then
    echo 'No content-creator is configured: the bundled simulator writes the articles.'
  fi
  echo "Starting contenthubd on $CONTENTHUBD_STATE_DIR …"
  start_daemon
fi

create_account
code=0
contenthubctl content batch-generate --account demo --file "$here/topics.txt" --wait || code=$?
exit "$code"
