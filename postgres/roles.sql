-- Who there is in the cluster: the superuser, whose password only this container has; the application; who watches; and whose the audit trail is. May be run again and again.
\set postgres_password `cat "$POSTGRES_PASSWORD_FILE"`
\set database_password `cat "$DATABASE_PASSWORD_FILE"`
\set monitor_password `cat "$MONITOR_PASSWORD_FILE"`
SET client_min_messages = warning;

DROP ROLE IF EXISTS handover;
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['auditor', 'holdfast', 'monitor']) AS name WHERE to_regrole(name) IS NULL \gexec
ALTER ROLE postgres PASSWORD :'postgres_password';
ALTER ROLE holdfast LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'database_password';
ALTER ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'monitor_password';
ALTER ROLE auditor NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
GRANT pg_monitor TO monitor;
-- The one right beyond its own tables that the application has: docs/decisions/0009.
GRANT SET ON PARAMETER session_replication_role TO holdfast;
SELECT 'ALTER DATABASE holdfast OWNER TO holdfast' FROM pg_database WHERE datname = 'holdfast' \gexec
