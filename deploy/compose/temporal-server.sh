#!/bin/sh
# The server's template takes its password from the environment alone: it gets there from a file, in the server's process only.
set -eu
POSTGRES_PWD=$(cat /run/secrets/postgres_password)
export POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
