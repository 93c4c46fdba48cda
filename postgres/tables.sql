-- What is in the application's database is its own: an older volume's tables belong to the superuser, and so does what one has restored. May be run again and again.
SELECT format('ALTER %s public.%I OWNER TO holdfast', kind, relname)
FROM pg_class JOIN (VALUES ('r', 'TABLE'), ('p', 'TABLE'), ('v', 'VIEW'), ('m', 'MATERIALIZED VIEW'), ('S', 'SEQUENCE')) AS kinds (code, kind) ON code = relkind
WHERE relnamespace = 'public'::regnamespace AND relowner = 'postgres'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i', 'e') AND refclassid IN ('pg_class'::regclass, 'pg_extension'::regclass))
ORDER BY relkind <> 'r' \gexec
SELECT format('ALTER ROUTINE %s OWNER TO holdfast', oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proowner = 'postgres'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e') \gexec
