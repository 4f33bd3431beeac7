#!/bin/bash
# For bash in a bare system: what the scripts of checks/papers/tracks.lua call.
# A line that fails ends it. What programs say is kept in $said, too.
said=/tmp/said
cd || exit

section() {
  printf '\n## %s\n' "$1"
}

fail() {
  printf '\nFAILED: %s\n' "$1"
  exit 1
}

paste() { # line
  local status
  printf '\n$ %s\n' "$1"
  eval "$1" </dev/null > >(tee -a $said) 2>&1
  status=$?
  [ $status = 0 ] || fail "$1: status $status"
}

# What the line starts is there when it says something, or its window is seen.
leave() { # line
  local i
  printf '\n(another terminal) $ %s\n' "$1"
  eval "$1" </dev/null >/tmp/terminal 2>&1 &
  for i in $(seq 300); do
    case $1 in
    *listen) grep -q export /tmp/terminal && break ;;
    Xvfb*) [ -e /tmp/.X11-unix/X99 ] && break ;;
    love*) xdotool search --name . >/dev/null 2>&1 && break ;;
    esac
    sleep 0.1
  done
  [ "$i" != 300 ] || fail "$1: $(cat /tmp/terminal)"
  cat /tmp/terminal
}

save() { # path, text
  printf '\n(saved as %s)\n%s\n' "$1" "$2"
  printf '%s\n' "$2" >"$1"
}

said() { # text
  grep -qF -- "$1" $said
}

arrived() { # names of events
  local name i events
  for i in $(seq 100); do
    events=$(curl -s http://127.0.0.1:8700/_events)
    for name; do
      case $events in *"$name"*) ;; *) sleep 0.1 && continue 2 ;; esac
    done
    printf '\n(on the page: %s)\n' "$*"
    return
  done
  return 1
}

holds() { # condition
  eval "$1" || fail "$1"
}
