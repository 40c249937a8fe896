#!/bin/sh
# Makes Temporal's two databases, or brings them up to date: repeated with every deployment.
set -eu
SQL_PASSWORD=$(cat /run/secrets/postgres_password)
export SQL_PASSWORD
for database in temporal temporal_visibility; do
    tool() { temporal-sql-tool --plugin postgres12 --ep postgres --port 5432 --user postgres --db "$database" "$@"; }
    versions=${database#temporal_}
    tool create
    tool setup-schema -v 0.0 || echo "$database has a schema already"
    tool update-schema -d "/etc/temporal/schema/postgresql/v12/$versions/versioned"
done
