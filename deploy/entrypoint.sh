#!/bin/sh
# nbgrader asks what the user is called who runs it, and Kubernetes knows a number only.
set -eu
whoami > /dev/null 2>&1 || echo "jovyan:x:$(id -u):0::$HOME:/bin/bash" >> /etc/passwd
exec "$@"
