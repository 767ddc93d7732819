#!/bin/sh
# Starts Redis in the working directory, which is /data in the image, with the password of REDIS_PASSWORD_FILE: neither on
# a command line nor in a file of its own.
set -eu
directory=$(dirname "$0")
password=$(cat "${REDIS_PASSWORD_FILE:?names the file with the password}")
test -n "$password"
# More settings than those of redis.conf are taken from the arguments, last.
exec redis-server - "$@" <<END
$(cat "$directory/redis.conf")
requirepass $password
END
