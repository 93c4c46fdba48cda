-- The application may read the audit trail and add to it, by the database's clock, and nothing else. May be run again and again.
BEGIN;
SET LOCAL lock_timeout = '1s';
SELECT unnest(ARRAY[
  'ALTER SCHEMA public OWNER TO postgres', -- whoever owns it may drop what is in it
  'GRANT USAGE, CREATE ON SCHEMA public TO holdfast',
  'ALTER TABLE public.audit OWNER TO auditor',
  'ALTER FUNCTION public.audit_append_only() OWNER TO auditor',
  'REVOKE ALL ON public.audit FROM PUBLIC, holdfast',
  'GRANT SELECT, INSERT (key_id, key, address, request_id, action, kind, subject_id, version, before, after) ON public.audit TO holdfast',
  'GRANT SELECT ON SEQUENCE public.audit_id_seq TO holdfast' -- for pg_dump
]) FROM pg_class WHERE oid = to_regclass('public.audit') AND relowner <> 'auditor'::regrole \gexec
COMMIT;
